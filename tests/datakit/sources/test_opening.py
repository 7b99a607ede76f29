"""A file reads the same wherever it lies, and what goes wrong on the way is one error."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.opening import has_changed, is_in_sight, open_source
from vlm_datakit.sources.slices import cut
from vlm_datakit.sources.survey import first_rows

DATA = b"".join(b'{"n": %d, "x": "%s"}\n' % (n, b"x" * (n * 37 % 200)) for n in range(300))
HALF = len(DATA) // 2


class Failing(MemoryFileSystem):
    """Gives the first half of its file and then raises what `error` says, or gives nothing."""

    protocol = "failing"
    error: Exception | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("failing://", "memory://"))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return HalfFile(super()._open(path, mode, **options).getvalue())


class HalfFile(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.tell() > HALF:
            if Failing.error is None:
                return b""
            raise Failing.error
        return data


@pytest.fixture
def local(tmp_path: Path) -> SourceFile:
    """Return a file of 300 lines on this machine."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA)
    return SourceFile("train", "a.jsonl", str(path), len(DATA), path.stat().st_mtime_ns)


@pytest.fixture
def remote(local: SourceFile) -> SourceFile:
    """Return the same file by an address."""
    mtime = fsspec.filesystem("local").info(local.path)["mtime"]
    return SourceFile("train", "a.jsonl", f"local://{local.path}", len(DATA), None, str(mtime))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], SourceFile]:
    """Return the same file on a file system that fails half-way as told."""
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(Failing, "store", {"/a.jsonl": MemoryFile(None, None, DATA)})

    def make(error: Exception | None) -> SourceFile:
        monkeypatch.setattr(Failing, "error", error)
        return SourceFile("train", "a.jsonl", "failing://a.jsonl", len(DATA), None, "1")

    return make


@pytest.mark.parametrize("piece_bytes", [1, 64, 4096, len(DATA), 2 * len(DATA)])
@pytest.mark.parametrize("start", [0, 1, 999, len(DATA) - 1, len(DATA), len(DATA) + 9])
def test_lines_are_those_of_a_local_file(
    local: SourceFile, remote: SourceFile, start: int, piece_bytes: int
) -> None:
    with (
        open_source(local, start) as here,
        open_source(remote, start, piece_bytes=piece_bytes) as there,
    ):
        assert there.readlines() == here.readlines()


def test_nothing_behind_the_end_is_transferred(remote: SourceFile) -> None:
    with open_source(remote, 100, 250) as stream:
        assert stream.read() == DATA[100:250]


@pytest.mark.parametrize("size", [1, 100, 1_000, 10_000, len(DATA)])
def test_slices_are_cut_as_of_a_local_file(
    local: SourceFile, remote: SourceFile, size: int
) -> None:
    here = [(slice_.start, slice_.end) for slice_ in cut([local], size)]

    assert [(slice_.start, slice_.end) for slice_ in cut([remote], size)] == here


def test_the_first_rows_are_those_of_a_local_file(local: SourceFile, remote: SourceFile) -> None:
    assert first_rows(remote, None) == first_rows(local, None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(OSError("Connection reset"), "cannot be read: Connection reset", id="network"),
        pytest.param(KeyError(), "cannot be read: KeyError", id="without words"),
        pytest.param(FileNotFoundError("/a.jsonl"), "no such file", id="gone"),
        pytest.param(PermissionError("Forbidden"), "no permission: Forbidden", id="forbidden"),
        pytest.param(
            RuntimeError("404 for url:\n https://me:key@host/a?sig=key"),
            "cannot be read: 404 for url: https://host/a",
            id="a signed URL",
        ),
        pytest.param(
            ValueError("GET /a?sig=key: 503"), "cannot be read: GET /a 503", id="a signed path"
        ),
        pytest.param(None, f"ended at byte {HALF // 64 * 64:,} of {len(DATA):,}", id="cut short"),
    ],
)
def test_a_failure_half_way_is_one_error(
    failing: Callable[[Exception | None], SourceFile], error: Exception | None, words: str
) -> None:
    file = failing(error)

    with pytest.raises(SourceError) as caught, open_source(file, piece_bytes=64) as stream:
        stream.readlines()

    assert str(caught.value) == f"a.jsonl: {words}"


def test_a_change_is_seen_wherever_a_file_lies(local: SourceFile, remote: SourceFile) -> None:
    before = has_changed(local), has_changed(remote)

    Path(local.path).write_bytes(DATA + b"{}\n")

    assert before == (False, False)
    assert (has_changed(local), has_changed(remote)) == (True, True)


def test_a_file_that_is_gone_is_out_of_sight(local: SourceFile, remote: SourceFile) -> None:
    assert (is_in_sight(local), is_in_sight(remote)) == (True, True)

    Path(local.path).unlink()

    assert (is_in_sight(local), is_in_sight(remote)) == (False, False)
    for file, shown in ((local, "a.jsonl"), (remote, remote.path)):
        with pytest.raises(SourceError, match=f"^{shown}: [Nn]o such file"):
            has_changed(file)
