"""Base64 and data URIs as people, tools and language models write them."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

from .cases import (
    FIELD_MISSING,
    MISSING,
    NOT_BASE64,
    OUTSIDE,
    TOO_LARGE,
    UNREADABLE,
    UNSUPPORTED,
    Accepted,
    Built,
    Case,
    Reason,
    uri,
)
from .drawings import SIZE, rgb
from .jpegs import MIB, large, photo
from .png_writer import TRUE, png
from .strangers import PAGE, SVG

HEAD = "data:image/png;base64,"


@functools.cache
def data() -> bytes:
    """Return a PNG whose base64 has both special letters and padding."""
    whole = png(rgb(), TRUE)
    extra = b"" if len(whole) % 3 == 1 else bytes(1 if len(whole) % 3 == 0 else 2)
    return whole + extra  # bytes behind the end are let be


def text() -> str:
    """Return its base64: padded by two, with ``+`` and ``/``."""
    found = base64.b64encode(data()).decode()
    assert found.endswith("==") and "+" in found and "/" in found
    return found


def tolerated(name: str, spell: Callable[[], str], of: Callable[[], bytes] = data) -> Case:
    """Return a case of a spelling that gives the picture."""
    return Case(f"base64 {name}", "base64", Accepted(*SIZE), lambda _: Built(spell(), of()))


def foreign(name: str, reason: Reason, spell: Callable[[], object]) -> Case:
    """Return a case of a spelling that gives none."""
    return Case(f"base64 {name}", "base64", reason, lambda _: Built(spell()))


def lines(width: int, end: str) -> str:
    """Return base64 in lines."""
    found = text()
    return end.join(found[at : at + width] for at in range(0, len(found), width)) + end


def spread(letters: str, every: int = 5) -> str:
    """Return base64 with letters put in every so often."""
    found = text()
    return letters.join(found[at : at + every] for at in range(0, len(found), every))


def inside(letters: str, at: int = 200) -> str:
    """Return base64 with letters put in once, behind where pictures are known by."""
    return text()[:at] + letters + text()[at:]


def safe() -> str:
    """Return base64 in the alphabet for URLs."""
    return base64.urlsafe_b64encode(data()).decode()


def beside(name: str) -> Callable[[Path], Built]:
    """Return a builder of a picture file of that name in the data file's own folder."""

    def build(folder: Path) -> Built:
        (folder.parent / name).write_bytes(data())
        return Built(name, data())

    return build


PLAIN = [
    tolerated("bare", text),
    tolerated("bare jpeg that begins as a path", lambda: base64.b64encode(photo()).decode(), photo),
    tolerated("uri", lambda: HEAD + text()),
    tolerated("uri without a type", lambda: "data:;base64," + text()),
    tolerated("uri with nothing but base64", lambda: "data:;BASE64," + text()),
    tolerated("uri in capitals", lambda: "DATA:IMAGE/PNG;BASE64," + text()),
    tolerated("uri of another type", lambda: "data:image/jpeg;base64," + text()),
    tolerated("uri of text", lambda: "data:text/plain;base64," + text()),
    tolerated("uri of an unknown type", lambda: "data:image/x-none;base64," + text()),
    tolerated("uri with a charset", lambda: "data:image/png;charset=utf-8;base64," + text()),
    tolerated("uri with a name", lambda: "data:image/png;name=a%2Cb.png;base64," + text()),
    tolerated("uri with a long name", lambda: f"data:image/png;name={'a' * 300};base64," + text()),
    tolerated("uri with two slashes", lambda: "data://image/png;base64," + text()),
    tolerated("uri indented", lambda: "\n\t " + HEAD + text()),
    tolerated("uri with a space before its comma", lambda: "data:image/png;base64 ," + text()),
    tolerated("uri with a space behind its comma", lambda: HEAD + " " + text()),
    tolerated("uri with a space before base64", lambda: "data:image/png; base64," + text()),
    tolerated("uri percent-coded", lambda: "data:image/png," + quote_from_bytes(data())),
    tolerated(
        "uri percent-coded in small letters",
        lambda: "data:image/png," + "".join(f"%{byte:02x}" for byte in data()),
    ),
    tolerated("uri base64 percent-coded", lambda: HEAD + quote(text(), safe="")),
    tolerated("bare percent-coded", lambda: quote(text(), safe="")),
    tolerated("lines of 76", lambda: lines(76, "\n")),
    tolerated("lines of 64 of windows", lambda: lines(64, "\r\n")),
    tolerated("lines of one letter", lambda: lines(1, "\n")),
    tolerated("lines in a uri", lambda: HEAD + lines(76, "\n")),
    tolerated("spaces", lambda: spread(" ")),
    tolerated("tabs and form feeds", lambda: spread("\t\f\v")),
    tolerated("an end of line behind", lambda: text() + "\n"),
    tolerated("for urls", safe),
    tolerated("for urls, in a uri", lambda: HEAD + safe()),
    tolerated("both alphabets", lambda: safe()[:400] + text()[400:]),
    tolerated("unpadded", lambda: text().rstrip("=")),
    tolerated("unpadded in a uri", lambda: HEAD + text().rstrip("=")),
    tolerated("for urls, unpadded", lambda: safe().rstrip("=")),
    tolerated("padded by half", lambda: text()[:-1]),
    tolerated("padded too much", lambda: text() + "=="),
    tolerated("padding on a line of its own", lambda: text()[:-2] + "\n==\n"),
]
FULL = [
    tolerated("of exactly 20 MiB", lambda: uri(large(20 * MIB)), lambda: large(20 * MIB)),
    tolerated("in 20 MiB of spaces", lambda: HEAD + " " * (20 * MIB) + text()),
]
FOREIGN = [
    foreign("a star", NOT_BASE64, lambda: inside("*")),
    foreign("a star in a uri", NOT_BASE64, lambda: HEAD + inside("*")),
    foreign("an accent", NOT_BASE64, lambda: inside("é")),
    foreign("a zero byte", NOT_BASE64, lambda: inside("\0")),
    foreign("a no-break space behind", NOT_BASE64, lambda: text() + "\u00a0"),
    foreign("a space of no width", NOT_BASE64, lambda: inside("\u200b")),
    foreign("digits of full width", NOT_BASE64, lambda: inside("\uff11\uff12\uff13\uff14")),
    foreign("cyrillic that looks alike", NOT_BASE64, lambda: inside("\u0410")),
    foreign("an ellipsis of a person", NOT_BASE64, lambda: text()[:300] + "..."),
    foreign("an ellipsis of a program", NOT_BASE64, lambda: HEAD + text()[:300] + "\u2026"),
    foreign("cut words", NOT_BASE64, lambda: HEAD + text()[:300] + "<truncated>"),
    foreign("a written line end", NOT_BASE64, lambda: spread("\\n", 76)),
    foreign("padding inside", NOT_BASE64, lambda: text() + text()),
    foreign("padding alone", NOT_BASE64, lambda: HEAD + "===="),
    foreign("percent-coded zero byte", NOT_BASE64, lambda: HEAD + inside("%00")),
    foreign("percent and no digits", NOT_BASE64, lambda: HEAD + inside("%zz")),
    foreign("uri without a comma", NOT_BASE64, lambda: "data:image/png;base64" + text()),
    foreign(
        "uri of a semicolon for a comma", NOT_BASE64, lambda: "data:image/png;base64;" + text()
    ),
    foreign("uri alone", NOT_BASE64, lambda: "data:"),
    foreign("uri of nothing", NOT_BASE64, lambda: "data:,"),
    foreign("uri without a payload", NOT_BASE64, lambda: HEAD),
    foreign("uri of spaces", NOT_BASE64, lambda: HEAD + " \n\t "),
    foreign("uri in a uri", NOT_BASE64, lambda: HEAD + HEAD + text()),
    foreign("uri of null", UNSUPPORTED, lambda: HEAD + "null"),
    foreign("uri of python's bytes", NOT_BASE64, lambda: f"{HEAD}b'{text()}'"),
    foreign("uri in quotes inside", NOT_BASE64, lambda: f'{HEAD}"{text()}"'),
    foreign("behind a byte order mark in a uri", NOT_BASE64, lambda: HEAD + "\ufeff" + text()),
    foreign("of a byte too many to be any", NOT_BASE64, lambda: text()[:401]),
]
OF_ANOTHER = [
    foreign("cut by one letter", UNREADABLE, lambda: text()[:403]),
    foreign("cut by two letters", UNREADABLE, lambda: text()[:402]),
    foreign("cut by four letters", UNREADABLE, lambda: text()[:400]),
    foreign("cut to its first letters", UNREADABLE, lambda: text()[:16]),
    foreign("cut to less than is known", MISSING, lambda: text()[:15]),
    foreign("cut in a uri", UNREADABLE, lambda: HEAD + text()[:15]),
    foreign("twice", MISSING, lambda: base64.b64encode(text().encode()).decode()),
    foreign("twice in a uri", UNSUPPORTED, lambda: uri(text().encode())),
    foreign("of a uri", UNSUPPORTED, lambda: uri((HEAD + text()).encode())),
    foreign("of text", UNSUPPORTED, lambda: uri(b"a cat on a mat")),
    foreign("of text, bare", MISSING, lambda: base64.b64encode(b"a cat on a mat").decode()),
    foreign("of a page", UNSUPPORTED, lambda: uri(PAGE)),
    foreign("of svg", UNSUPPORTED, lambda: uri(SVG, "data:image/svg+xml;base64,")),
    foreign("svg in a uri", UNSUPPORTED, lambda: "data:image/svg+xml;utf8," + SVG.decode()),
    foreign("of json", UNSUPPORTED, lambda: uri(json.dumps({"image": text()}).encode())),
    foreign("of a mark and a picture", UNSUPPORTED, lambda: uri(b"\xef\xbb\xbf" + data())),
    foreign("of one byte", UNSUPPORTED, lambda: HEAD + "/w=="),
    foreign("in base 32", MISSING, lambda: base64.b32encode(data()).decode()),
    foreign("in digits", MISSING, lambda: data().hex()),
    foreign("in quotes", MISSING, lambda: f'"{text()}"'),
    foreign("of python's bytes", MISSING, lambda: f"b'{text()}'"),
    foreign("of python's bytes, decoded", MISSING, lambda: str(data())),
    foreign("behind a byte order mark", MISSING, lambda: "\ufeff" + text()),
    foreign("uri behind a byte order mark", MISSING, lambda: "\ufeff" + HEAD + text()),
    foreign("uri without its scheme", MISSING, lambda: "image/png;base64," + text()),
    foreign("behind the word", MISSING, lambda: "base64," + text()),
    foreign("in markdown", MISSING, lambda: f"![a cat]({HEAD}{text()})"),
    foreign("in a tag", MISSING, lambda: f'<img src="{HEAD}{text()}">'),
    foreign(
        "uri with a comma in its name",
        UNSUPPORTED,
        lambda: f'data:image/png;name="a,b";base64,{text()}',
    ),
    foreign("uri that forgot to say so", UNSUPPORTED, lambda: "data:image/png," + text()),
    foreign(
        "uri that says so too early", UNSUPPORTED, lambda: f"data:;base64;charset=utf-8,{text()}"
    ),
    foreign("of slashes", OUTSIDE, lambda: "/" * 400),
    foreign("of nothing", FIELD_MISSING, lambda: " "),
]
LARGE = [
    foreign("over 20 MiB", TOO_LARGE, lambda: uri(large(20 * MIB + 1))),
    foreign("over 20 MiB, bare", TOO_LARGE, lambda: uri(large(20 * MIB + 1), "")),
    foreign("of 46 MiB", TOO_LARGE, lambda: HEAD + "A" * (61 * MIB)),
    foreign("over 20 MiB, percent-coded", TOO_LARGE, lambda: "data:," + "A" * (21 * MIB)),
]
CODED = [
    foreign("all percent-coded", UNSUPPORTED, lambda: HEAD + "%41" * (20 * MIB)),
    foreign("uri all percent-coded", TOO_LARGE, lambda: "data:," + "%41" * (20 * MIB) + "A" * MIB),
    foreign("a space behind each two letters", TOO_LARGE, lambda: HEAD + "AA " * (20 * MIB)),
    foreign("a space behind each letter", UNSUPPORTED, lambda: HEAD + "A " * (26 * MIB)),
]
LOOKALIKES = [
    Case(
        "base64 letters that are a file",
        "base64",
        UNREADABLE,
        beside(base64.b64encode(data()[:24]).decode().replace("/", "A")),
    ),
    Case("base64 looks with a suffix", "base64", NOT_BASE64, beside("iVBORw0KGgoAAAAN.png")),
    Case("base64 looks too short", "base64", Accepted(*SIZE), beside("iVBORw0KGgo")),
    Case(
        "base64 looks of another kind",
        "base64",
        Accepted(*SIZE),
        beside("JVBERi0xLjcKMSAwIG9iago8"),
    ),
    foreign("looks of a shelf", MISSING, lambda: "/9j/shelf/photo.jpg"),
    foreign("looks of a path of jpeg letters", UNREADABLE, lambda: "/9j/4AAQSkZJRgABAQAAAQABAAD"),
]
CASES: list[Case] = [*PLAIN, *FOREIGN, *OF_ANOTHER, *LOOKALIKES]
