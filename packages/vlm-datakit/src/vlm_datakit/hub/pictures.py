"""Pictures that rows of a data set on the Hub name: files of its repository, at its commit.

What a commit holds never changes, so its listing is noted on the disk of this machine, and so are
the pictures, by their digests. Neither is believed: a note that cannot be read is made again, and a
picture that is not what its digest says is not there.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from vlm_datakit.errors import Reason, RemoteError, RowError, VlmDataKitError, quoted
from vlm_datakit.hub.names import PREFIX, HubName, Pinned, pinned
from vlm_datakit.hub.repository import Repository, look_up
from vlm_datakit.hub.trouble import speaking_of, token

_TRIES, _ASKED_AGAIN = 2, 3
_ANSWER_S = 30.0  # between two pieces
_PICTURE_S = 120.0  # once it comes; what the Hub asks to wait for is waited for
_PIECE_BYTES, _IN_MEMORY_BYTES = 64 * 1024, 1024 * 1024
_LONGEST_SHOWN = 255  # what is longer is no path

#: Takes the bytes of a picture.
Write = Callable[[bytes], object]


class Listed(NamedTuple):
    """What the Hub states of a file: its size and its digest."""

    size: int
    digest: str


def note_tree(repository: Repository) -> None:
    """Note what is in a repository, so that nobody has to ask again; see `tree_at`."""
    place = _tree_note(repository.repo, repository.commit)
    files = {path: (file.size, file.digest) for path, file in repository.files.items()}
    with suppress(OSError):  # a disk that may not be written to: it is asked for again
        if not place.exists():
            with _settled(place) as write:
                write(json.dumps(files).encode())


@lru_cache(maxsize=4)
def tree_at(repo: str, commit: str) -> Mapping[str, Listed]:
    """Return what is in a repository at a commit, by path.

    Raises:
        SourceError, RemoteError: as `vlm_datakit.hub.repository.look_up`.
    """
    with suppress(OSError, ValueError, TypeError, AttributeError):
        noted = json.loads(_tree_note(repo, commit).read_bytes())
        return {path: Listed(*facts) for path, facts in noted.items()}
    repository = look_up(HubName(repo, commit, path=""))  # of a path: whatever is in it
    note_tree(repository)
    return {path: Listed(file.size, file.digest) for path, file in repository.files.items()}


def picture_address(rows: Pinned, name: str, where: str) -> str:
    """Return the address of the file that a row names.

    A path is tried from the folder of the rows, then from the top of the repository. An
    ``hf://datasets/`` address has to be of this repository, at this commit or at none.

    Args:
        rows: The file in which the row stands.
        name: As the row has it.
        where: JSON path of the value, for the error.

    Raises:
        RowError: ``image-file-missing``, ``image-outside-root``, ``image-url-refused``.
        RemoteError: if the Hub has to be asked for its listing, and does not answer.
    """
    folders = [posixpath.dirname(rows.path), ""]
    if name.lower().startswith("hf://"):
        name, folders = _path_in(rows, name, where), [""]
    is_path = len(name) <= _LONGEST_SHOWN and not name.lower().startswith("file://")
    paths = [posixpath.normpath(posixpath.join(folder, name)) for folder in folders]
    inside = [path for path in paths if is_path and not path.startswith(("/", "../"))]
    listed = tree_at(rows.repo, rows.commit) if inside else {}
    for path in inside:
        if path in listed:
            return Pinned(rows.repo, rows.commit, path).address
    shown = quoted(name) if len(name) <= _LONGEST_SHOWN else f"{len(name)} characters"
    if len(name) <= _LONGEST_SHOWN and not inside:
        raise RowError(Reason.IMAGE_OUTSIDE_ROOT, where, shown)
    seen = f"{shown}: no file of {rows.repo} at {rows.commit[:7]}, nor base64 of a picture"
    raise RowError(Reason.IMAGE_FILE_MISSING, where, seen)


def listed_at(address: str) -> Listed:
    """Return what the Hub states of the file at an address that `picture_address` gave."""
    file = pinned(address)
    if file is None:
        raise ValueError(f"{address}: no address of a file at a commit")
    return tree_at(file.repo, file.commit)[file.path]


class HubPictures:
    """Fetches pictures by such addresses, and holds each to its digest."""

    def fetch(self, address: str, max_bytes: int, write: Write) -> None:
        """Fetch one picture; its bytes come when they are known to be right.

        Raises:
            RowError: ``image-too-large`` before anything is asked for; ``image-fetch-failed``.
        """
        listed, file = listed_at(address), pinned(address)
        if listed.size > max_bytes or file is None:
            raise RowError(Reason.IMAGE_TOO_LARGE, "$", f"{listed.size} bytes")
        for _ in range(_TRIES):
            with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as held:
                if not _is_had(file, listed, held.write):
                    continue
                held.seek(0)
                for piece in iter(partial(held.read, _PIECE_BYTES), b""):
                    write(piece)
                return
        seen = f"not what the Hub states by its sum, {_TRIES} times"
        raise RowError(Reason.IMAGE_FETCH_FAILED, "$", seen)

    def close(self) -> None:
        """Do nothing: the connections are those of huggingface_hub."""


class HubPictureCache:
    """Pictures on the disk by their digests; safe for threads and processes."""

    def has(self, address: str) -> bool:
        """Whether a picture seems to be there; `read` looks at its bytes."""
        try:
            return self._place(address).stat().st_size == listed_at(address).size
        except OSError:
            return False

    def read(self, address: str, max_bytes: int) -> bytes | None:
        """Return a picture; None if it is not there, is broken, or is over the limit."""
        listed = listed_at(address)
        try:
            data = self._place(address).read_bytes() if listed.size <= max_bytes else b""
        except OSError:
            return None
        sums = _sums(listed)
        sums.update(data)
        return data if sums.hexdigest() == listed.digest.partition(":")[2] else None

    def forget(self, address: str) -> None:
        """Let a picture be fetched anew, though it seemed to be there."""
        self._place(address).unlink(missing_ok=True)

    @contextmanager
    def adding(self, address: str) -> Iterator[Write]:
        """Yield what takes the bytes of a picture; it is there when the block ends well."""
        with _settled(self._place(address)) as write:
            yield write

    def _place(self, address: str) -> Path:
        kind, _, digits = listed_at(address).digest.partition(":")
        return _home() / "pictures" / digits[:2] / f"{kind}-{digits}"


def _path_in(rows: Pinned, address: str, where: str) -> str:
    """Return the path that an ``hf://`` address names in the repository of the rows."""
    of_set = address[len(PREFIX) :] if address.lower().startswith(PREFIX) else ""
    own = (f"{rows.repo}/", f"{rows.repo}@{rows.commit}/")
    for start in own:
        if of_set.startswith(start):
            return of_set[len(start) :]
    seen = f"not of {rows.repo} at {rows.commit[:7]}: {quoted(address)}"
    raise RowError(Reason.IMAGE_URL_REFUSED, where, seen)


def _is_had(file: Pinned, listed: Listed, write: Write) -> bool:
    """Fetch a file, and return whether it is what the Hub states."""
    sums = _sums(listed)
    try:
        for piece in _body(file, listed.size):
            sums.update(piece)
            write(piece)
    except VlmDataKitError as error:
        raise RowError(Reason.IMAGE_FETCH_FAILED, "$", f"{error}") from error
    return bool(sums.hexdigest() == listed.digest.partition(":")[2])


def _body(file: Pinned, size: int) -> Iterator[bytes]:
    """Yield what the Hub gives for a file, no more than a piece beyond what it stated."""
    import huggingface_hub

    utils: Any = huggingface_hub.utils  # its stubs name no function as public
    url = huggingface_hub.hf_hub_url(
        file.repo, file.path, repo_type="dataset", revision=file.commit
    )
    headers = utils.build_hf_headers(token=token()) | {"Accept-Encoding": "identity"}
    come = 0
    # Redirects are followed by httpx2, which takes the token out where the host is another.
    with (
        speaking_of(file.repo, f"::{file.path}"),
        utils.http_stream_backoff(
            *("GET", url),
            max_retries=_ASKED_AGAIN,
            headers=headers,
            follow_redirects=True,
            timeout=_ANSWER_S,
        ) as answer,
    ):
        utils.hf_raise_for_status(answer)
        end = time.monotonic() + _PICTURE_S
        for piece in answer.iter_bytes(_PIECE_BYTES):
            yield piece
            come += len(piece)
            if come > size:
                return
            if time.monotonic() > end:
                raise RemoteError(f"{file.path}: not there within {_PICTURE_S:g} s")


def _sums(listed: Listed) -> Any:
    """Return what takes the bytes of a file and gives its digest, of the kind that it has."""
    if listed.digest.startswith("git:"):
        return hashlib.sha1(b"blob %d\0" % listed.size, usedforsecurity=False)
    return hashlib.sha256()


def _home() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME, "vlm-datakit")


def _tree_note(repo: str, commit: str) -> Path:
    return _home() / "trees" / f"{repo.replace('/', '--')}@{commit}.json"


@contextmanager
def _settled(place: Path) -> Iterator[Write]:
    """Write a file that has its name when the block ends well, and then whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".", delete=False) as file:
        path = Path(file.name)
        try:
            yield file.write
            file.flush()
            path.rename(place)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
