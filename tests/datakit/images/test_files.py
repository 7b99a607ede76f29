"""Rows name files; only regular files below the allowed folders are read."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.files import read_image_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with ``a.png`` in it and ``secret.png`` beside it."""
    folder = tmp_path.resolve() / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"inside")
    (folder / "sub" / "b c#d.png").write_bytes(b"below")
    (folder.parent / "secret.png").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("a.png", b"inside", id="relative"),
        pytest.param("./sub/../a.png", b"inside", id="dots that stay inside"),
        pytest.param("{root}/a.png", b"inside", id="absolute"),
        pytest.param("file://{root}/a.png", b"inside", id="file URI"),
        pytest.param("file://localhost{root}/a.png", b"inside", id="file URI of this host"),
        pytest.param("FILE://{root}/sub/b%20c%23d.png", b"below", id="file URI, quoted"),
        pytest.param("sub/b c#d.png", b"below", id="a path is not unquoted"),
    ],
)
def test_a_file_inside_is_read(root: Path, name: str, data: bytes) -> None:
    assert read_image_file(name.format(root=root), [root], 100, "$") == data


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("no.png", Reason.IMAGE_FILE_MISSING, id="missing"),
        pytest.param("{root}/no.png", Reason.IMAGE_FILE_MISSING, id="missing, absolute"),
        pytest.param("a.png/b.png", Reason.IMAGE_FILE_MISSING, id="below a file"),
        pytest.param("sub%2Fb.png", Reason.IMAGE_FILE_MISSING, id="a path is not unquoted"),
        pytest.param("~/a.png", Reason.IMAGE_FILE_MISSING, id="a home folder"),
        pytest.param("sub\\b.png", Reason.IMAGE_FILE_MISSING, id="a path of Windows"),
        pytest.param("x" * 5000, Reason.IMAGE_FILE_MISSING, id="too long a name"),
        pytest.param("a\0.png", Reason.IMAGE_FILE_MISSING, id="NUL"),
        pytest.param("file:///a%00.png", Reason.IMAGE_FILE_MISSING, id="NUL, quoted"),
        pytest.param("file://[a/b.png", Reason.IMAGE_FILE_MISSING, id="no URI at all"),
        pytest.param("../secret.png", Reason.IMAGE_OUTSIDE_ROOT, id="dots that leave"),
        pytest.param("{root}/../secret.png", Reason.IMAGE_OUTSIDE_ROOT, id="absolute dots"),
        pytest.param(
            "file://{root}/%2e%2e/secret.png", Reason.IMAGE_OUTSIDE_ROOT, id="quoted dots"
        ),
        pytest.param("/etc/passwd", Reason.IMAGE_OUTSIDE_ROOT, id="elsewhere"),
        pytest.param("file://host/a.png", Reason.IMAGE_OUTSIDE_ROOT, id="another host"),
        pytest.param("sub", Reason.IMAGE_NOT_A_FILE, id="a folder"),
        pytest.param(".", Reason.IMAGE_NOT_A_FILE, id="the root itself"),
    ],
)
def test_anything_else_is_refused(root: Path, name: str, reason: Reason) -> None:
    with pytest.raises(RowError) as caught:
        read_image_file(name.format(root=root), [root], 100, "$.image")

    assert caught.value.args[:2] == (reason, "$.image")


def test_a_link_is_judged_by_where_it_leads(root: Path) -> None:
    (root / "in.png").symlink_to("a.png")
    (root / "out.png").symlink_to("../secret.png")

    with pytest.raises(RowError) as caught:
        read_image_file("out.png", [root], 100, "$")

    assert caught.value.args == (Reason.IMAGE_OUTSIDE_ROOT, "$", '"out.png"')
    assert read_image_file("in.png", [root], 100, "$") == b"inside"


def test_a_loop_of_links_is_missing(root: Path) -> None:
    (root / "loop.png").symlink_to("loop.png")

    with pytest.raises(RowError) as caught:
        read_image_file("loop.png", [root], 100, "$")

    assert caught.value.args == (
        Reason.IMAGE_FILE_MISSING,
        "$",
        '"loop.png": no file below 1 root, nor base64 of a picture',
    )


def test_a_fifo_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "fifo.png")

    with pytest.raises(RowError) as caught:
        read_image_file("fifo.png", [root], 100, "$")

    assert caught.value.args == (Reason.IMAGE_NOT_A_FILE, "$", '"fifo.png"')


def test_a_socket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's path may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")

        with pytest.raises(RowError) as caught:
            read_image_file("socket.png", [root], 100, "$")

    assert caught.value.args == (Reason.IMAGE_NOT_A_FILE, "$", '"socket.png"')


def test_roots_are_tried_in_order_and_a_file_may_lie_in_any(root: Path) -> None:
    (root / "sub" / "a.png").write_bytes(b"first")

    roots = [root / "sub", root]

    assert read_image_file("a.png", roots, 100, "$") == b"first"
    assert read_image_file("../a.png", roots, 100, "$") == b"inside"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("a.png", Reason.IMAGE_FILE_MISSING, id="relative"),
        pytest.param("{root}/a.png", Reason.IMAGE_OUTSIDE_ROOT, id="absolute"),
    ],
)
def test_without_a_root_nothing_is_read(root: Path, name: str, reason: Reason) -> None:
    with pytest.raises(RowError) as caught:
        read_image_file(name.format(root=root), [], 100, "$")

    assert caught.value.reason is reason


def test_the_limit_is_judged_before_reading_and_exact(root: Path) -> None:
    with pytest.raises(RowError) as caught:
        read_image_file("a.png", [root], 5, "$")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "6 bytes")
    assert read_image_file("a.png", [root], 6, "$") == b"inside"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(root: Path) -> None:
    (root / "a.png").chmod(0)

    with pytest.raises(RowError) as caught:
        read_image_file("a.png", [root], 100, "$")

    assert caught.value.args == (Reason.IMAGE_UNREADABLE, "$", 'Permission denied: "a.png"')


def test_a_body_of_base64_that_is_no_picture_is_not_quoted(tmp_path: Path) -> None:
    body = "c2VjcmV0" * 40

    with pytest.raises(RowError) as caught:
        read_image_file(body, (tmp_path,), 100, "$.image")

    expected = "320 characters: no file below 1 root, nor base64 of a picture"
    assert caught.value.seen == expected


def test_a_file_of_proc_is_none_even_below_a_root_of_everything() -> None:
    with pytest.raises(RowError) as caught:
        read_image_file("/proc/self/environ", [Path("/")], 1_000_000, "$")

    assert caught.value.reason is Reason.IMAGE_NOT_A_FILE


@pytest.mark.parametrize(
    "name", ["a/" * 20_000_000, "file:///" + "%41/" * 10_000_000, "../" * 9999]
)
def test_a_name_longer_than_any_path_is_missing_at_once(tmp_path: Path, name: str) -> None:
    started = time.process_time()

    with pytest.raises(RowError) as caught:
        read_image_file(name, [tmp_path], 100, "$")

    assert caught.value.reason is Reason.IMAGE_FILE_MISSING
    assert time.process_time() - started < 0.5
