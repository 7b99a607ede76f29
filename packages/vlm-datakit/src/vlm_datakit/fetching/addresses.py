"""Which internet addresses a picture may be fetched from.

A URL comes from somebody's data, and whoever runs the import may sit beside an intranet or
a cloud's metadata service. Addresses are judged, never names: names are what attackers
choose. Own tables, because `ipaddress` changes its mind between patch releases of Python
and calls ``64:ff9b::7f00:1``, ``fec0::1`` and 224.0.0.1 global.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from vlm_datakit.errors import UsageError
from vlm_datakit.plan import FetchPolicy

Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

#: Where clouds keep the keys of a machine, beside 169.254.0.0/16 and fe80::/10.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure, a public address that is none
        "192.0.0.192",  # Oracle
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:ec2::254",  # Amazon
        "fd00:42::42",  # Scaleway
        "fd20:ce::254",  # Google
    )
)

#: What a host of one's own may have, if it is allowed by name.
_OWN = {
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier's customers",
    "127.0.0.0/8": "loopback",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "::1/128": "loopback",
    "fc00::/7": "private",
}

#: What no picture lies behind, whoever allows it. The first network that fits names it.
_NEVER = {
    "0.0.0.0/8": "unspecified",
    "169.254.0.0/16": "link-local",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "255.255.255.255/32": "broadcast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "::/96": "IPv4-compatible",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b:1::/48": "a local NAT64",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
    "2001::/32": "Teredo",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "for documentation",
    "2002::/16": "6to4",
    "3fff::/20": "for documentation",
}
_GLOBAL_UNICAST = ip_network("2000::/3")  # all else of IPv6 is unassigned or special
_NAT64 = ip_network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # bits 32 to 63 of the interface's half


def _networks(table: dict[str, str]) -> tuple[tuple[_Network, str], ...]:
    return tuple((ip_network(text), words) for text, words in table.items())


_OWN_NETWORKS, _NEVER_NETWORKS = _networks(_OWN), _networks(_NEVER)


def why_not(address: Address, *, is_allowed: bool = False) -> str | None:
    """Say in words why an address may not be connected to; None if it may.

    IPv4-mapped and NAT64 addresses are judged as the IPv4 address that the connection ends
    at. All other ways to wrap one (IPv4-compatible, 6to4, Teredo, ISATAP) are refused: no
    picture server has needed them for years.

    Args:
        address: Where the connection would go; a zone id counts for nothing.
        is_allowed: Whether the host may be the user's own: then private, shared and loopback
            addresses pass. Link-local and metadata addresses never do.

    Source:
        IANA's special-purpose registries (RFC 6890), RFC 4291, RFC 6052, RFC 5214.

    Example:
        >>> why_not(ip_address("93.184.215.14")) is None
        True
        >>> why_not(ip_address("64:ff9b::7f00:1")), why_not(ip_address("fec0::1"))
        ('loopback', 'site-local')
        >>> why_not(ip_address("127.0.0.1"), is_allowed=True) is None
        True
    """
    address = _unwrapped(address)
    if address in _METADATA:
        return "a metadata service"
    if (own := _network_of(address, _OWN_NETWORKS)) is not None:
        return None if is_allowed else own
    if (never := _network_of(address, _NEVER_NETWORKS)) is not None:
        return never
    if isinstance(address, IPv6Address):
        if address not in _GLOBAL_UNICAST:
            return "unassigned"
        if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
            return "ISATAP"
    return None


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    address = IPv6Address(int(address))  # without its zone
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _network_of(address: Address, networks: tuple[tuple[_Network, str], ...]) -> str | None:
    return next((words for network, words in networks if address in network), None)


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host that may have an address of one's own; ``port`` None means any."""

    name: str
    port: int | None = None

    def admits(self, host: str, port: int) -> bool:
        """Whether a URL's host and port are meant."""
        return self.name == host_name(host) and self.port in (None, port)


def parse_allowed(text: str) -> AllowedHost:
    """Read ``HOST[:PORT]``: a name, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        UsageError: for anything else, a URL or a wildcard among them.

    Example:
        >>> parse_allowed("Images.local:8080"), parse_allowed("[::1]")
        (AllowedHost(name='images.local', port=8080), AllowedHost(name='::1', port=None))
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", text)
    port = int(found[2]) if found and found[2] else None
    if found and port != 0 and (port or 1) < 2**16:
        try:
            name = str(IPv6Address(found[1][1:-1])) if text.startswith("[") else found[1]
            return AllowedHost(host_name(name), port)
        except ValueError:
            pass
    raise UsageError(
        f"--fetch-allow takes HOST or HOST:PORT (IPv6 in brackets), not {text!r}; "
        "no scheme, no path, no wildcard; a name beyond ASCII in its xn-- form"
    )


def allowed_hosts(policy: FetchPolicy | None) -> tuple[AllowedHost, ...]:
    """Read the hosts that a policy allows.

    Raises:
        UsageError: as `parse_allowed`.
    """
    return tuple(map(parse_allowed, policy.allowed)) if policy else ()


def host_name(host: str) -> str:
    """Spell a host in the one way in which hosts are compared.

    Example:
        >>> host_name("Images.Example."), host_name("0:0::1")
        ('images.example', '::1')
    """
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")
