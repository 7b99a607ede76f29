"""Pictures fetched ahead: order kept, each URL once, few at once, nothing waits for ever."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit.conversation import Draft, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.fetching.cache import FetchCache
from vlm_datakit.fetching.fetch import Fetcher
from vlm_datakit.fetching.prefetch import Prefetcher
from vlm_datakit.plan import FetchPolicy

MAX_BYTES = 1000


@pytest.fixture
def prefetch(tmp_path: Path) -> Iterator[Callable[..., Prefetcher]]:
    """Make prefetchers that keep their pictures in tmp_path; they are closed at the end."""
    made: list[Prefetcher] = []

    def make(**policy: Any) -> Prefetcher:
        given = FetchPolicy(**{"allowed": ("127.0.0.1", "localhost"), **policy})
        cache = FetchCache(tmp_path / "fetched")
        made.append(Prefetcher(given, Fetcher(given), cache, MAX_BYTES))
        return made[-1]

    yield make
    for one in made:
        one.close()


def draft(*urls: str) -> Draft:
    return Draft((), tuple(ImageSource(ImageForm.URL, url, "$") for url in urls))


def read_all(pictures: Prefetcher, urls: Sequence[str]) -> list[bytes]:
    return [pictures.read(url, MAX_BYTES, "$.image") for url in urls]


def test_what_is_said_ahead_is_fetched_at_once_and_read_in_order(
    serve: Any, prefetch: Callable[..., Prefetcher]
) -> None:
    late = threading.Event()

    def answer(asked: Any) -> bytes:
        if asked.path == "/0":
            late.wait(5)  # until all others were asked for
        if asked.path == "/7":
            late.set()
        return serve.http(asked.path.encode())

    server, pictures = serve(answer), prefetch()
    urls = [server.url(f"/{number}") for number in range(8)]

    pictures.ahead(draft(*urls))

    assert read_all(pictures, urls) == [b"/%d" % number for number in range(8)]


def test_no_more_than_eight_at_once_and_four_to_a_host(
    serve: Any, prefetch: Callable[..., Prefetcher]
) -> None:
    def answer(asked: Any) -> bytes:
        with lock:
            now.append(asked.head.split("Host: ")[1].split(":")[0])
            seen.append((len(now), max(map(now.count, now))))
        time.sleep(0.02)
        with lock:
            now.remove(asked.head.split("Host: ")[1].split(":")[0])
        return serve.http(b"x")

    lock, now, seen = threading.Lock(), list[str](), list[tuple[int, int]]()
    server, pictures = serve(answer), prefetch()
    hosts = ("127.0.0.1", "localhost")
    urls = [server.url(f"/{number}", hosts[number % 2]) for number in range(80)]

    pictures.ahead(draft(*urls))
    read_all(pictures, urls)

    assert (max(total for total, _ in seen), max(of_host for _, of_host in seen)) == (8, 4)
    assert server.connections <= 8


def test_a_url_is_fetched_once_and_so_is_one_that_fails(
    serve: Any, prefetch: Callable[..., Prefetcher]
) -> None:
    server, pictures = serve({"/a": serve.http(b"a")}), prefetch()
    good, bad = server.url("/a"), server.url("/b")

    pictures.ahead(draft(good, bad, good, bad))

    assert read_all(pictures, [good, good]) == [b"a", b"a"]
    for where in ("$.one", "$.two"):
        with pytest.raises(RowError) as caught:
            pictures.read(bad, MAX_BYTES, where)
        assert caught.value.args == (Reason.IMAGE_FETCH_FAILED, where, f'status 404: "{bad}"')
    assert server.counts() == {"/a": 1, "/b": 1}


def test_what_nobody_said_ahead_is_fetched_when_read(
    serve: Any, prefetch: Callable[..., Prefetcher]
) -> None:
    server = serve({"/a": serve.http(b"a")})

    assert prefetch().read(server.url("/a"), MAX_BYTES, "$") == b"a"


def test_another_run_finds_what_this_one_fetched(
    serve: Any, prefetch: Callable[..., Prefetcher]
) -> None:
    server = serve({"/a": serve.http(b"same"), "/b": serve.http(b"same")})
    urls = [server.url("/a"), server.url("/b")]
    read_all(prefetch(), urls)

    assert read_all(prefetch(), urls) == [b"same", b"same"]
    assert server.counts() == {"/a": 1, "/b": 1}


def files(folder: Path, name: str) -> list[Path]:
    return sorted((folder / "fetched" / name).iterdir())


def test_the_same_picture_under_two_urls_is_kept_once(
    serve: Any, prefetch: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    server = serve(lambda _: serve.http(b"same"))

    read_all(prefetch(), [server.url(f"/{number}") for number in range(3)])

    (content,) = files(tmp_path, "content")
    assert (content.name, content.read_bytes()) == (hashlib.sha256(b"same").hexdigest(), b"same")
    assert len(files(tmp_path, "urls")) == 3


@pytest.mark.parametrize("name", ["urls", "content"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"other"), id="other bytes"),
        pytest.param(lambda path: path.write_bytes(b"\xff../../x"), id="no text"),
        pytest.param(lambda path: path.write_text("../" * 21 + "x"), id="a way out"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.unlink(), id="gone"),
    ],
)
def test_a_broken_entry_is_fetched_anew(
    serve: Any, prefetch: Callable[..., Prefetcher], tmp_path: Path, name: str, spoil: Any
) -> None:
    server = serve({"/a": serve.http(b"good")})
    prefetch().read(server.url("/a"), MAX_BYTES, "$")
    spoil(files(tmp_path, name)[0])

    again = prefetch()

    assert again.read(server.url("/a"), MAX_BYTES, "$") == b"good"
    assert again.read(server.url("/a"), MAX_BYTES, "$") == b"good"
    assert len(server.asked) == 2


def test_what_a_larger_limit_let_in_is_judged_again(
    serve: Any, prefetch: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    server = serve({"/a": serve.http(bytes(MAX_BYTES + 1))})
    with FetchCache(tmp_path / "fetched").adding(server.url("/a")) as write:
        write(bytes(MAX_BYTES + 1))

    with pytest.raises(RowError) as caught:
        prefetch().read(server.url("/a"), MAX_BYTES, "$")

    assert caught.value.reason is Reason.IMAGE_TOO_LARGE


def test_what_a_killed_run_left_behind_is_removed(tmp_path: Path) -> None:
    cache = FetchCache(tmp_path / "fetched")
    (tmp_path / "fetched/content/.half").write_bytes(b"x")

    FetchCache(tmp_path / "fetched")

    assert files(tmp_path, "content") == []
    assert cache.read("http://a/", 9) is None


def test_a_full_disk_is_no_fault_of_a_row(
    serve: Any, prefetch: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    server, pictures = serve({"/a": serve.http(b"a")}), prefetch()
    (tmp_path / "fetched/content").rmdir()  # stands for any error of the disk

    with pytest.raises(FileNotFoundError):
        pictures.read(server.url("/a"), MAX_BYTES, "$")


def test_closing_takes_no_longer_than_a_moment_and_keeps_no_half_picture(
    serve: Any, prefetch: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    server = serve(serve.dripping(serve.http(bytes(900)), 0.02))
    pictures = prefetch(timeout_s=2)
    pictures.ahead(draft(*(server.url(f"/{number}") for number in range(20))))
    time.sleep(0.1)

    before = time.monotonic()
    pictures.close()

    assert time.monotonic() - before < 1
    assert files(tmp_path, "urls") == []


def test_a_thread_that_never_answers_does_not_hold_up_the_run(serve: Any, tmp_path: Path) -> None:
    class Stuck:
        """A fetcher that hangs, as no fetcher should."""

        def fetch(self, *_: object) -> None:
            free.wait(5)

        def close(self) -> None:
            """Close nothing."""

    free = threading.Event()
    stuck: Any = Stuck()
    made = Prefetcher(FetchPolicy(timeout_s=0.1), stuck, FetchCache(tmp_path), MAX_BYTES)

    with closing(made) as pictures, pytest.raises(RowError) as caught:
        pictures.read("http://a/", MAX_BYTES, "$")

    assert caught.value.args == (Reason.IMAGE_FETCH_FAILED, "$", "no thread answers")
    free.set()


def test_without_a_url_there_is_no_thread(prefetch: Callable[..., Prefetcher]) -> None:
    before = {*threading.enumerate()}

    prefetch().ahead(Draft((), (ImageSource(ImageForm.PATH, "a.png", "$"),)))

    assert {*threading.enumerate()} <= before  # one of an earlier test may end meanwhile
