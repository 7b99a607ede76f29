"""What rows of a file pass through under a plan: the pure walk bound to its edges."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit import formats
from vlm_datakit.checks import checker, plain_checker, sound_columns
from vlm_datakit.conversation import Draft
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener, not_fetched
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.parser import mapped_plain, parser_of
from vlm_datakit.plain import Plain, TextColumns
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, Plan, SourceFile
from vlm_datakit.runner.hub_pictures import OnHub, is_on_hub, open_on_hub
from vlm_datakit.sources.slices import NAMED_PICTURES_BYTES
from vlm_datakit.walk import Stages

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher

FETCHED = "fetched"  # below the private folder of an import, where a rerun finds it
_FOLDERS = frozenset({"image-folder", "datasets"})
_NOT_BELOW_ROOTS = frozenset({Reason.IMAGE_FILE_MISSING, Reason.IMAGE_OUTSIDE_ROOT})


@dataclass(frozen=True, slots=True)
class Pictures:
    """Who brings the pictures that rows of one file name.

    ``roots`` are folders, resolved. ``fetched`` brings those of URLs, from `open_pictures`; None
    refuses them. ``on_hub`` brings those of the repository in which the rows stand, if they do.
    """

    roots: tuple[Path, ...]
    fetched: Prefetcher | None = None
    on_hub: OnHub | None = None

    def opener(self, limits: Limits, policy: ImagePolicy) -> Opener:
        """Return what opens them."""
        return Opener(limits, policy, self._read_file, self._read_url)

    def ahead(self, *, are_named: bool) -> Callable[[Draft], int] | None:
        """Return what begins to fetch the pictures of a draft; None if there is nothing to begin.

        Args:
            are_named: Whether the first rows name pictures. If they do not, rows are not held back
                for those of the Hub; nor if there are roots, which come first.
        """
        on_hub = self.on_hub if are_named and not self.roots else None
        begins = [each.ahead for each in (self.fetched, on_hub) if each is not None]
        return (lambda draft: sum([begin(draft) for begin in begins])) if begins else None

    def _read_file(self, name: str, max_bytes: int, where: str) -> bytes:
        if self.on_hub is None or self.roots:
            try:
                return read_image_file(name, self.roots, max_bytes, where)
            except RowError as error:
                if self.on_hub is None or error.reason not in _NOT_BELOW_ROOTS:
                    raise
        return self.on_hub.read(name, max_bytes, where)

    def _read_url(self, url: str, max_bytes: int, where: str) -> bytes:
        if self.on_hub is not None and is_on_hub(url):
            return self.on_hub.read(url.strip(), max_bytes, where)
        read = self.fetched.read if self.fetched else not_fetched
        return read(url, max_bytes, where)


@contextmanager
def open_beside(
    file: SourceFile, roots: Sequence[str], limits: Limits, fetched: Prefetcher | None = None
) -> Iterator[Pictures]:
    """Open what brings the pictures that rows of a file name.

    Args:
        file: The source of the rows.
        roots: Folders given for them, beside its own.
        limits: Of the plan or the request.
        fetched: Who fetches pictures by URL.
    """
    with open_on_hub(file, limits) as on_hub:
        yield Pictures(image_roots(file, roots), fetched, on_hub)


def stages_of(plan: Plan, pictures: Pictures) -> Stages:
    """Return what the rows of a file pass through under a plan.

    Args:
        plan: The plan.
        pictures: Who brings what they name, from `open_beside`.
    """
    return Stages(
        parser_of(plan.format, plan.mapping),
        pictures.opener(plan.limits, plan.images),
        checker(plan.layout, with_images=plan.with_images),
        ahead=pictures.ahead(are_named=plan.slice_bytes == NAMED_PICTURES_BYTES),
    )


def plain_of(plan: Plan) -> Plain:
    """Return what knows the rows of a plan of which there is nothing to say."""
    plain = plain_rows_of(plan.format, plan.mapping)
    return plain_checker(plain, plan.layout, with_images=plan.with_images)


def knows_patterns(plan: Plan) -> bool:
    """Whether lines of a plan may be told by what they have in common with one before."""
    return formats.is_blind(plain_rows_of(plan.format, plan.mapping))


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


def opener(limits: Limits, policy: ImagePolicy, roots: Sequence[Path]) -> Opener:
    """Return what opens pictures, files only below the given roots (resolved folders)."""
    return Pictures(tuple(roots)).opener(limits, policy)


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
    folder = Path(file.path) if file.kind in _FOLDERS else Path(file.path).parent
    own = () if file.is_pipe or file.is_remote else (folder,)
    return tuple(Path(root).resolve() for root in (*own, *extra))
