"""What rows of a file pass through under a plan: the pure walk bound to its edges."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit import formats
from vlm_datakit.checks import checker, plain_checker, sound_columns
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener, not_fetched
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.parser import mapped_plain, parser_of
from vlm_datakit.plain import Plain, TextColumns
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, Plan, SourceFile
from vlm_datakit.walk import Stages

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher

FETCHED = "fetched"  # below the private folder of an import, where a rerun finds it


def stages_of(plan: Plan, file: SourceFile, pictures: Prefetcher | None = None) -> Stages:
    """Return what the rows of a file pass through under a plan.

    Args:
        plan: The plan.
        file: The source of the rows.
        pictures: Who fetches pictures by URL, from `open_pictures`; None refuses them.
    """
    roots = image_roots(file, plan.image_roots)
    return Stages(
        parser_of(plan.format, plan.mapping),
        opener(plan.limits, plan.images, roots, pictures),
        checker(plan.layout, with_images=plan.with_images),
        ahead=pictures.ahead if pictures else None,
    )


def plain_of(plan: Plan) -> Plain:
    """Return what knows the rows of a plan of which there is nothing to say."""
    plain = plain_rows_of(plan.format, plan.mapping)
    return plain_checker(plain, plan.layout, with_images=plan.with_images)


def plain_rows_of(format_: str, mapping: FieldMap | None) -> Plain:
    """Return what knows the plain rows of a format, or of a mapping onto it."""
    plain = formats.plain_of(formats.get(format_))
    return plain if mapping is None else mapped_plain(plain, mapping)


def columns_of(plan: Plan) -> TextColumns | None:
    """Return the columns that rows of a plan may come in, if they are nothing but texts."""
    if plan.mapping is not None:
        return None
    columns = formats.text_columns_of(formats.get(plan.format))
    return sound_columns(columns, plan.layout, with_images=plan.with_images)


def opener(
    limits: Limits,
    policy: ImagePolicy,
    roots: Sequence[Path],
    pictures: Prefetcher | None = None,
) -> Opener:
    """Return what opens pictures, files only below the given roots (resolved folders)."""
    read_url = pictures.read if pictures else not_fetched
    return Opener(limits, policy, partial(_read_named, tuple(roots)), read_url)


@contextmanager
def open_pictures(
    policy: FetchPolicy | None, limits: Limits, folder: Path | None = None
) -> Iterator[Prefetcher | None]:
    """Open what fetches pictures by URL for a whole run; None if there is no policy.

    Args:
        policy: Of the plan or the request.
        limits: Of the plan or the request.
        folder: Where fetched pictures stay; None: in a temporary folder, until this closes.

    Raises:
        UsageError: if an allowed host is not spelled ``HOST[:PORT]``.
    """
    if policy is None:
        yield None
        return
    from vlm_datakit.fetching.cache import FetchCache
    from vlm_datakit.fetching.fetch import Fetcher
    from vlm_datakit.fetching.prefetch import Prefetcher

    fetcher = Fetcher(policy)
    with _temporary() if folder is None else nullcontext(folder) as place:
        cache = FetchCache(Path(place))
        with closing(Prefetcher(policy, fetcher, cache, limits.max_image_bytes)) as pictures:
            yield pictures


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vlm-", ignore_cleanup_errors=True)


def image_roots(file: SourceFile, extra: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that rows of a file may read pictures from, resolved.

    Beside a pipe and beside an address there is none.
    """
    folder = Path(file.path) if file.kind == "image-folder" else Path(file.path).parent
    own = () if file.is_pipe or file.is_remote else (folder,)
    return tuple(Path(root).resolve() for root in (*own, *extra))


def _read_named(roots: tuple[Path, ...], name: str, max_bytes: int, where: str) -> bytes:
    return read_image_file(name, roots, max_bytes, where)
