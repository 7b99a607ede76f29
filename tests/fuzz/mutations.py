"""What goes wrong with picture files, byte by byte and part by part; all from one dice."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

from picture_seeds import Seed

NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 400, 0x7FFF, 0x8000, 0xFFFF, 0x10000),
    *(10_000, 12_000, 16_383, 65_500, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
)
HEAD_BYTES = 64
MANY = (2, 2, 3, 5, 50, 1_000)  # how often a part is repeated
FAR_TOO_MANY = 60_000  # now and then: what is quadratic shows
MAX_BYTES = 4_000_000
WORDS = (b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xe1", b"Exif\0\0", b"IDAT", b"IEND", b"\0")

Mutate = Callable[[random.Random, bytearray], None]


def mutated(dice: random.Random, seed: Seed, seeds: Sequence[Seed]) -> bytes:
    """Return a damaged picture: parts moved or sizes forged, then bytes changed, some repaired."""
    data = bytearray(seed.data)
    choice = dice.random()
    if choice < 0.25 and seed.spans:
        dice.choice(PART_CHANGES)(dice, data, seed, seeds)
    elif choice < 0.40 and seed.sizes:
        forge_size(dice, data, seed)
    elif choice < 0.55 and seed.spans:
        forge_number(dice, data, seed)
    if choice > 0.55 or dice.random() < 0.4:
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            if data:
                dice.choice(BYTE_CHANGES)(dice, data)
    if dice.random() < 0.7:
        repair_checksums(data)
    return bytes(data[:MAX_BYTES])


def any_span(dice: random.Random, seed: Seed) -> tuple[int, int]:
    return seed.spans[int(dice.random() * len(seed.spans))]


def any_place(dice: random.Random, data: bytearray) -> int:
    """Return an offset; one in four lies in the head."""
    end = min(HEAD_BYTES, len(data)) if dice.random() < 0.25 else len(data)
    return int(dice.random() * end)


def repeated(dice: random.Random, part: bytes | bytearray) -> bytes:
    often = FAR_TOO_MANY if dice.random() < 0.005 else dice.choice(MANY)
    return bytes(part) * min(often, MAX_BYTES // (len(part) or 1))


def repeat_part(dice: random.Random, data: bytearray, seed: Seed, seeds: Sequence[Seed]) -> None:
    start, end = any_span(dice, seed)
    at = any_span(dice, seed)[0] if dice.random() < 0.3 else end
    data[at:at] = repeated(dice, seed.data[start:end])


def remove_part(dice: random.Random, data: bytearray, seed: Seed, seeds: Sequence[Seed]) -> None:
    start, end = any_span(dice, seed)
    del data[start:end]


def move_part(dice: random.Random, data: bytearray, seed: Seed, seeds: Sequence[Seed]) -> None:
    start, end = any_span(dice, seed)
    at = any_span(dice, seed)[0]
    del data[start:end]
    data[at:at] = seed.data[start:end]


def cut_at_part(dice: random.Random, data: bytearray, seed: Seed, seeds: Sequence[Seed]) -> None:
    del data[any_span(dice, seed)[1] :]


def borrow_part(dice: random.Random, data: bytearray, seed: Seed, seeds: Sequence[Seed]) -> None:
    other = dice.choice(seeds)
    if other.spans:
        start, end = any_span(dice, other)
        at, to = any_span(dice, seed)
        data[at : to if dice.random() < 0.5 else at] = other.data[start:end]


PART_CHANGES = (repeat_part, remove_part, move_part, cut_at_part, borrow_part)


def forge_size(dice: random.Random, data: bytearray, seed: Seed) -> None:
    """Write another width or height, in one place or wherever the same one stands."""
    number = dice.choice(NUMBERS) if dice.random() < 0.7 else int(dice.random() * 70_000)
    _, width, order = chosen = dice.choice(seed.sizes)
    spelled = (number % 256**width).to_bytes(width, order)
    everywhere = dice.random() < 0.5
    for place in seed.sizes if everywhere else (chosen,):
        if place[1:] == (width, order):
            data[place[0] : place[0] + width] = spelled


def forge_number(dice: random.Random, data: bytearray, seed: Seed) -> None:
    """Write a number of 1, 2 or 4 bytes near the head of a part: lengths, counts, offsets."""
    start, end = any_span(dice, seed)
    width, order = dice.choice((1, 2, 2, 4, 4)), dice.choice(("big", "little"))
    at = start + int(dice.random() * min(20, end - start))
    old = int.from_bytes(data[at : at + width], order)
    near = (old + 1, old - 1, len(data), len(data) - at, end - start)
    number = dice.choice(NUMBERS) if dice.random() < 0.5 else dice.choice(near)
    data[at : at + width] = (number % 256**width).to_bytes(width, order)


def flip_bit(dice: random.Random, data: bytearray) -> None:
    data[any_place(dice, data)] ^= 1 << int(dice.random() * 8)


def set_byte(dice: random.Random, data: bytearray) -> None:
    data[any_place(dice, data)] = dice.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, dice.getrandbits(8)))


def cut_end(dice: random.Random, data: bytearray) -> None:
    del data[any_place(dice, data) :]


def put_in(dice: random.Random, data: bytearray) -> None:
    at = any_place(dice, data)
    data[at:at] = dice.choice(WORDS) if dice.random() < 0.5 else dice.randbytes(dice.randint(1, 9))


def take_out(dice: random.Random, data: bytearray) -> None:
    at = any_place(dice, data)
    del data[at : at + dice.choice((1, 1, 2, 4, 30))]


def repeat_bytes(dice: random.Random, data: bytearray) -> None:
    at = any_place(dice, data)
    data[at:at] = repeated(dice, data[at : at + dice.choice((1, 4, 12, 40))])


def overwrite(dice: random.Random, data: bytearray) -> None:
    at, source = any_place(dice, data), any_place(dice, data)
    size = dice.choice((1, 2, 4, 8, 30))
    data[at : at + size] = data[source : source + size]


def append(dice: random.Random, data: bytearray) -> None:
    data += data[any_place(dice, data) :] if dice.random() < 0.5 else dice.randbytes(8)


BYTE_CHANGES: tuple[Mutate, ...] = (
    *(flip_bit, flip_bit, flip_bit, set_byte, set_byte),
    *(cut_end, put_in, take_out, repeat_bytes, overwrite, append),
)


def repair_checksums(data: bytearray) -> None:
    """Make the checksums of a PNG right again, or hardly a change would get past them."""
    if not data.startswith(b"\x89PNG"):
        return
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(memoryview(data)[at + 4 : end]))
        at = end + 4


def spoiled_text(dice: random.Random, text: bytes) -> bytes:
    """Return a text (a data URI, base64, a JSON line) with characters changed."""
    data = bytearray(text)
    for _ in range(dice.choice((1, 1, 2, 4))):
        if not data:
            break
        if dice.random() < 0.3:
            data[any_place(dice, data)] = dice.choice(b'"\\{}[]:,=%+/-_ \n\tdnA0\x00\xc3')
        else:
            dice.choice(BYTE_CHANGES)(dice, data)
    return bytes(data[:MAX_BYTES])
