"""Pictures by URL against real servers on loopback: friendly, broken and hostile ones."""

from __future__ import annotations

import _socket
import gzip
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.fetching.connections import Machine, resolve_host
from vlm_datakit.fetching.fetch import Fetcher
from vlm_datakit.fetching.targets import parse_target
from vlm_datakit.plan import FetchPolicy

PICTURE = bytes(range(256)) * 400
REFUSED, FAILED, TOO_LARGE = (
    Reason.IMAGE_URL_REFUSED,
    Reason.IMAGE_FETCH_FAILED,
    Reason.IMAGE_TOO_LARGE,
)
MAX_BYTES = 200_000


def resolve_here(host: str, port: int) -> list[str]:
    """Resolve numbers in any spelling, which conftest.py takes for names, and local names."""
    try:
        found = _socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return resolve_host(host, port)
    return [found[0][4][0]]


def always(*addresses: str) -> Callable[[str, int], list[str]]:
    """Return a resolver that knows one answer."""
    return lambda *_: list(addresses)


class Fetch:
    """A fetcher of a test: loopback is allowed, and sleeps are only noted."""

    def __init__(self, **machine: Any) -> None:
        self.slept: list[float] = []
        self.written = 0
        self.policy = FetchPolicy(allowed=("127.0.0.1",), timeout_s=5, max_body_bytes=300_000)
        defaults = {"resolve": resolve_here, "sleep": self.slept.append}
        self.machine = Machine(**{**defaults, **machine})
        self.fetchers: list[Fetcher] = []

    def fetcher(self, **policy: Any) -> Fetcher:
        self.fetchers.append(Fetcher(replace(self.policy, **policy), self.machine))
        return self.fetchers[-1]

    def __call__(self, url: str, max_bytes: int = MAX_BYTES, **policy: Any) -> bytes:
        """Return a picture, fetched by a new fetcher or the one last made."""
        fetcher = self.fetchers[-1] if self.fetchers and not policy else self.fetcher(**policy)
        pieces: list[bytes] = []
        try:
            fetcher.fetch(url, max_bytes, pieces.append)
        finally:
            self.written = sum(map(len, pieces))
        return b"".join(pieces)

    def error(self, url: str, **policy: Any) -> tuple[Reason, str]:
        """Return the reason and the words of a fetch that has to fail."""
        with pytest.raises(RowError) as caught:
            self(url, **policy)
        return caught.value.reason, caught.value.seen


@pytest.fixture
def fetching() -> Iterator[Callable[..., Fetch]]:
    """Make fetchers on machines of a test's own; they are closed when it ends."""
    made: list[Fetch] = []

    def make(**machine: Any) -> Fetch:
        made.append(Fetch(**machine))
        return made[-1]

    yield make
    for fetch in made:
        for fetcher in fetch.fetchers:
            fetcher.close()


@pytest.fixture
def fetch(fetching: Callable[..., Fetch]) -> Fetch:
    return fetching()


# What goes well


def test_a_picture_is_fetched_and_the_request_says_little(serve: Any, fetch: Fetch) -> None:
    server = serve({"/a.png?key=1": serve.http(PICTURE)})

    assert fetch(server.url("/a.png?key=1#top")) == PICTURE
    (asked,) = server.asked
    assert asked.head.split("\r\n") == [
        "GET /a.png?key=1 HTTP/1.1",
        f"Host: {server.host}",
        "User-Agent: vlm-datakit/0.1.0",
        "Accept: */*",
        "Accept-Encoding: identity",
        "",
        "",
    ]


def test_a_connection_is_kept_for_the_next_picture_and_no_cookie_is(
    serve: Any, fetch: Fetch
) -> None:
    server = serve(lambda _: serve.http(PICTURE, Set_Cookie="a=b"))

    assert [fetch(server.url(f"/{number}")) for number in range(3)] == [PICTURE] * 3
    assert server.connections == 1
    assert "ookie" not in server.asked[2].head


def test_a_kept_connection_that_was_closed_is_replaced(serve: Any, fetch: Fetch) -> None:
    answered = threading.Event()

    def answer(asked: Any) -> bytes | None:
        if len(server.asked) == 2:  # the request on the kept connection: hang up
            return None
        return serve.http(PICTURE)

    server = serve(answer)

    assert [fetch(server.url()), fetch(server.url())] == [PICTURE] * 2
    assert (server.connections, len(server.asked), answered.is_set()) == (2, 3, False)


def test_more_bytes_than_announced_do_not_reach_the_next_picture(serve: Any, fetch: Fetch) -> None:
    lie = serve.http(b"short and more", length=5)
    server = serve({"/lie": lie, "/b": serve.http(PICTURE)})

    assert fetch(server.url("/lie")) == b"short"
    assert fetch(server.url("/b")) == PICTURE


def test_an_answer_nobody_asked_for_is_not_the_next_picture(serve: Any, fetch: Fetch) -> None:
    twice = serve.http(b"its own") + serve.http(b"another's")
    server = serve({"/twice": twice, "/b": serve.http(PICTURE)})

    assert fetch(server.url("/twice")) == b"its own"
    assert fetch(server.url("/b")) == PICTURE
    assert server.connections == 2


def test_a_body_without_a_length_ends_with_the_connection(serve: Any, fetch: Fetch) -> None:
    def answer(asked: Any) -> None:
        asked.connection.sendall(serve.http(PICTURE, length=-1))

    assert fetch(serve(answer).url()) == PICTURE


@pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_one_layer_of_gzip_is_unpacked(serve: Any, fetch: Fetch, name: str) -> None:
    server = serve({"/a.png": serve.http(gzip.compress(PICTURE), Content_Encoding=name)})

    assert fetch(server.url()) == PICTURE


def test_proxies_in_the_environment_are_not_used(
    serve: Any, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve({"/a.png": serve.http(PICTURE)}), serve({})
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.host}")

    assert fetch(server.url()) == PICTURE
    assert proxy.connections == 0


# What a URL may be


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1/a.png", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("data:image/png;base64,AAAA", "neither http nor https"),
        ("gopher://127.0.0.1:70/_x", "neither http nor https"),
        ("//127.0.0.1/a.png", "neither http nor https"),
        ("http://me@127.0.0.1/", "credentials"),
        ("http://me:key@127.0.0.1/", "credentials"),
        ("http://public.example@127.0.0.1/", "credentials"),
        ("http://public.example:80@127.0.0.1/", "credentials"),
        ("http://127.0.0.1\\@public.example/", "credentials"),
        ("http://public.example\\@127.0.0.1/", "credentials"),
        ("http://127.0.0.1\\.public.example/", "no valid host"),
        ("http://public.example/\\@127.0.0.1", "no valid host"),
        ("http:///a.png", "no valid host"),
        ("http:a.png", "no valid host"),
        ("http://%31%32%37.0.0.1/", "no valid host"),
        ("http://a b/", "no valid host"),
        ("http://-x/", "no valid host"),
        ("http://[fe80::1%25eth0]/", "no valid host"),
        ("http://[::1%lo]/", "no valid host"),
        ("http://[::1/", "no valid URL"),
        ("http://[::1]x/", "no valid URL"),
        ("http://[v1.a]/", "no valid URL"),
        ("http://\uff11\uff12\uff17.0.0.1/", "no valid URL"),  # full-width digits
        ("http://\u2460\u2461\u2466.0.0.1/", "no valid URL"),  # circled digits
        ("http://127.0.0.256/", "no valid URL"),
        ("http://0177.0.0.1/", "no valid URL"),
        ("http://a:b/", "no valid URL"),
        ("http://a:80:80/", "no valid URL"),
        ("http://a/\n", "no valid URL"),
        ("http://a/\r\nX: y", "no valid URL"),
        ("http://a:0/", "no valid port"),
        ("http://a:65536/", "no valid port"),
        ("http://" + "a" * 70_000, "no valid URL"),
    ],
)
def test_a_url_that_is_none_or_hides_something_is_refused(url: str, words: str) -> None:
    if url.endswith("\n"):
        url = f"{url}x"  # white space around a URL is dropped
    with pytest.raises(RowError) as caught:
        parse_target(url)

    assert caught.value.reason is REFUSED
    assert caught.value.seen.startswith(words)


@given(st.one_of(st.text(), st.from_regex(r"https?://[^/]{0,20}/.{0,9}")))
def test_whatever_a_text_holds_it_is_a_target_or_refused(text: str) -> None:
    try:
        target = parse_target(text)
    except RowError as error:
        assert error.reason is REFUSED
    else:
        assert target.request({}).url.scheme in (b"http", b"https")
        assert not set(target.host) & set("@/\\%# \t\r\n")


LOOPBACK = ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1"]
LOOPBACK += [
    "017700000001",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST.",
    "127\u30020\u30020\u30021",
    "127.9.9.9",
]
LOOPBACK += ["[::1]", "[0:0::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_refused_in_every_spelling(serve: Any, fetch: Fetch, host: str) -> None:
    server = serve({"/a.png": serve.http(PICTURE)})

    reason, words = fetch.error(server.url(host=host), allowed=())

    assert (reason, server.connections) == (REFUSED, 0)
    assert words.startswith("the address ")
    assert " is loopback: " in words


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "[::]", "[::127.0.0.1]", "[2002:7f00:1::]"])
def test_what_ends_at_this_machine_by_a_detour_is_refused_even_if_allowed(
    serve: Any, fetch: Fetch, host: str
) -> None:
    server = serve({"/a.png": serve.http(PICTURE)})

    reason, _ = fetch.error(server.url(host=host), allowed=(host,))

    assert (reason, server.connections) == (REFUSED, 0)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[::ffff:169.254.169.254]"]
)
def test_a_metadata_service_is_refused_even_if_allowed(fetch: Fetch, host: str) -> None:
    reason, words = fetch.error(f"http://{host}/latest", allowed=(host,))

    assert reason is REFUSED
    assert "link-local" in words or "a metadata service" in words


def test_an_allowed_host_is_admitted_at_its_port_only(serve: Any, fetch: Fetch) -> None:
    server = serve({"/a.png": serve.http(PICTURE)})

    assert fetch(server.url(), allowed=(server.host,)) == PICTURE
    assert (
        fetch.error(server.url(), allowed=(f"127.0.0.1:{server.port % 65_535 + 1}",))[0] is REFUSED
    )
    assert fetch.error(server.url(host="127.1"), allowed=("127.0.0.1",))[0] is REFUSED


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pass@h.invalid/a.png?token=1#x", ': "https://h.invalid/a.png"'),
        ("ftp://h.invalid/a?token=1", ': "ftp://h.invalid/a"'),
        ("http://me:pa?ss@h.invalid/", ""),
        ("http://me:pass@h.invalid:x/", ""),
    ],
)
def test_an_error_shows_no_secret(fetch: Fetch, url: str, shown: str) -> None:
    _, words = fetch.error(url)

    assert words.partition(":")[1] + words.partition(":")[2] == shown


# The address judged is the one connected to


def test_an_answer_of_dns_is_asked_for_once_and_connected_to(serve: Any, fetching: Any) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    server = serve({"/a.png": serve.http(PICTURE)})
    fetch = fetching(resolve=resolve)

    assert fetch(server.url(host="images.test"), allowed=("images.test",)) == PICTURE
    assert asked == ["images.test"]
    assert server.asked[0].connection.getsockname() == ("127.0.0.1", server.port)
    assert f"\r\nHost: images.test:{server.port}\r\n" in server.asked[0].head


def test_a_public_address_is_connected_to_as_a_number(fetching: Any) -> None:
    fetch = fetching(resolve=always("93.184.215.14"))

    with pytest.raises(Exception, match=r"93\.184\.215\.14") as caught:  # tests reach no other
        fetch("http://localhost/a.png", allowed=())

    assert caught.typename == "NetworkError"


def test_of_several_addresses_the_first_that_may_and_answers_is_taken(
    serve: Any, fetching: Any
) -> None:
    addresses = ["169.254.169.254", "127.0.0.9", "127.0.0.1"]  # nobody listens at the second
    server = serve({"/a.png": serve.http(PICTURE)})
    fetch = fetching(resolve=always(*addresses))

    assert fetch(server.url(host="images.test"), allowed=("images.test",)) == PICTURE


@pytest.mark.parametrize(
    ("error", "words", "tries"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "no connection (no such host)", 1),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "no connection (try again)", 3),
        (UnicodeError("label too long"), "no connection (no such host)", 1),
    ],
)
def test_a_name_that_is_not_found(fetching: Any, error: Exception, words: str, tries: int) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        raise error

    found = fetching(resolve=resolve).error("http://gone.test/a.png")

    assert found == (FAILED, f'{words}: "http://gone.test/a.png"')
    assert len(asked) == tries


def test_a_name_server_that_does_not_answer_takes_no_longer_than_a_picture_may(
    fetching: Any,
) -> None:
    asked = threading.Event()
    fetch = fetching(resolve=lambda *_: asked.wait(5) and [])

    before = time.monotonic()
    found = fetch.error("http://slow.test/", timeout_s=0.3)

    assert found == (FAILED, 'not there within 0.3 s: "http://slow.test/"')
    assert time.monotonic() - before < 2
    asked.set()


def test_a_bug_of_the_resolver_is_none_of_the_rows(fetching: Any) -> None:
    fetch = fetching(resolve=lambda *_: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        fetch("http://a.test/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for images.test that nobody but this test trusts."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=images.test", "-keyout", path, "-out", path]
    command += ["-addext", "subjectAltName=DNS:images.test"]
    try:
        done = subprocess.run([*command[:-4], *command[-4:]], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no openssl here")
    assert done.returncode == 0
    return path


def tls_server(serve: Any, certificate: Path) -> Any:
    """A server that speaks TLS on each connection it takes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return serve({"/a.png": serve.http(PICTURE)}, wrap=lambda c: context.wrap_socket(c, True))


@pytest.mark.parametrize(
    ("host", "words"),
    [("images.test", None), ("other.test", "no connection (its certificate: Hostname mismatch")],
)
def test_tls_verifies_the_name_though_the_address_was_resolved_before(
    serve: Any, fetching: Any, certificate: Path, host: str, words: str | None
) -> None:
    server = tls_server(serve, certificate)
    fetch = fetching(
        resolve=always("127.0.0.1"),
        ssl_context=lambda: ssl.create_default_context(cafile=certificate),
    )
    url = f"https://{host}:{server.port}/a.png"

    if words is None:
        assert fetch(url, allowed=(host,)) == PICTURE
    else:
        reason, seen = fetch.error(url, allowed=(host,))
        assert (reason, seen[: len(words)], fetch.slept) == (FAILED, words, [])


def test_the_authorities_of_the_environment_are_not_trusted(
    serve: Any, fetching: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = tls_server(serve, certificate)
    fetch = fetching(resolve=always("127.0.0.1"))

    reason, words = fetch.error(f"https://images.test:{server.port}/", allowed=("images.test",))

    assert reason is FAILED
    assert words.startswith("no connection (its certificate: ")


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["/b.png?c", "b.png?c", "//{host}/b.png?c#d", "http://{host}/b.png?c"]
)
def test_a_redirect_is_followed(serve: Any, fetch: Fetch, status: int, location: str) -> None:
    def answer(asked: Any) -> bytes:
        if asked.path == "/a.png":
            return serve.redirect(location.format(host=server.host), status)
        return serve.http(PICTURE)

    server = serve(answer)

    assert fetch(server.url()) == PICTURE
    assert server.paths == ["/a.png", "/b.png?c"]


def test_five_redirects_are_followed_and_a_sixth_is_not(serve: Any, fetch: Fetch) -> None:
    chain = {f"/{n}": serve.redirect(f"/{n - 1}") for n in range(1, 8)}
    server = serve({**chain, "/0": serve.http(PICTURE)})

    assert fetch(server.url("/5")) == PICTURE
    assert fetch.error(server.url("/6")) == (
        FAILED,
        f'redirected, over 5 times: "{server.url("/6")}"',
    )


def test_a_loop_of_redirects_ends(serve: Any, fetch: Fetch) -> None:
    server = serve({"/a.png": serve.redirect("/a.png")})

    assert fetch.error(server.url())[0] is FAILED
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://169.254.169.254/latest", "the address 169.254.169.254 is link-local"),
        ("http://[fd00:ec2::254]/", "the address fd00:ec2::254 is a metadata service"),
        ("http://localhost:1/", "the address 127.0.0.1 is loopback"),
        ("//0/x", "the address 0.0.0.0 is unspecified"),
        ("file:///etc/passwd", "neither http nor https"),
        ("data:image/png;base64,AAAA", "neither http nor https"),
        ("ftp://127.0.0.1/secret", "neither http nor https"),
        ("http://me:secret@127.0.0.1/", "credentials in the URL"),
        ("//me@127.0.0.1/", "credentials in the URL"),
        ("http://[::1/secret", "no valid URL"),
        ("\\\\127.0.0.1\\secret", "no valid host in the URL"),
    ],
)
def test_a_redirect_is_judged_again_and_not_quoted(
    serve: Any, fetch: Fetch, location: str, words: str
) -> None:
    server = serve({"/a.png": serve.redirect(location)})

    found = fetch.error(server.url())

    assert found == (REFUSED, f'redirected, {words}: "{server.url()}"')


def test_a_redirect_without_a_target_fails(serve: Any, fetch: Fetch) -> None:
    server = serve({"/a.png": serve.http(status=302)})

    assert fetch.error(server.url())[1].startswith("status 302 that leads nowhere: ")


# Statuses and retries


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 500, 502, 504])
def test_another_status_fails_at_once(serve: Any, fetch: Fetch, status: int) -> None:
    server = serve({"/a.png": serve.http(b"", status=status)})

    found = fetch.error(server.url())

    assert found == (FAILED, f'status {status}: "{server.url()}"')
    assert (len(server.asked), fetch.slept) == (1, [])


def test_503_twice_and_then_a_picture(serve: Any, fetch: Fetch) -> None:
    answers = iter([serve.http(status=503), serve.http(status=503), serve.http(PICTURE)])
    server = serve(lambda _: next(answers))

    assert fetch(server.url()) == PICTURE
    assert fetch.slept == [1.0, 2.0]


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("asked", "slept"),
    [
        ("0", [0.0, 0.0]),
        ("1", [1.0, 1.0]),
        (formatdate(NOW + 2, usegmt=True), [2.0, 2.0]),
        (formatdate(NOW - 9, usegmt=True), [0.0, 0.0]),
        ("soon", [1.0, 2.0]),
        ("-1", [1.0, 2.0]),
        ("Fri, 99 Xyz 9999999 99:99:99 GMT", [1.0, 2.0]),
    ],
)
def test_retry_after_is_honoured(serve: Any, fetching: Any, asked: str, slept: list[float]) -> None:
    server = serve(lambda _: serve.http(status=429, Retry_After=asked))
    fetch = fetching(unix_time=lambda: float(NOW))

    found = fetch.error(server.url())

    assert found == (FAILED, f'status 429, 3 times: "{server.url()}"')
    assert (fetch.slept, len(server.asked)) == (slept, 3)


@pytest.mark.parametrize("asked", ["3600", "9" * 5000, formatdate(NOW + 3600, usegmt=True)])
def test_retry_after_beyond_the_time_of_a_picture_fails_at_once(
    serve: Any, fetching: Any, asked: str
) -> None:
    server = serve(lambda _: serve.http(status=429, Retry_After=asked))
    fetch = fetching(unix_time=lambda: float(NOW))

    reason, words = fetch.error(server.url())

    assert (reason, fetch.slept, len(server.asked)) == (FAILED, [], 1)
    assert words.startswith("status 429, and to wait ")
    assert " s is beyond the time of a picture: " in words


def test_a_host_without_a_connection_is_asked_for_five_pictures_and_no_more(fetching: Any) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.9"]

    fetch = fetching(resolve=resolve)
    fetch.fetcher(allowed=("dead.test",))
    errors = [fetch.error(f"http://dead.test:9/{number}") for number in range(8)]

    refused = "no connection (Connection refused): "
    assert [words.startswith(refused) for _, words in errors] == [True] * 5 + [False] * 3
    assert errors[7][1].startswith("a host that did not answer five times in a row")
    assert {reason for reason, _ in errors} == {FAILED}
    assert (len(asked), fetch.slept) == (15, [1.0, 2.0] * 5)


def test_a_host_that_takes_connections_and_says_nothing_is_dead_too(
    serve: Any, fetch: Fetch
) -> None:
    server = serve(lambda asked: asked.connection.recv(1) and None)
    fetch.fetcher(timeout_s=0.1)

    errors = [fetch.error(server.url())[1] for _ in range(6)]

    assert [words.startswith("not there within 0.1 s") for words in errors] == [True] * 5 + [False]
    assert len(server.asked) == 5


def test_an_answer_of_any_kind_brings_a_host_back(serve: Any, fetch: Fetch) -> None:
    def answer(asked: Any) -> bytes | None:
        return serve.http(status=404) if asked.path == "/4" else asked.connection.recv(1)

    server = serve(answer)
    fetch.fetcher(timeout_s=0.1)

    errors = [fetch.error(server.url(f"/{number}"))[1] for number in range(9)]

    assert [words.startswith("not there within") for words in errors] == [True] * 4 + [False] + [
        True
    ] * 4


def test_a_host_that_is_refused_is_refused_for_every_picture(serve: Any, fetch: Fetch) -> None:
    fetch.fetcher(allowed=())

    assert [fetch.error("http://127.0.0.1/")[0] for _ in range(9)] == [REFUSED] * 9


# Time


def test_a_byte_now_and_then_does_not_renew_the_time(serve: Any, fetch: Fetch) -> None:
    slow = serve.dripping(serve.http(PICTURE), 0.05)

    before = time.monotonic()
    found = fetch.error(serve({"/a.png": slow}).url(), timeout_s=0.4)  # while the head drips

    assert found[0] is FAILED
    assert found[1].startswith("not there within 0.4 s: ")
    assert time.monotonic() - before < 1.5


@pytest.mark.parametrize("head", ["body", "informational", "chunked", "silent", "tls"])
def test_the_time_of_a_picture_holds_whatever_drips(serve: Any, fetch: Fetch, head: str) -> None:
    openings = {
        "body": serve.http(length=100_000),
        "informational": b"",
        "chunked": serve.http(length=-1, Transfer_Encoding="chunked"),
    }
    pieces = {"body": b"x", "informational": b"HTTP/1.1 102 wait\r\n\r\n", "chunked": b"1\r\nx\r\n"}

    def answer(asked: Any) -> None:
        asked.connection.sendall(openings.get(head, b""))
        while True:
            asked.connection.sendall(pieces.get(head, b""))
            time.sleep(0.05)

    server = serve(answer)
    url = server.url().replace("http:", "https:") if head == "tls" else server.url()
    before = time.monotonic()
    found = fetch.error(url, timeout_s=0.4)

    assert found == (FAILED, f'not there within 0.4 s: "{url}"')
    assert time.monotonic() - before < 1.5


def test_a_server_that_does_not_take_the_connection(fetching: Any) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        before = time.monotonic()

        found = fetching().error(f"http://127.0.0.1:{full.getsockname()[1]}/", timeout_s=0.6)

        assert found[0] is FAILED
        assert time.monotonic() - before < 2
        for one in waiting:
            one.close()


def test_redirects_share_one_time(serve: Any, fetch: Fetch) -> None:
    def answer(asked: Any) -> bytes:
        time.sleep(0.15)
        return serve.redirect(f"{asked.path}x")

    assert fetch.error(serve(answer).url(), timeout_s=0.4)[1].startswith(
        "redirected, not there within 0.4 s: "
    )


# Size


def test_a_length_over_the_limit_is_refused_before_the_body(serve: Any, fetch: Fetch) -> None:
    sent: list[int] = []

    def answer(asked: Any) -> None:
        asked.connection.sendall(serve.http(length=MAX_BYTES + 1))
        time.sleep(0.1)
        sent.append(len(asked.connection.recv(1)))  # the other side has hung up

    server = serve(answer)

    found = fetch.error(server.url())

    assert found == (TOO_LARGE, f'{MAX_BYTES + 1} bytes: "{server.url()}"')
    assert fetch.written == 0
    time.sleep(0.2)
    assert sent == [0]


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_an_endless_body_is_cut_at_the_limit(serve: Any, fetch: Fetch, coding: str) -> None:
    def answer(asked: Any) -> None:
        head = serve.http(length=-1, **({"Content_Encoding": coding} if coding else {}))
        asked.connection.sendall(head)
        pack = zlib.compressobj(9, wbits=31) if coding else None
        while True:
            asked.connection.sendall(pack.compress(bytes(2**24)) if pack else bytes(2**16))

    server = serve(answer)

    found = fetch.error(server.url())

    assert found == (TOO_LARGE, f'over {MAX_BYTES} bytes: "{server.url()}"')
    assert fetch.written <= MAX_BYTES


def test_a_gzip_bomb_stops_at_the_limit(serve: Any, fetch: Fetch) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    server = serve({"/a.png": serve.http(bomb, Content_Encoding="gzip")})

    assert len(bomb) < MAX_BYTES
    assert fetch.error(server.url())[0] is TOO_LARGE
    assert fetch.written <= MAX_BYTES


def test_the_wire_has_a_limit_of_its_own(serve: Any, fetch: Fetch) -> None:
    padded = gzip.compress(b"")[:3] + b"\x10" + bytes(6) + b"n" * 400_000 + b"\0"  # a long name
    plain = serve.http(padded, Content_Encoding="gzip")
    open_ = serve.http(padded, length=-1, Content_Encoding="gzip")
    server = serve({"/told": plain, "/open": lambda asked: asked.connection.sendall(open_)})

    assert fetch.error(server.url("/told"))[1].startswith("400011 bytes: ")
    assert fetch.error(server.url("/open"))[1].startswith("over 300000 bytes: ")


def test_the_smaller_of_the_two_limits_holds(serve: Any, fetch: Fetch) -> None:
    server = serve({"/a.png": serve.http(bytes(1001))})

    with pytest.raises(RowError) as caught:
        fetch(server.url(), max_bytes=5000, max_body_bytes=1000)

    assert caught.value.reason is TOO_LARGE


# Bodies that are not whole


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def test_a_body_in_chunks_is_whole(serve: Any, fetch: Fetch) -> None:
    answer = serve.http(chunked(PICTURE), length=-1, Transfer_Encoding="chunked")

    assert fetch(serve({"/a.png": answer}).url()) == PICTURE


@pytest.mark.parametrize("cut", [1, 4, 5, 7, 1000])
def test_chunks_cut_short_fail(serve: Any, fetch: Fetch, cut: int) -> None:
    body = chunked(PICTURE)[:-cut]
    answer = serve.http(body, length=-1, Transfer_Encoding="chunked")

    found = fetch.error(serve(lambda asked: asked.connection.sendall(answer)).url())

    assert found[0] is FAILED
    assert found[1].startswith("cut short, or no valid HTTP: ")


@pytest.mark.parametrize(
    ("body", "coding", "words"),
    [
        (gzip.compress(PICTURE)[:-1], "gzip", "gzip cut short"),
        (gzip.compress(PICTURE)[:-4000], "gzip", "gzip cut short"),
        (b"", "gzip", "gzip cut short"),
        (PICTURE, "gzip", "not the gzip that it says it is"),
        (gzip.compress(PICTURE)[:-8] + bytes(8), "gzip", "not the gzip that it says it is"),
        (gzip.compress(PICTURE) * 2, "gzip", "more than one gzip"),
        (gzip.compress(PICTURE) + b"x", "gzip", "more than one gzip"),
        (gzip.compress(gzip.compress(PICTURE)), "gzip, gzip", "in another Content-Encoding"),
        (zlib.compress(PICTURE), "deflate", "in another Content-Encoding"),
        (PICTURE, "br", "in another Content-Encoding"),
        (PICTURE, "gzip, br", "in another Content-Encoding"),
    ],
)
def test_a_coding_that_is_broken_or_unknown_fails(
    serve: Any, fetch: Fetch, body: bytes, coding: str, words: str
) -> None:
    server = serve({"/a.png": serve.http(body, Content_Encoding=coding)})

    reason, seen = fetch.error(server.url())

    assert reason is FAILED
    assert seen.startswith(words)


def test_two_headers_of_coding_are_two_layers(serve: Any, fetch: Fetch) -> None:
    answer = serve.http(
        gzip.compress(gzip.compress(PICTURE)), Content_Encoding="gzip\r\nContent-Encoding: gzip"
    )

    assert fetch.error(serve({"/a.png": answer}).url())[0] is FAILED


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0\1\2secret\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 2000 x\r\n\r\n", id="status of four digits"),
        pytest.param(b"HTTP/1.1 200 x\r\nsecret\r\n\r\n", id="no header"),
        pytest.param(b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n12345678", id="short"),
        pytest.param(b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n", id="negative"),
        pytest.param(b"HTTP/1.1 200 x\r\nContent-Length: 1, 2\r\n\r\n1", id="two lengths"),
        pytest.param(
            b"HTTP/1.1 200 x\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000), id="5000 digits"
        ),
        pytest.param(b"HTTP/1.1 200 x\r\nTransfer-Encoding: gzip\r\n\r\n", id="coded transfer"),
        pytest.param(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", id="no chunk"),
        pytest.param(b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 100_000, id="endless headers"),
        pytest.param(b"HTTP/1.1 101 x\r\nUpgrade: secret\r\n\r\n", id="another protocol"),
    ],
)
def test_an_answer_that_is_none_fails_and_is_not_quoted(
    serve: Any, fetch: Fetch, answer: bytes
) -> None:
    server = serve(lambda asked: asked.connection.sendall(answer))

    reason, words = fetch.error(server.url())

    assert reason in (FAILED, TOO_LARGE)
    assert "secret" not in words


def test_a_connection_reset_in_the_body_fails(serve: Any, fetch: Fetch) -> None:
    def answer(asked: Any) -> None:
        asked.connection.sendall(serve.http(b"x" * 100, length=1000))
        time.sleep(0.05)
        serve.reset(asked)

    found = fetch.error(serve(answer).url())

    assert found[0] is FAILED
    assert found[1].startswith("connection lost (Connection reset by peer): ")


def test_what_the_disk_raises_is_not_the_servers_fault(serve: Any, fetch: Fetch) -> None:
    def full(piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    server = serve({"/a.png": serve.http(PICTURE)})

    with pytest.raises(OSError, match="No space left"):
        fetch.fetcher().fetch(server.url(), MAX_BYTES, full)


# At once


def test_a_host_is_visited_by_no_more_than_four_at_once(serve: Any, fetch: Fetch) -> None:
    def answer(asked: Any) -> bytes:
        time.sleep(0.03)
        return serve.http(b"x")

    server = serve(answer)
    fetcher = fetch.fetcher(timeout_s=0.3)  # waiting for a place costs none of it
    threads = [
        threading.Thread(target=fetcher.fetch, args=(server.url(f"/{n}"), 9, len))
        for n in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (server.most_at_once, len(server.asked)) == (4, 60)
    assert server.connections <= 4
