"""Pictures named by URL, with ``--fetch``: what good, broken and hostile servers answer."""

from __future__ import annotations

import gzip
import itertools
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate

from ..serving import Asked, dripping, http, reset
from .cases import TOO_LARGE, UNREADABLE, UNSUPPORTED, Accepted, Built, Case, Reason
from .drawings import SIZE, TURNED, exif, over_white, rgb, saved, with_alpha
from .jpegs import MIB, photo
from .redirects import BEHIND, FAILED, PICTURE, PNG
from .redirects import PAGES as REDIRECTS
from .spellings import REFUSED
from .strangers import PAGE, SVG
from .web import KEY, QUERY, Answer, Page, Web

ARGS = ("--fetch", "--fetch-allow", "127.0.0.1:{port}")
OTHER_PORT = ("--fetch", "--fetch-allow", "127.0.0.1:{trap}")


def good(name: str, answer: bytes | Answer, data: bytes = PNG, visits: int | None = None) -> Page:
    return Page(f"fetched {name}", Accepted(*SIZE), answer, Built(None, data), visits)


def bad(
    name: str, answer: bytes | Answer, reason: Reason = FAILED, visits: int | None = None
) -> Page:
    return Page(f"fetched {name}", reason, answer, visits=visits)


def written_anew(name: str, data: bytes, *causes: str, **expected: object) -> Page:
    built = Built(None, data, expected.get("pixels", rgb()), int(str(expected.get("off_by", 0))))
    return Page(f"fetched {name}", Accepted(*SIZE, causes), http(data), built)


def told(answer: bytes) -> Answer:
    """Return an answer after which the server hangs up."""
    return lambda asked: asked.connection.sendall(answer)


def turns(*answers: bytes) -> Answer:
    """Return answers in turn, over and over."""
    found = itertools.cycle(answers)
    return lambda _: next(found)


def chunked(body: bytes, step: int = 100) -> bytes:
    """Return a body in chunks."""
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def in_chunks(body: bytes) -> bytes:
    return http(body, length=-1, Transfer_Encoding="chunked")


def zipped(body: bytes, coding: str = "gzip") -> bytes:
    return http(body, Content_Encoding=coding)


def endless(head: bytes, piece: Callable[[], bytes]) -> Answer:
    """Return an answer that never ends."""

    def answer(asked: Asked) -> None:
        asked.connection.sendall(head)
        while True:
            asked.connection.sendall(piece())

    return answer


def endless_gzip(asked: Asked) -> None:
    """Send zeros, packed to a thousandth."""
    asked.connection.sendall(http(length=-1, Content_Encoding="gzip"))
    packer = zlib.compressobj(9, wbits=31)
    while True:
        asked.connection.sendall(packer.compress(bytes(MIB)))


def bomb(asked: Asked) -> bytes:
    """Return 100 MiB in 100 KiB."""
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(bytes(MIB)) for _ in range(100)) + packer.flush()
    return zipped(body)


def reset_in_the_middle(asked: Asked) -> None:
    asked.connection.sendall(http(PNG[:50], length=len(PNG)))
    time.sleep(0.05)
    reset(asked)


JPEG, WEBP = photo(), saved(rgb(), "WEBP", lossless=True)
KINDS = [
    good("png", PICTURE),
    good("jpeg", http(JPEG), JPEG),
    good("webp", http(WEBP), WEBP),
    Page(
        "fetched jpeg of an orientation",
        Accepted(*TURNED),
        http(photo(exif=exif(6))),
        Built(None, photo(exif=exif(6))),
    ),
    written_anew("bmp", saved(rgb(), "BMP"), "container"),
    written_anew("tiff", saved(rgb(), "TIFF"), "container"),
    written_anew(
        "png with alpha",
        saved(with_alpha(rgb()), "PNG"),
        "alpha",
        pixels=over_white(with_alpha(rgb())),
        off_by=1,
    ),
    written_anew("jp2", saved(rgb(), "JPEG2000", irreversible=False), "container"),
    good("of no type", http(PNG)),
    good("of a type of text", http(PNG, Content_Type="text/html; charset=utf-8")),
    good("of another picture's type", http(PNG, Content_Type="image/jpeg")),
    good("of a type of nothing", http(PNG, Content_Type="")),
    good("with a cookie", http(PNG, Set_Cookie=f"a={KEY}")),
    good("of status 203", http(PNG, status=203)),
]
BODIES = [
    good("until the end", told(http(PNG, length=-1))),
    good("of http 1.0", told(b"HTTP/1.0 200 fine\r\n\r\n" + PNG)),
    good("behind early hints", b"HTTP/1.1 103 soon\r\nLink: </a>\r\n\r\n" + PICTURE),
    good("in chunks", in_chunks(chunked(PNG))),
    good("in chunks with words behind", in_chunks(chunked(PNG)[:-2] + b"A: b\r\n\r\n")),
    bad("in chunks cut short", told(in_chunks(chunked(PNG)[:-30]))),
    bad("in chunks without the last", told(in_chunks(chunked(PNG)[:-5]))),
    bad("in chunks of no number", told(in_chunks(b"xyz\r\n" + PNG))),
    bad("in chunks of a number too large", told(in_chunks(b"f" * 30 + b"\r\n" + PNG))),
    bad("shorter than it says", told(http(PNG, length=len(PNG) + 1))),
    bad("shorter than its 19 MiB", told(http(PNG, length=19 * MIB))),
    bad("longer than it says", http(PNG, length=len(PNG) - 20), UNREADABLE),
    good("with more behind it", told(http(PNG + b"HTTP/1.1 200 x\r\n\r\n", length=len(PNG)))),
    bad("reset in the middle", reset_in_the_middle),
    bad("cut with the right length", http(PNG[:-30]), UNREADABLE),
    bad("cut jpeg with the right length", http(JPEG[:-30]), UNREADABLE),
    bad("empty", http(b""), UNSUPPORTED),
    bad("of one byte", http(b"\x89"), UNSUPPORTED),
    bad("a page", http(PAGE, Content_Type="image/png"), UNSUPPORTED),
    bad("a page that says it is not here", http(PAGE, status=404)),
    bad("svg", http(SVG, Content_Type="image/svg+xml"), UNSUPPORTED),
    bad("a url", http(b"http://127.0.0.1/a.png"), UNSUPPORTED),
]
CODINGS = [
    good("in gzip", zipped(gzip.compress(PNG))),
    good("in gzip by its old name", zipped(gzip.compress(PNG), "X-GZIP")),
    good("in gzip and nothing", zipped(gzip.compress(PNG), "identity, gzip")),
    good(
        "in gzip in chunks",
        http(
            chunked(gzip.compress(PNG)),
            length=-1,
            Content_Encoding="gzip",
            Transfer_Encoding="chunked",
        ),
    ),
    bad("in gzip cut short", zipped(gzip.compress(PNG)[:-9])),
    bad("in gzip cut by one", zipped(gzip.compress(PNG)[:-1])),
    bad("in gzip of a wrong sum", zipped(gzip.compress(PNG)[:-8] + bytes(8))),
    bad("in gzip of nothing", zipped(b"")),
    bad("in gzip that is none", zipped(PNG)),
    bad("in gzip twice", zipped(gzip.compress(gzip.compress(PNG)), "gzip, gzip")),
    bad("in gzip behind gzip", zipped(gzip.compress(PNG) * 2)),
    bad("in gzip twice and once told", zipped(gzip.compress(gzip.compress(PNG))), UNSUPPORTED),
    bad("in gzip untold", http(gzip.compress(PNG)), UNSUPPORTED),
    bad("in deflate", zipped(zlib.compress(PNG), "deflate")),
    bad("in brotli", zipped(PNG, "br")),
    bad("in zstandard", zipped(PNG, "zstd")),
    bad("in a coding of its own", zipped(PNG, KEY)),
    bad("a bomb of gzip", bomb, TOO_LARGE),
    bad("in gzip without end", endless_gzip, TOO_LARGE),
]
SIZES = [
    good(
        "of 20 MiB",
        lambda _: http(PNG + bytes(20 * MIB - len(PNG))),
        PNG + bytes(20 * MIB - len(PNG)),
    ),
    bad("over 20 MiB", lambda _: http(PNG + bytes(20 * MIB + 1 - len(PNG))), TOO_LARGE),
    bad(
        "over 20 MiB until the end",
        lambda asked: asked.connection.sendall(http(bytes(21 * MIB), length=-1)),
        TOO_LARGE,
    ),
    bad("of a length over 20 MiB", told(http(PNG, length=20 * MIB + 1)), TOO_LARGE),
    bad("without end", endless(http(length=-1), lambda: bytes(65_536)), TOO_LARGE),
    bad(
        "in chunks without end",
        endless(in_chunks(b""), lambda: b"10000\r\n" + bytes(65_536) + b"\r\n"),
        TOO_LARGE,
    ),
]
STATUSES = [
    *(
        bad(f"of status {status}", http(PNG, status=status), visits=1)
        for status in (201, 206, 400, 401, 403, 404, 410, 418, 451, 500, 502, 504, 599)
    ),
    bad("of status 204", b"HTTP/1.1 204 none\r\n\r\n", visits=1),
    good("behind two times 503", turns(http(status=503), http(status=503), PICTURE), visits=3),
    good("behind 429", turns(http(status=429, Retry_After="0"), PICTURE), visits=2),
    good(
        "behind 429 until a date",
        turns(http(status=429, Retry_After=formatdate(time.time() - 9, usegmt=True)), PICTURE),
        visits=2,
    ),
    bad("of 429 for ever", http(status=429, Retry_After="0"), visits=3),
    bad("of 429 for an hour", http(status=429, Retry_After="3600"), visits=1),
    bad("of 429 for an eternity", http(status=429, Retry_After="9" * 5000), visits=1),
    bad(
        "of 503 until next week",
        lambda _: http(status=503, Retry_After=formatdate(time.time() + 7e5, usegmt=True)),
    ),
    bad("of 503 for ever", http(status=503, Retry_After="0"), visits=3),
]
#: Answers without a status count against their host, and five in a row end it: mixed.
_NO_ANSWERS = [
    bad("of a length below 0", told(http(PNG, length=-9))),
    bad("of a length in words", told(http(PNG, length=-1, Content_Length="ten"))),
    bad("of two lengths", told(http(PNG, Content_length="7"))),
    bad("of a length of 5000 digits", told(http(PNG, length=-1, Content_Length="9" * 5000))),
    bad("closed at once", lambda _: None),
    bad("reset at once", reset),
    bad("of garbage", told(f"{KEY}\0\1\2\r\n\r\n".encode())),
    bad("of a picture without a head", told(PNG)),
    bad("of http 0.9", told(b"<html>")),
    bad("of ssh", told(b"SSH-2.0-OpenSSH_9.9\r\n")),
    bad("of tls", told(bytes.fromhex("15030300020246"))),
    bad("of a status of four digits", told(b"HTTP/1.1 2000 x\r\n\r\n")),
    bad("of http 2", told(b"HTTP/2 200\r\n\r\n")),
    bad("of a header without a name", told(f"HTTP/1.1 200 x\r\n{KEY}\r\n\r\n".encode())),
    bad("of a header folded", told(b"HTTP/1.1 200 x\r\n a: b\r\n\r\n")),
    bad("of headers without end", endless(b"HTTP/1.1 200 x\r\n", lambda: b"a: b\r\n" * 1000)),
    bad("of a header without end", endless(b"HTTP/1.1 200 x\r\na: ", lambda: b"b" * 9000)),
    bad("of a head cut short", told(b"HTTP/1.1 200 x\r\nContent-Le")),
    bad("of another protocol", told(f"HTTP/1.1 101 x\r\nUpgrade: {KEY}\r\n\r\n".encode())),
    bad("of hints and no more", told(b"HTTP/1.1 103 soon\r\n\r\n" * 9)),
]
BROKEN = [
    page
    for number, broken in enumerate(_NO_ANSWERS)
    for page in (
        broken,
        good(f"after breakage {number}", http(PNG, Connection="close")),
        bad(f"gone {number}", http(status=410, Connection="close")),
    )
]
DRIPS = [
    bad("dripping in its head", dripping(PICTURE, 0.5)),
    bad(
        "dripping in its body",
        lambda asked: asked.connection.sendall(http(length=99)) or dripping(PNG, 0.5)(asked),
    ),
]
EQUAL = [
    good("here and there", PICTURE, visits=1),
    *(
        Page(
            f"fetched here and there again {number}",
            Accepted(*SIZE),
            built=Built(None, PNG),
            visits=None,
            url=f"http://127.0.0.1:{{port}}/fetched-here-and-there{QUERY}",
        )
        for number in range(9)
    ),
]
ALL = [*KINDS, *BODIES, *CODINGS, *SIZES]


def cases(pages: list[Page]) -> list[Case]:
    """Return the cases of pages."""
    return [page.case() for page in pages]


CASES, BREAKING, DRIPPING, BUSY = map(cases, (ALL, BROKEN, DRIPS, STATUSES))
REDIRECTED, EQUALS = cases(REDIRECTS), cases(EQUAL)
#: Without leave of its own this machine's server is asked for nothing.
LEAVES = [
    Page(f"fetched from here {words}", REFUSED, PICTURE, visits=0)
    for words in ("without leave", "with leave for another port")
]
NOT_ALLOWED, NOT_THERE = cases(LEAVES[:1]), cases(LEAVES[1:])


def opened(cases_of: tuple[Case, ...] | list[Case]) -> Web:
    """Start the servers for a group of cases."""
    names = {case.name for case in cases_of}
    pages = [
        page
        for page in [*LEAVES, *ALL, *STATUSES, *BROKEN, *DRIPS, *REDIRECTS, *EQUAL]
        if page.name in names
    ]
    visits = {page.path: page.visits for page in pages if page.visits is not None}
    return Web({**BEHIND, **{page.path: page.answer for page in pages}}, visits)
