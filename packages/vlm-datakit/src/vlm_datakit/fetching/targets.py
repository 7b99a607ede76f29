"""What the text of a URL may be before anybody is asked: the first of two judgements.

The other is of the address that the name leads to; see `vlm_datakit.fetching.connections`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.fetching.addresses import host_name
from vlm_datakit.version import __version__

_HEADERS = (
    ("User-Agent", f"vlm-datakit/{__version__}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
)
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked for, as far as its text can tell."""

    url: httpx2.URL
    host: str
    port: int

    def request(self, extensions: dict[str, Any]) -> httpcore2.Request:
        """Return the request for it; nothing of earlier answers goes into one."""
        url = httpcore2.URL(
            scheme=self.url.scheme, host=self.host, port=self.port, target=self.url.raw_path
        )
        name = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port != _PORTS[self.url.scheme] else ""
        headers = [("Host", f"{name}{port}"), *_HEADERS]
        return httpcore2.Request("GET", url, headers=headers, extensions=extensions)


def parse_target(text: str, base: Target | None = None) -> Target:
    """Read the URL of a picture, or of a redirect from ``base``.

    White space around it is dropped. Other schemes than http and https, user info, a host
    that is neither a plain name nor an address, and a backslash, which browsers read as a
    slash and RFC 3986 does not, are refused.

    Raises:
        RowError: ``image-url-refused``.

    Source:
        RFC 3986, section 3.

    Example:
        >>> target = parse_target(" https://Images.Example./a.png?key=1#top ")
        >>> target.host, target.port, target.url.raw_path
        ('images.example', 443, b'/a.png?key=1')
    """
    try:
        url = base.url.join(text.strip()) if base else httpx2.URL(text.strip())
    except (httpx2.InvalidURL, ValueError, IndexError):
        raise _refused("no valid URL") from None
    host = host_name(url.raw_host.decode("ascii"))
    port = _PORTS.get(url.scheme, 0) if url.port is None else url.port
    if url.scheme not in _PORTS:
        raise _refused("neither http nor https")
    if url.userinfo:
        raise _refused("credentials in the URL")
    if "\\" in text or not (":" in host or _HOST.fullmatch(host)) or "%" in host:
        raise _refused("no valid host in the URL")
    if not 0 < port < 2**16:
        raise _refused("no valid port in the URL")
    return Target(url, host, port)


def shown(url: str) -> str:
    """Spell a URL after an error: user info and query may be keys to somebody's bucket.

    A text that is no URL is left out: in it a password may stand anywhere.
    """
    try:
        parsed = httpx2.URL(url.strip())
    except (httpx2.InvalidURL, ValueError, IndexError):
        return ""
    path = parsed.raw_path.partition(b"?")[0].decode()
    return ": " + quoted(f"{parsed.scheme}://{parsed.netloc.decode()}{path}")


def _refused(why: str) -> RowError:
    return RowError(Reason.IMAGE_URL_REFUSED, "$", why)
