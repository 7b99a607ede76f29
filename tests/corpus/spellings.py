"""Hosts where no picture lies, in all the spellings that are meant to be overlooked."""

from __future__ import annotations

from .cases import Case, Reason
from .web import QUERY, Page

REFUSED = Reason.IMAGE_URL_REFUSED
#: Ways to this machine. The port behind each is one where somebody listens.
HERE = {
    "in digits": "127.0.0.1",
    "short": "127.1",
    "of three parts": "127.0.1",
    "decimal": "2130706433",
    "hex": "0x7f000001",
    "hex in capitals": "0X7F000001",
    "hex and short": "0x7f.1",
    "hex in parts": "0x7f.0x0.0x0.0x1",
    "octal": "017700000001",
    "octal in parts": "0177.0.0.1",
    "octal with zeros": "0000177.0.0.01",
    "with a dot behind": "127.0.0.1.",
    "of the same network": "127.9.9.9",
    "by name": "localhost",
    "by name in capitals": "LOCALHOST.",
    "ideographic dots": "127\u30020\u30020\u30021",
    "full width": "\uff11\uff12\uff17.0.0.1",
    "circled": "\u2460\u2461\u2466.0.0.1",
    "bold": "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1",
    "percent-coded": "%31%32%37.0.0.1",
    "with a zero byte": "127.0.0.1%00.images.example",
    "a part too large": "127.0.0.257",
    "unspecified": "0.0.0.0",
    "a zero": "0",
    "ipv6": "[::1]",
    "ipv6 in full": "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "ipv6 unspecified": "[::]",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped in hex": "[::ffff:7f00:1]",
    "compatible": "[::127.0.0.1]",
    "translated": "[::ffff:0:127.0.0.1]",
    "nat64": "[64:ff9b::7f00:1]",
    "nat64 in digits": "[64:ff9b::127.0.0.1]",
    "nat64 of a site": "[64:ff9b:1::7f00:1]",
    "6to4": "[2002:7f00:1::]",
    "teredo": "[2001:0:7f00:1::]",
    "isatap": "[2001:4860::5efe:7f00:1]",
    "with a zone": "[::1%25lo]",
    "with a bare zone": "[::1%lo]",
    "link-local with a zone": "[fe80::1%25lo]",
    "behind a user": "images.example@127.0.0.1",
    "behind a user and a port": "images.example:80@127.0.0.1",
    "behind two users": "a@images.example@127.0.0.1",
    "behind a backslash": "images.example\\@127.0.0.1",
    "in front of a backslash": "127.0.0.1\\@images.example",
    "behind an empty user": "@127.0.0.1",
    "behind a tab": "\t127.0.0.1",
    "with a tab inside": "127.0\t.0.1",
    "with a line end inside": "127.0.0.1\r\nX-A: b",
}
#: Machines beside this one, and what clouds keep for a machine alone.
BESIDE = {
    "private": "10.0.0.1",
    "private of 16 bits": "192.168.1.1",
    "private of 20 bits": "172.31.255.255",
    "private decimal": "167772161",
    "private mapped": "[::ffff:10.0.0.1]",
    "private ipv6": "[fd12:3456::1]",
    "of a carrier": "100.64.0.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata decimal": "2852039166",
    "metadata hex": "0xa9fea9fe",
    "metadata octal": "025177524776",
    "metadata short": "169.254.43518",
    "metadata with a dot behind": "169.254.169.254.",
    "metadata in full width": "\uff11\uff16\uff19.254.169.254",
    "metadata mapped": "[::ffff:169.254.169.254]",
    "metadata by nat64": "[64:ff9b::a9fe:a9fe]",
    "metadata by 6to4": "[2002:a9fe:a9fe::]",
    "metadata compatible": "[::a9fe:a9fe]",
    "metadata of ipv6": "[fd00:ec2::254]",
    "metadata of alibaba": "100.100.100.200",
    "metadata of azure": "168.63.129.16",
    "metadata of oracle": "192.0.0.192",
    "metadata behind a user": "images.example@169.254.169.254",
    "site-local": "[fec0::1]",
    "multicast": "224.0.0.1",
    "multicast ipv6": "[ff02::1]",
    "broadcast": "255.255.255.255",
    "reserved": "240.0.0.1",
    "for documentation": "192.0.2.1",
    "for documentation ipv6": "[2001:db8::1]",
    "for benchmarks": "198.18.0.1",
    "unassigned": "[100::1]",
}
#: What is neither, and no URL to fetch.
NONE = {
    "no host": "http:///a.png",
    "no port": "http://127.0.0.1:/a.png",
    "port 0": "http://127.0.0.1:0/a.png",
    "a port too large": "http://127.0.0.1:65536/a.png",
    "a port of letters": "http://127.0.0.1:http/a.png",
    "a bracket": "http://[::1/a.png",
    "a future address": "http://[v1.a]/a.png",
    "a host with a space": "http://a b/a.png",
    "of 70 kB": "http://" + "a" * 70_000,
    "ftp": "ftp://127.0.0.1:{trap}/a.png",
    "a bucket": "s3://bucket/a.png",
    "gopher": "gopher://127.0.0.1:{trap}/_FLUSHALL",
    "a socket": "unix:///run/docker.sock",
}
#: Never reached, though ``--fetch-allow`` names them.
IN_VAIN = ("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "0.0.0.0")
IN_VAIN = (*IN_VAIN, "169.254.1.1", "[::127.0.0.1]", "[2002:7f00:1::]", "[fe80::1]", "[::]")


def port(name: str) -> str:
    """Return where somebody listens, here; elsewhere the port that goes without saying."""
    return ":{trap}" if name in HERE else ""


def page(name: str, url: str) -> Page:
    return Page(f"row {name}", REFUSED, url=url, visits=None)


ROWS = [
    *(page(f"here {name}", f"http://{host}{port(name)}/{QUERY}") for name, host in HERE.items()),
    page("here in front of a fragment", f"http://127.0.0.1:{{trap}}#@images.example/{QUERY}"),
    page("here over tls", f"https://127.0.0.1:{{trap}}/{QUERY}"),
    *(page(f"beside {name}", f"http://{host}/{QUERY}") for name, host in BESIDE.items()),
    *(page(f"of {name}", url + QUERY) for name, url in NONE.items()),
]
VAIN = [
    page(f"in vain {name}", f"http://{name}:{{trap}}/{QUERY}")
    for name in (*IN_VAIN, "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]")
]
VAIN_ARGS = ("--fetch", *(arg for host in IN_VAIN for arg in ("--fetch-allow", host)))
CASES: list[Case] = [found.case() for found in ROWS]
ALLOWED_IN_VAIN: list[Case] = [found.case() for found in VAIN]
