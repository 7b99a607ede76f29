"""What a run will do, fixed before it starts; equal plans give equal bytes.

The fingerprint covers everything that changes an output byte and nothing else: not the
number of workers, not the consent to rejects, not where the output lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vlm_datakit.errors import UsageError
from vlm_datakit.mapping.fieldmap import FieldMap

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one row may cost. Judged before the memory is spent.

    Source: docs/images.md gives the reason for each default.
    """

    max_line_bytes: int = 64 * MIB
    max_image_bytes: int = 20 * MIB
    max_image_pixels: int = 120_000_000  # phones make 108 megapixels
    max_side_px: int = 65_535
    max_aspect: int = 200  # Qwen2-VL's processor raises beyond, as transformers' smart_resize
    max_decoded_bytes: int = 320 * MIB  # what decoding one picture may take, pixels and all


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What becomes of pictures.

    ``form`` is canonical (rewritten where readers differ), baked (turned upright as well)
    or untouched (every byte kept). ``check`` is structure (the container is walked to its
    end; what has no walk is decoded) or decode. ``shrink_to_pixels`` is the largest width
    times height to write, None for as it came.
    """

    form: str = "canonical"
    check: str = "structure"
    shrink_to_pixels: int | None = None


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How pictures named by URL are fetched.

    ``allowed`` names hosts (``HOST`` or ``HOST:PORT``) that may have a private or loopback
    address; all others must have a public one.

    Source: docs/safety.md gives the reason for each default.
    """

    allowed: tuple[str, ...] = ()
    timeout_s: float = 30.0  # of one picture, redirects and retries included
    max_body_bytes: int = 64 * MIB  # on the wire, and once more unpacked
    max_redirects: int = 5
    connections: int = 8
    connections_per_host: int = 4


#: Kinds of one row a line; a folder of pictures is read as the lines of its listing.
LINE_KINDS = frozenset({"jsonl", "image-folder", "metadata-jsonl"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input file: the split it feeds, the name rows are known by, and its identity.

    ``size_bytes`` and ``mtime_ns`` are None for a pipe, which cannot resume. A file that lies
    elsewhere has an address as its ``path``, and instead of ``mtime_ns`` the ``etag`` by which
    its file system tells versions apart: an ETag, a hash or a time.

    ``kind`` says how rows stand in it, one of `vlm_datakit.sources.kinds.KINDS`; ``packing`` is
    gzip or zstd if that lies around it. Of a pipe it is unpacked before anything else is read.
    ``config`` is told to ``datasets``, if that is who reads it (`vlm_datakit.sources.loaded`).
    """

    split: str
    name: str
    path: str
    size_bytes: int | None
    mtime_ns: int | None
    etag: str | None = None
    kind: str = "jsonl"
    packing: str | None = None
    config: str | None = None

    @property
    def is_pipe(self) -> bool:
        """Whether the bytes come once, from standard input."""
        return self.size_bytes is None

    @property
    def is_remote(self) -> bool:
        """Whether ``path`` is an address, such as ``s3://bucket/rows.jsonl``."""
        return self.etag is not None

    @property
    def is_lines(self) -> bool:
        """Whether the rows are lines that can be found by their bytes, so that it can be cut."""
        return self.kind in LINE_KINDS and self.packing is None


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of whole rows of one file: the unit of work, of resume and of parallelism.

    Of lines, ``start`` and ``end`` are bytes. Of Parquet they count rows, at borders of row groups,
    and ``row_bytes`` is how many bytes of the file a row has. Of other kinds a slice is the whole
    file, from 0 to its size; of a pipe of those the end is 0, since nobody knows it.

    Of a run that is limited to some rows, ``rows`` says how many of the slice count, None: all, and
    ``looks`` that the file is not fetched whole (`vlm_datakit.sources.heads`).

    ``first_line`` is the number of the line at ``start``, where it is known without reading.
    ``spooled`` is the file that holds the bytes of a slice of standard input meanwhile; without
    it, those bytes still come in, and the slice ends with the line that reaches ``end``.
    """

    number: int
    file: SourceFile
    start: int
    end: int
    first_line: int | None = None
    spooled: str | None = None
    row_bytes: float | None = None
    rows: int | None = None
    looks: bool = False

    @property
    def size_bytes(self) -> int:
        """About how many bytes of the file stand in it."""
        return int((self.end - self.start) * (self.row_bytes or 1))

    def __str__(self) -> str:
        unit = "bytes" if self.row_bytes is None else "rows"
        return f"{self.file.name}: {unit} {self.start:,} to {self.end:,}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the bytes of the output.

    ``layout`` is conversation, answer or pair (see `vlm_datakit.shards.layout`);
    ``with_images`` says whether the shards have image columns. The plan decides both,
    never a row. ``row_limit`` is how many rows of each split are read, good or refused; None: all.
    """

    files: tuple[SourceFile, ...]
    format: str
    layout: str = "conversation"
    with_images: bool = True
    slice_bytes: int = 32 * MIB
    image_roots: tuple[str, ...] = ()
    rejects_raw: bool = False
    limits: Limits = field(default_factory=Limits)
    images: ImagePolicy = field(default_factory=ImagePolicy)
    fetch: FetchPolicy | None = None  # None: pictures named by URL are refused
    versions: Mapping[str, str] = field(default_factory=dict)
    mapping: FieldMap | None = None  # None: rows have the columns of the format
    row_limit: int | None = None


def fingerprint(plan: Plan) -> str:
    """Return the plan's identity: 64 hex digits, the same for plans that give the same bytes.

    A file counts by split, name, size and modification time or etag, not by where it lies.

    Example:
        >>> one = Plan((SourceFile("train", "a.jsonl", "/x/a.jsonl", 10, 7),), "openai")
        >>> other = Plan((SourceFile("train", "a.jsonl", "/y/a.jsonl", 10, 7),), "openai")
        >>> fingerprint(one) == fingerprint(other)
        True
    """
    text = json.dumps(plan_facts(plan), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


#: What files did not have once: left out where it says nothing, so that plans stay the same.
_LATER_FACTS = {"etag": None, "kind": "jsonl", "packing": None, "config": None}


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return what of a plan decides the bytes, as plain values."""
    facts: dict[str, Any] = asdict(plan)
    for file in facts["files"]:
        del file["path"]
        for name, default in _LATER_FACTS.items():
            if file[name] == default:
                del file[name]
    if plan.row_limit is None:
        del facts["row_limit"]
    del facts["mapping"]
    if plan.mapping is not None:  # plans were without one before
        facts["mapping"] = [f"from {plan.mapping.format}"] if plan.mapping.format else []
        facts["mapping"] += map(str, plan.mapping.entries)
    return facts


def plan_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in words how two plans differ: as `plan_facts` gives them, or as JSON has that.

    Example:
        >>> plan_differences({"format": "openai"}, {"format": "simple"})
        ['format was openai, now simple']
    """
    # A list of JSON was a tuple.
    old, new = (json.loads(json.dumps({**facts})) for facts in (old, new))
    names = sorted(old.keys() | new.keys())
    changed = [name for name in names if old.get(name) != new.get(name)]
    return [_difference(name, old.get(name), new.get(name)) for name in changed]


def _difference(name: str, old: Any, new: Any) -> str:
    if isinstance(old, (str, int)) and isinstance(new, (str, int)):
        return f"{name} was {old}, now {new}"
    if name == "files":
        return "the source files, their sizes or times"
    if name == "mapping":
        was, now = (", ".join(value or ()) or "none" for value in (old, new))
        return f"the mapping was {was}; now {now}"
    return f"{name} was {json.dumps(old)}, now {json.dumps(new)}"


@dataclass(frozen=True, slots=True)
class RejectsAllowed:
    """How many refused rows the caller consents to: a count, or a share of all rows."""

    count: int | None = 0
    percent: float | None = None

    def admits(self, rejected: int, rows: int) -> bool:
        """Whether that many refusals among that many rows are consented to."""
        if self.percent is not None:
            return rejected * 100 <= self.percent * rows
        return rejected <= (self.count or 0)


def parse_rejects_allowed(text: str) -> RejectsAllowed:
    """Read ``N`` or ``P%``.

    Raises:
        UsageError: if it is neither, or negative, or over 100 %.

    Example:
        >>> parse_rejects_allowed("2.5%")
        RejectsAllowed(count=None, percent=2.5)
    """
    try:
        if text.endswith("%"):
            percent = float(text[:-1])
            if 0 <= percent <= 100:
                return RejectsAllowed(None, percent)
        elif int(text) >= 0:
            return RejectsAllowed(int(text))
    except ValueError:
        pass
    raise UsageError(f"--max-rejects takes a count such as 12 or a share such as 2%, not {text!r}")


@dataclass(frozen=True, slots=True)
class Stride:
    """Which slices one job of ``step`` does: ``first``, ``first + step``, and so on."""

    first: int
    step: int


def parse_stride(text: str) -> Stride:
    """Read ``i::n``, as Python spells such a slice.

    Raises:
        UsageError: unless it is two whole numbers with 0 <= i < n.

    Example:
        >>> parse_stride("2::8")
        Stride(first=2, step=8)
    """
    first, colons, step = text.partition("::")
    if all(part.isascii() and part.isdigit() and colons for part in (first, step)):
        stride = Stride(int(first), int(step))
        if stride.first < stride.step:
            return stride
    raise UsageError(f"--slices takes I::N with 0 <= I < N, such as 0::8, not {text!r}")


#: What ``--limit`` calls a limit: the field of `Limits`, its unit, the largest value.
LIMIT_NAMES = {
    "line-mib": ("max_line_bytes", MIB, 2_000),  # Arrow's binary values end at 2 GiB
    "image-mib": ("max_image_bytes", MIB, 1_000),
    "megapixels": ("max_image_pixels", 1_000_000, 178),  # where Pillow sees a bomb
    "side-px": ("max_side_px", 1, 1_000_000),
    "aspect": ("max_aspect", 1, 1_000_000),
    "decoded-mib": ("max_decoded_bytes", MIB, 100_000),
}


def parse_limits(texts: Iterable[str]) -> Limits:
    """Read limits given as ``NAME=VALUE``; the others keep their defaults.

    Raises:
        UsageError: for a name that is none, or a value out of its range.

    Example:
        >>> parse_limits(["image-mib=50"]).max_image_bytes
        52428800
    """
    changed = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in LIMIT_NAMES:
            known = ", ".join(LIMIT_NAMES)
            raise UsageError(f"--limit {text}: expected NAME=N, where NAME is one of {known}")
        field_name, unit, most = LIMIT_NAMES[name]
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= most):
            raise UsageError(f"--limit {text}: expected a whole number from 1 to {most:,}")
        changed[field_name] = int(value) * unit
    return Limits(**changed)


def parse_row_limit(texts: Iterable[str]) -> tuple[int | None, list[str]]:
    """Read how many rows are wanted, a bare number among limits; return the others as well.

    Raises:
        UsageError: for none at all.

    Example:
        >>> parse_row_limit(["image-mib=50", "100"])
        (100, ['image-mib=50'])
    """
    given = [*texts]
    counts = [text for text in given if text.isascii() and text.isdigit()]
    if any(not int(text) for text in counts):
        raise UsageError("--limit 0: that is no row")
    others = [text for text in given if text not in counts]
    return (int(counts[-1]) if counts else None), others
