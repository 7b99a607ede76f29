"""What rows of a file pass through under a plan: the pure walk bound to its edges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vlm_datakit import formats
from vlm_datakit.checks import checker
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener
from vlm_datakit.plan import ImagePolicy, Limits, Plan, SourceFile
from vlm_datakit.walk import Stages


def stages_of(plan: Plan, file: SourceFile) -> Stages:
    """Return what the rows of a file pass through under a plan."""
    return Stages(
        formats.get(plan.format).parse,
        opener(plan.limits, plan.images, image_roots(file, plan.image_roots)),
        checker(plan.layout, with_images=plan.with_images),
    )


def opener(limits: Limits, policy: ImagePolicy, roots: Sequence[Path]) -> Opener:
    """Return what opens pictures, files only below the given roots (resolved folders)."""
    return Opener(limits, policy, partial(_read_named, tuple(roots)))


def image_roots(file: SourceFile, extra: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that rows of a file may read pictures from, resolved."""
    own = () if file.is_pipe else (Path(file.path).parent,)
    return tuple(Path(root).resolve() for root in (*own, *extra))


def _read_named(roots: tuple[Path, ...], name: str, max_bytes: int, where: str) -> bytes:
    return read_image_file(name, roots, max_bytes, where)
