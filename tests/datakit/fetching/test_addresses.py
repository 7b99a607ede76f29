"""Which addresses may be connected to: judged as numbers, in every wrapping."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vlm_datakit.errors import UsageError
from vlm_datakit.fetching.addresses import AllowedHost, allowed_hosts, parse_allowed, why_not
from vlm_datakit.plan import FetchPolicy

PUBLIC = ["1.1.1.1", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1"]
PUBLIC += ["2606:4700::1111", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2001:200::1"]
OWN = {
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
    "shared by a carrier's customers": ["100.64.0.0", "100.127.255.255"],
}
NEVER = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"],
    "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "fe80::1%eth0"],
    "a metadata service": ["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"],
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1"],
    "reserved for protocols": ["192.0.0.1", "2001:1::1", "2001:20::1"],
    "for documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "for benchmarks": ["198.18.0.1", "198.19.255.255"],
    "a 6to4 relay": ["192.88.99.1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8", "::2"],
    "IPv4-translated": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "a local NAT64": ["64:ff9b:1::7f00:1", "64:ff9b:1::808:808"],
    "site-local": ["fec0::1", "feff::1"],
    "6to4": ["2002:7f00:1::", "2002:808:808::1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ISATAP": ["2a00::5efe:7f00:1", "2a00::200:5efe:808:808"],
    "unassigned": ["64:ff9b:2::1", "100::1", "4000::1", "5f00::1", "1::1"],
}
NEVER["link-local"] += ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]
NEVER["a metadata service"] += ["fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe"]
NEVER["a metadata service"] += ["::ffff:100.100.100.200", "64:ff9b::168.63.129.16"]
NEVER["a metadata service"] += ["fd00:ec2::254%1"]
NOT_ALLOWED = ["", ":80", "host:", "host:0", "host:65536", "host:80x", "host:\uff18", "::1", "[::1"]
NOT_ALLOWED += ["[host]", "http://host", "host/path", "*", "*.local", "user@host", "a b", "[::1%1]"]
NOT_ALLOWED += ["b\u00fccher.example"]


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(text, words) for words, texts in table.items() for text in texts]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_connected_to(text: str) -> None:
    assert why_not(ip_address(text)) is None


@pytest.mark.parametrize(("text", "words"), cases(OWN))
def test_an_address_of_ones_own_passes_for_an_allowed_host_only(text: str, words: str) -> None:
    assert why_not(ip_address(text)) == words
    assert why_not(ip_address(text), is_allowed=True) is None


@pytest.mark.parametrize(("text", "words"), cases(NEVER))
def test_other_special_addresses_never_pass(text: str, words: str) -> None:
    assert why_not(ip_address(text)) == words
    assert why_not(ip_address(text), is_allowed=True) == words


@given(st.ip_addresses())
@example(IPv4Address("192.0.0.9"))
@example(IPv6Address("64:ff9b::a00:1"))
def test_what_passes_is_global_for_python_too(address: IPv4Address | IPv6Address) -> None:
    if why_not(address) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_never_passes_where_the_bare_one_does_not(address: IPv4Address) -> None:
    number, bare = int(address), why_not(address)

    mapped, nat64 = (IPv6Address(prefix << 32 | number) for prefix in (0xFFFF, 0x64FF9B << 64))

    assert {why_not(mapped), why_not(nat64)} == {bare}
    assert why_not(IPv6Address(0x2002 << 112 | number << 80)) == "6to4"
    assert why_not(IPv6Address(0x2A00 << 112 | 0x5EFE << 32 | number)) == "ISATAP"


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("images.local", "images.local", None),
        ("Images.Local.:8080", "images.local", 8080),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]", "::1", None),
        ("[0:0::0001]:65535", "::1", 65535),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
    ],
)
def test_an_allowed_host_is_read(text: str, name: str, port: int | None) -> None:
    assert parse_allowed(text) == AllowedHost(name, port)


@pytest.mark.parametrize("text", NOT_ALLOWED)
def test_an_allowed_host_spelled_otherwise_is_an_error_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--fetch-allow takes HOST or HOST:PORT"):
        allowed_hosts(FetchPolicy(("fine", text)))


def test_an_allowed_host_admits_its_port_and_no_other_spelling_of_an_address() -> None:
    host, at_port = parse_allowed("127.0.0.1"), parse_allowed("127.0.0.1:8080")

    assert [host.admits("127.0.0.1", port) for port in (80, 8080)] == [True, True]
    assert [at_port.admits("127.0.0.1", port) for port in (80, 8080)] == [False, True]
    assert [host.admits(name, 80) for name in ("127.1", "0x7f000001", "localhost")] == [False] * 3
    assert parse_allowed("[::1]").admits("0::1", 443)
