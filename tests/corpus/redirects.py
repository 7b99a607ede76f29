"""Redirects: each is judged like the URL of a row, and none is followed for long."""

from __future__ import annotations

from ..serving import http, redirect
from .cases import Accepted, Built, Reason
from .drawings import SIZE, rgb, saved
from .spellings import BESIDE, HERE, REFUSED, port
from .web import KEY, QUERY, Page

FAILED = Reason.IMAGE_FETCH_FAILED
PNG = saved(rgb(), "PNG")
PICTURE = http(PNG)
#: Where a redirect leads that is followed, from /redirect-NAME.
GOOD = {
    "absolute": "http://127.0.0.1:{port}/behind",
    "of a path": "/behind",
    "relative": "behind",
    "of dots": "../../a/.././behind",
    "without a scheme": "//127.0.0.1:{port}/behind",
    "with a query": f"/behind{QUERY}",
    "with a fragment": f"/behind#{KEY}",
    "with spaces around": "  /behind  ",
}
#: Where one leads that is not.
BAD = {
    "to a file": "file:///etc/passwd",
    "to a file here": "file://127.0.0.1/etc/passwd",
    "to a data uri": "data:image/png;base64,iVBORw0KGgo=",
    "to ftp": "ftp://127.0.0.1:{trap}/a.png",
    "to gopher": "gopher://127.0.0.1:{trap}/_FLUSHALL",
    "to a script": "javascript:alert(1)",
    "to a user": f"http://{KEY}@127.0.0.1:{{port}}/behind",
    "to a password": f"http://me:{KEY}@127.0.0.1:{{port}}/behind",
    "to a user without a scheme": f"//{KEY}@127.0.0.1:{{port}}/behind",
    "to an empty user": "http://@127.0.0.1:{trap}/a.png",
    "to backslashes": "\\\\127.0.0.1:{trap}\\a.png",
    "to slashes of both kinds": "/\\127.0.0.1:{trap}/a.png",
    "to a bracket": "http://[::1/a.png",
    "to tls": "https://127.0.0.1:{trap}/a.png",
}
#: In a header there are no letters beyond latin-1, and no line ends.
_PLAIN = {
    name: host for name, host in {**HERE, **BESIDE}.items() if host.isascii() and host.isprintable()
}


def bad(name: str, reason: Reason, answer: bytes, visits: int = 1) -> Page:
    return Page(f"redirect {name}", reason, answer, visits=visits)


def good(name: str, answer: bytes, visits: int = 1) -> Page:
    return Page(f"redirect {name}", Accepted(*SIZE), answer, Built(None, PNG), visits)


def chain(length: int) -> dict[str, bytes]:
    """Return the pages of a chain behind its first."""
    steps = {f"/of-{length}/{n}": redirect(f"/of-{length}/{n - 1}") for n in range(1, length)}
    return {**steps, f"/of-{length}/0": PICTURE}


PAGES = [
    *(good(name, redirect(location)) for name, location in GOOD.items()),
    *(good(f"of {status}", redirect("/behind", status)) for status in (301, 303, 307, 308)),
    good("five times", redirect("/of-5/4")),
    bad("six times", FAILED, redirect("/of-6/5")),
    bad("to itself", FAILED, redirect("/redirect-to-itself"), visits=6),
    bad("in a ring", FAILED, redirect("/ring"), visits=3),
    bad("ever longer", FAILED, redirect("/redirect-ever-longer?a"), visits=6),
    bad("nowhere", FAILED, http(status=302)),
    bad("to an empty place", FAILED, redirect(""), visits=6),
    bad("in letters of its own", FAILED, http(status=302, Location="/\xff\xfe")),
    bad("of status 300", FAILED, redirect("/behind", 300)),
    bad("of status 304", FAILED, redirect("/behind", 304)),
    bad("to a page that is gone", FAILED, redirect("/gone")),
    *(bad(f"{name}", REFUSED, redirect(where)) for name, where in BAD.items()),
    *(
        bad(f"to {name}", REFUSED, redirect(f"http://{host}{port(name)}/a.png"))
        for name, host in _PLAIN.items()
    ),
]
BEHIND = {"/behind": PICTURE, "/ring": redirect("/redirect-in-a-ring"), **chain(5), **chain(6)}
