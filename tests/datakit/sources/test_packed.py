"""What is packed comes out as it went in, or not at all."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable

import pyarrow as pa
import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.sources.packed import position, unpacked
from vlm_datakit.sources.pipe import Pipe

DATA = bytes(range(256)) * 4_000


def zstd(data: bytes) -> bytes:
    """Pack a frame of zstd."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return out.getvalue().to_pybytes()


PACKS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd}
each_packing = pytest.mark.parametrize("packing", [*PACKS])


@each_packing
@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["nothing", "a byte", "a MB"])
def test_members_follow_each_other(packing: str, data: bytes) -> None:
    packed = PACKS[packing](data) + PACKS[packing](b"") + PACKS[packing](data)

    with unpacked(io.BytesIO(packed), packing, "a") as stream:
        assert (stream.read(), stream.read(), position(stream)) == (2 * data, b"", len(packed))


@each_packing
def test_a_pipe_is_unpacked_as_it_comes(packing: str) -> None:
    pipe = Pipe(io.BytesIO(PACKS[packing](b"one\n" + DATA)))
    pipe.peek(1, 16)

    pipe.pass_through(lambda packed: unpacked(packed, packing, "stdin"))

    assert pipe.peek(1, 100) == b"one\n"
    assert (pipe.readline(100), pipe.tell()) == (b"one\n", 4)
    assert b"".join(iter(lambda: pipe.read1(1000), b"")) == DATA


def test_zeros_behind_gzip_are_padding() -> None:
    packed = gzip.compress(b"one") + bytes(600_000) + gzip.compress(b"two") + bytes(512)

    assert unpacked(io.BytesIO(packed), "gzip", "a").read() == b"onetwo"


@each_packing
@pytest.mark.parametrize("cut", [5, -1, -8])
def test_what_is_cut_short_is_an_error(packing: str, cut: int) -> None:
    packed = PACKS[packing](DATA)[:cut]

    with pytest.raises(SourceError, match=f"^a: damaged {packing}: "):
        unpacked(io.BytesIO(packed), packing, "a").read()


@each_packing
def test_what_stands_behind_is_an_error(packing: str) -> None:
    with pytest.raises(SourceError, match=f"^a: damaged {packing}: "):
        unpacked(io.BytesIO(PACKS[packing](DATA) + b"garbage"), packing, "a").read()


def test_a_wrong_sum_is_an_error() -> None:
    packed = bytearray(gzip.compress(DATA))
    packed[-5] ^= 1

    with pytest.raises(SourceError, match=r"^a: damaged gzip: .*incorrect data check"):
        unpacked(io.BytesIO(packed), "gzip", "a").read()


@each_packing
def test_a_bomb_is_unpacked_in_pieces(packing: str) -> None:
    stream = unpacked(io.BytesIO(PACKS[packing](bytes(1 << 26))), packing, "a")
    tracemalloc.start()

    size = sum(map(len, iter(lambda: stream.read(1 << 16), b"")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == 1 << 26
    assert peak < 8 << 20
