"""Files that rows name: where they may lie, how they may be spelled, what they may be."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from .cases import (
    FIELD_MISSING,
    MISSING,
    NOT_A_FILE,
    OUTSIDE,
    TOO_LARGE,
    UNSUPPORTED,
    Accepted,
    Built,
    Case,
    Reason,
)
from .drawings import SIZE, rgb
from .jpegs import MIB, large
from .png_writer import TRUE, png

PICTURE, OTHER = png(rgb(), TRUE), png(rgb()[::-1], TRUE)
ROOT, LINK = "shelf", "shelf-link"  # beside the folder of the data file
ARGS = ("--image-root", f"../{ROOT}", "--image-root", f"../{LINK}")
SECRET = "secret-of-a-neighbour"

Spell = Callable[[Path], str]


def there(name: str, spell: Spell, data: bytes = PICTURE, at: str = "a.png") -> Case:
    """Return a case of a spelling that leads to a picture in the case's folder."""

    def build(folder: Path) -> Built:
        (folder / at).parent.mkdir(parents=True, exist_ok=True)
        (folder / at).write_bytes(data)
        return Built(spell(folder), data)

    return Case(f"name {name}", "name", Accepted(*SIZE), build)


def gone(name: str, reason: Reason, spell: Spell, at: str | None = None) -> Case:
    """Return a case of a spelling that leads nowhere, though there may be a like file."""

    def build(folder: Path) -> Built:
        if at is not None:
            (folder / at).write_bytes(PICTURE)
        return Built(spell(folder), PICTURE)

    return Case(f"name {name}", "name", reason, build)


def beside(folder: Path) -> Path:
    """Return a file outside all roots that is there, a picture."""
    secret = folder.parent.parent / SECRET / "a.png"
    secret.parent.mkdir(exist_ok=True)
    secret.write_bytes(OTHER)
    return secret


def shelf(folder: Path) -> Path:
    """Return the second root, filled, with a link to it beside."""
    root = folder.parent.parent / ROOT
    if not root.exists():
        (root / "deep").mkdir(parents=True)
        (root / "deep" / "b.png").write_bytes(OTHER)
        (root / "b.png").write_bytes(OTHER)
        root.with_name(LINK).symlink_to(ROOT)
    return root


def on_shelf(name: str, spell: Spell) -> Case:
    """Return a case of a spelling that leads to the second root."""

    def build(folder: Path) -> Built:
        shelf(folder)
        return Built(spell(folder), OTHER)

    return Case(f"name {name}", "name", Accepted(*SIZE), build)


def made(name: str, outcome: Accepted | Reason, make: Callable[[Path], str]) -> Case:
    """Return a case whose builder makes what the name leads to."""
    return Case(f"name {name}", "name", outcome, lambda folder: Built(make(folder), PICTURE))


def uri(folder: Path, name: str = "a.png", host: str = "") -> str:
    return f"file://{host}{quote(str(folder.resolve()))}/{name}"


def linked(target: Callable[[Path], str | Path]) -> Callable[[Path], str]:
    """Return a maker of a link to a place."""

    def make(folder: Path) -> str:
        (folder / "a.png").write_bytes(PICTURE)
        (folder / "link.png").symlink_to(target(folder))
        return f"{folder.name}/link.png"

    return make


def chain(folder: Path) -> str:
    """Make links to links, 30 long."""
    (folder / "0").write_bytes(PICTURE)
    for number in range(1, 31):
        (folder / str(number)).symlink_to(str(number - 1))
    return f"{folder.name}/30"


def linked_folder(target: Callable[[Path], Path], name: str) -> Callable[[Path], str]:
    """Return a maker of a folder that is a link."""

    def make(folder: Path) -> str:
        place = folder / "real"
        place.mkdir()
        (place / "a.png").write_bytes(PICTURE)
        (folder / "folder").symlink_to(target(folder), target_is_directory=True)
        return f"{folder.name}/folder/{name}"

    return make


def fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo.png")
    return f"{folder.name}/fifo.png"


def plugged(folder: Path) -> str:
    """Make a socket; its path may have 108 bytes only."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.png")
    finally:
        os.chdir(here)
    return f"{folder.name}/socket.png"


def in_folder(folder: Path) -> str:
    (folder / "a.png").mkdir()
    return f"{folder.name}/a.png"


def hard_link(folder: Path) -> str:
    (folder / "one.png").write_bytes(PICTURE)
    (folder / "two.png").hardlink_to(folder / "one.png")
    return f"{folder.name}/two.png"


def sparse(size: int) -> Callable[[Path], str]:
    """Return a maker of a file that is large and takes no room."""

    def make(folder: Path) -> str:
        (folder / "a.png").write_bytes(PICTURE)
        os.truncate(folder / "a.png", size)
        return f"{folder.name}/a.png"

    return make


def twice(folder: Path) -> Built:
    """Put a name into both roots: the data file's own folder comes first."""
    (shelf(folder) / "same.png").write_bytes(OTHER)
    (folder.parent / "same.png").write_bytes(PICTURE)
    return Built("same.png", PICTURE)


def spelled(letters: str, *, composed: bool) -> str:
    return unicodedata.normalize("NFC" if composed else "NFD", letters)


def case_folder(name: str) -> Spell:
    return lambda folder: f"{folder.name}/{name}"


def unlikely(name: str) -> Case:
    """Return a case of a file whose name looks like something else."""
    return there(f"of {name!r}", case_folder(name), at=name)


INSIDE = [
    there("relative", case_folder("a.png")),
    there("in a folder below", case_folder("b/c/d.png"), at="b/c/d.png"),
    there("with a dot", lambda f: f"./{f.name}/./a.png"),
    there("with two slashes", lambda f: f"{f.name}//a.png"),
    there("with dots that stay", lambda f: f"{f.name}/../{f.name}/a.png"),
    there("with dots that leave and come back", lambda f: f"../{f.parent.name}/{f.name}/a.png"),
    there("absolute", lambda f: str(f.resolve() / "a.png")),
    there("absolute with dots", lambda f: f"{f.resolve()}/../{f.name}/a.png"),
    there("without a suffix", case_folder("a"), at="a"),
    there("with another suffix", case_folder("a.txt"), at="a.txt"),
    there("file uri", uri),
    there("file uri of this host", lambda f: uri(f, host="localhost")),
    there("file uri in capitals", lambda f: "FILE" + uri(f)[4:]),
    there("file uri quoted", lambda f: uri(f, "b%20c%23d.png"), at="b c#d.png"),
    there("file uri with dots", lambda f: uri(f, f"%2e%2e/{f.name}/a.png")),
    there("file uri with a fragment", lambda f: uri(f, "a.png#top")),
    there("in unicode", case_folder("картинка 猫.png"), at="картинка 猫.png"),
    there(
        "composed",
        case_folder(spelled("é.png", composed=True)),
        at=spelled("é.png", composed=True),
    ),
    *map(
        unlikely,
        (
            *("b c.png", " b.png ", "b%20c.png", "*.png", "[a].png", "~", "b\\c.png", "b\nc.png"),
            *("-rf", "$HOME.png", "a;b.png", "b\u202egnp.exe", "C:a.png", "a.png?b=c", "...", "'"),
        ),
    ),
    there("as long as can be", case_folder("a" * 255), at="a" * 255),
    Case("name in two roots", "name", Accepted(*SIZE), twice),
    on_shelf("in the second root", lambda _: "b.png"),
    on_shelf("below the second root", lambda _: "deep/b.png"),
    on_shelf("from one root to the other", lambda _: f"../{ROOT}/b.png"),
    on_shelf("absolute in the second root", lambda f: str(shelf(f).resolve() / "b.png")),
    on_shelf("through the link to a root", lambda f: str(shelf(f).with_name(LINK) / "b.png")),
]
LINKS = [
    made("link inside", Accepted(*SIZE), linked(lambda _: "a.png")),
    made("link inside, absolute", Accepted(*SIZE), linked(lambda f: f.resolve() / "a.png")),
    made("link to a link", Accepted(*SIZE), chain),
    made("hard link", Accepted(*SIZE), hard_link),
    made("link outside", OUTSIDE, linked(beside)),
    made("link outside by dots", OUTSIDE, linked(lambda f: f"../../{beside(f).parent.name}/a.png")),
    made("link to a device", OUTSIDE, linked(lambda _: "/dev/zero")),
    made("link to a program's state", OUTSIDE, linked(lambda _: "/proc/self/environ")),
    made("link to nothing", MISSING, linked(lambda _: "none.png")),
    made("link to itself", MISSING, linked(lambda _: "link.png")),
    made("link to its folder", NOT_A_FILE, linked(lambda _: ".")),
    made("linked folder", Accepted(*SIZE), linked_folder(lambda f: f / "real", "a.png")),
    made("linked folder outside", OUTSIDE, linked_folder(lambda f: beside(f).parent, "a.png")),
    made(
        "linked folder and up again",
        OUTSIDE,
        linked_folder(lambda f: beside(f).parent, f"../{SECRET}/a.png"),
    ),
]
OUTSIDE_ALL = [
    gone("outside by dots", OUTSIDE, lambda f: f"../{beside(f).parent.name}/a.png"),
    gone("outside by many dots", OUTSIDE, lambda _: "../" * 40 + "etc/passwd"),
    gone("outside absolute", OUTSIDE, lambda f: str(beside(f))),
    gone(
        "outside absolute with dots",
        OUTSIDE,
        lambda f: f"{f.resolve()}/../../{beside(f).parent.name}/a.png",
    ),
    gone("outside of passwords", OUTSIDE, lambda _: "/etc/passwd"),
    gone("outside of passwords by a double slash", OUTSIDE, lambda _: "//etc/passwd"),
    gone("outside file uri", OUTSIDE, lambda f: f"file://{beside(f)}"),
    gone("outside file uri of passwords", OUTSIDE, lambda _: "file:///etc/passwd"),
    gone(
        "outside file uri by quoted dots",
        OUTSIDE,
        lambda f: uri(f, f"%2e%2e/%2e%2e/{beside(f).parent.name}/a.png"),
    ),
    gone(
        "outside file uri of another host",
        OUTSIDE,
        lambda f: uri(f, host="elsewhere.example"),
        "a.png",
    ),
    gone("outside file uri that is relative", OUTSIDE, lambda f: f"file://{f.name}/a.png", "a.png"),
    gone("outside of a device", OUTSIDE, lambda _: "/dev/zero"),
    gone("outside of a program's state", OUTSIDE, lambda _: "/proc/self/environ"),
    gone("outside of standard input", OUTSIDE, lambda _: "/dev/stdin"),
    gone("outside of the whole disk", OUTSIDE, lambda _: "/"),
    gone("outside of the folder above", OUTSIDE, lambda _: ".."),
]
MISSED = [
    gone("of nothing", MISSING, case_folder("none.png")),
    gone("in other letters", MISSING, case_folder("A.PNG"), "a.png"),
    gone(
        "decomposed",
        MISSING,
        case_folder(spelled("é.png", composed=False)),
        spelled("é.png", composed=True),
    ),
    gone(
        "composed only here",
        MISSING,
        case_folder(spelled("é.png", composed=True)),
        spelled("é.png", composed=False),
    ),
    gone("quoted", MISSING, case_folder("b%20c.png"), "b c.png"),
    gone("quoted twice in a uri", MISSING, lambda f: uri(f, "b%2520c.png"), "b c.png"),
    gone("of any", MISSING, case_folder("*.png"), "a.png"),
    gone("of windows", MISSING, lambda f: f"{f.name}\\a.png", "a.png"),
    gone("of a drive", MISSING, lambda _: "C:\\scans\\a.png"),
    gone("of a share", MISSING, lambda _: "\\\\server\\share\\a.png"),
    gone("of a home", MISSING, lambda _: "~/a.png"),
    gone("of a variable", MISSING, lambda _: "$HOME/a.png"),
    gone("in quotes", MISSING, lambda f: f"'{f.name}/a.png'", "a.png"),
    gone("with a line end", MISSING, case_folder("a.png\n"), "a.png"),
    gone("with a zero byte", MISSING, case_folder("a.png\0.txt"), "a.png"),
    gone("with a zero byte, quoted", MISSING, lambda f: uri(f, "a.png%00"), "a.png"),
    gone("below a file", MISSING, case_folder("a.png/b.png"), "a.png"),
    gone("of 5000 letters", MISSING, lambda _: "a" * 5000),
    gone("of 2500 folders", MISSING, lambda _: "a/" * 2500 + "b.png"),
    gone("of 256 letters", MISSING, case_folder("a" * 256)),
    gone("of one slash after file", MISSING, lambda f: uri(f).replace("///", "/"), "a.png"),
    gone("of bytes that are no text", MISSING, case_folder("%ff.png"), "b.png"),
    gone("in an archive", MISSING, lambda f: f"{f.name}/a.zip/a.png"),
    gone("of nothing but a space", FIELD_MISSING, lambda _: " "),
    gone("of no letters", FIELD_MISSING, lambda _: ""),
    Case("name half a letter", "name", Reason.JSON_INVALID, lambda _: Built("a\ud800.png")),
]
NO_FILES = [
    made("of a folder", NOT_A_FILE, in_folder),
    made("of its own folder", NOT_A_FILE, lambda folder: folder.name),
    made("of the root", NOT_A_FILE, lambda _: "."),
    made("of a pipe", NOT_A_FILE, fifo),
    made("of a socket", NOT_A_FILE, plugged),
    made("of a file of 30 GiB", TOO_LARGE, sparse(30 << 30)),
    made("of a file of a byte over 20 MiB", TOO_LARGE, sparse(20 * MIB + 1)),
    Case(
        "name of a file of exactly 20 MiB",
        "name",
        Accepted(*SIZE),
        lambda folder: Built(linked(lambda _: "a.png")(folder), _grown(folder)),
    ),
    gone("of the data file", UNSUPPORTED, lambda _: "rows.jsonl"),
]


def _grown(folder: Path) -> bytes:
    (folder / "a.png").write_bytes(large(20 * MIB))
    return large(20 * MIB)


#: With the root folder as image root: what is no file in truth stays shut.
EVERYWHERE_ARGS = ("--image-root", "/")
EVERYWHERE = [
    gone("of a device, anywhere", NOT_A_FILE, lambda _: "/dev/zero"),
    gone("of no device, anywhere", NOT_A_FILE, lambda _: "/dev/null"),
    gone("of a terminal, anywhere", NOT_A_FILE, lambda _: "/dev/tty"),
    gone("of a program's state, anywhere", NOT_A_FILE, lambda _: "/proc/self/environ"),
    gone("of another's state, anywhere", NOT_A_FILE, lambda _: "/proc/1/environ"),
    gone("of the memory, anywhere", NOT_A_FILE, lambda _: "/proc/self/mem"),
    gone("of the kernel, anywhere", NOT_A_FILE, lambda _: "/sys/kernel/notes"),
    gone("of dots to the state, anywhere", NOT_A_FILE, lambda _: "../" * 40 + "proc/self/environ"),
    gone("of a uri of the state, anywhere", NOT_A_FILE, lambda _: "file:///proc/self/environ"),
    made("link to the state, anywhere", NOT_A_FILE, linked(lambda _: "/proc/self/environ")),
    there("through the state, anywhere", lambda f: f"/proc/self/root{f.resolve()}/a.png"),
    there("through the work folder, anywhere", lambda f: f"/proc/self/cwd/{f.name}/a.png"),
]
LONG = [
    gone("of 40 MiB", MISSING, lambda _: "a/" * (20 * MIB)),
    gone("of 40 MiB of letters", MISSING, lambda _: "a" * (40 * MIB)),
    gone("of 40 MiB in a uri", MISSING, lambda _: "file:///" + "%41/" * (10 * MIB)),
    gone("of 40 MiB of dots", MISSING, lambda _: "../" * (13 * MIB)),
]
CASES: list[Case] = [*INSIDE, *LINKS, *OUTSIDE_ALL, *MISSED, *NO_FILES]
