"""Fetch Pillow's own test pictures: EXIF in all turns, CMYK, 16 bits, broken files, bombs.

They are in its source distribution only, which pip gets from wherever pip is told to look.
Prints the folder; says why and exits with 1 when the pictures cannot be had (off-line).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
WORKSHOP = ROOT / ".nox"
MAX_BYTES = 200_000_000  # all pictures together; version 13 has 59 MB
GIVE_UP_S = 300


class NotToBeHadError(Exception):
    """The pictures cannot be fetched here; holds the last line that pip said."""


def pinned_version() -> str:
    """Return the version of Pillow that the constraints pin."""
    pins = (ROOT / "constraints" / "dev.txt").read_text()
    (version,) = re.findall(r"^pillow==(\S+)$", pins, re.MULTILINE)
    return str(version)


def download_source(version: str, folder: Path) -> Path:
    """Let pip fetch the source distribution; it asks for the metadata and compiles nothing.

    Raises:
        NotToBeHadError: Pip failed, or took too long.
    """
    pip = [sys.executable, "-m", "pip", "--no-input", "download", "--quiet", "--no-deps"]
    few_tries = ["--retries=1", "--timeout=15"]  # off-line it must give up in seconds
    what = ["--no-binary=pillow", f"--dest={folder}", f"pillow=={version}"]
    try:
        done = subprocess.run(
            [*pip, *few_tries, *what], capture_output=True, timeout=GIVE_UP_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotToBeHadError(f"no answer in {GIVE_UP_S} s") from error
    found = list(folder.glob("*.tar.gz"))
    if done.returncode or not found:
        words = done.stderr.decode(errors="replace").split("\n")
        errors = [line for line in words if line.lower().startswith("error")]
        raise NotToBeHadError((errors or [f"pip exits with {done.returncode}"])[-1])
    return found[0]


def pictures_in(archive: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and bytes of the plain files below Tests/images; links and ``..`` are none.

    Raises:
        NotToBeHadError: They are more than `MAX_BYTES` together.
    """
    left = MAX_BYTES
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if not member.isreg() or parts[1:3] != ("Tests", "images") or ".." in parts:
            continue
        left -= member.size
        if left < 0:
            raise NotToBeHadError(f"over {MAX_BYTES} bytes of pictures")
        file = archive.extractfile(member)
        assert file is not None  # a regular file has content
        yield PurePosixPath(*parts[3:]), file.read()


def fetch_pictures() -> Path:
    """Return the folder of the pictures, fetched once for each version.

    Raises:
        NotToBeHadError: They cannot be fetched.
    """
    version = pinned_version()
    folder = WORKSHOP / f"pillow-pictures-{version}"
    if folder.is_dir():
        return folder
    WORKSHOP.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORKSHOP) as place:
        with tarfile.open(download_source(version, Path(place))) as archive:
            for name, content in pictures_in(archive):
                target = Path(place, "pictures", name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        for old in WORKSHOP.glob("pillow-pictures-*"):
            shutil.rmtree(old)
        Path(place, "pictures").rename(folder)  # whole or not at all
    return folder


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch_pictures()}\n")
    except (NotToBeHadError, OSError, tarfile.TarError) as error:
        sys.exit(f"Pillow's pictures are not to be had: {error}")
