"""Data sets on the Hub found by words, and those that are worth a first look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import islice, pairwise
from typing import Any

from vlm_datakit.errors import UsageError
from vlm_datakit.hub.trouble import speaking_of, token, tried

#: What results can be sorted by: as people call it, and as the Hub does.
SORTS = {
    "trending": "trending_score",
    "downloads": "downloads",
    "likes": "likes",
    "modified": "last_modified",
    "created": "created_at",
}


#: Rows of a data set as its card classes them: as people type it, and as the Hub tags it.
SIZES = {
    "<1K": "n<1K",
    **{
        f"{least}-{most}": f"{least}<n<{most}"
        for least, most in pairwise(
            ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
        )
    },
    ">1T": "n>1T",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a data set has to be to be found, as its card states it; None, or empty: anything.

    ``task`` is one of the Hub's, such as ``visual-question-answering``; ``size`` one of `SIZES`,
    spelled either way; ``languages`` are codes such as ``de``, all of which it must have.
    """

    task: str | None = None
    size: str | None = None
    license: str | None = None
    languages: tuple[str, ...] = ()
    author: str | None = None
    gated: bool | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A data set that was found, with what the Hub tells of it in a list.

    License, size, tasks and languages are what its card states, which the tags repeat.
    """

    repo: str
    downloads: int | None
    likes: int | None
    gated: str | bool
    last_modified: str | None
    license: str | None = None
    size: str | None = None
    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of what was found, counted from 1; ``more`` says whether another follows."""

    hits: tuple[Hit, ...]
    page: int
    more: bool


@dataclass(frozen=True, slots=True)
class Pick:
    """A data set that was picked by hand: what it is for, in a few words."""

    repo: str
    kind: str
    about: str


def search(
    query: str = "",
    filters: Filters | None = None,
    *,
    sort: str = "trending",
    page: int = 1,
    limit: int = 20,
) -> Page:
    """Find data sets by words in their names, and by what their cards state.

    Args:
        query: The words; empty: all.
        filters: What they have to be.
        sort: One of `SORTS`; the most first.
        page: Which page, from 1.
        limit: How many on a page.

    Raises:
        UsageError: for an order, a size or a page that is none.
        RemoteError: if the Hub does not answer.
    """
    from huggingface_hub import HfApi

    if sort not in SORTS:
        raise UsageError(f"--sort {sort}: expected one of {', '.join(SORTS)}")
    if page < 1 or limit < 1:
        raise UsageError("--page and -n count from 1")
    start = (page - 1) * limit
    asked = _asked(filters or Filters())
    asked |= {"search": query or None, "sort": SORTS[sort], "limit": start + limit + 1}
    api = HfApi(token=token())
    with speaking_of("search"):
        found = tried(lambda: [*islice(api.list_datasets(**asked), start, start + limit + 1)])
    return Page(tuple(map(_hit, found[:limit])), page, len(found) > limit)


def _asked(filters: Filters) -> dict[str, Any]:
    """Return filters as huggingface_hub takes them."""
    size = SIZES.get(filters.size or "", filters.size)
    if size is not None and size not in SIZES.values():
        raise UsageError(f"--size {size}: expected one of {', '.join(SIZES)}")
    return {
        "task_categories": filters.task,
        "size_categories": size,
        "filter": f"license:{filters.license}" if filters.license else None,
        "language": [*filters.languages],
        "author": filters.author,
        "gated": filters.gated,
    }


def _hit(found: Any) -> Hit:
    modified = getattr(found, "last_modified", None)
    tags = tuple(getattr(found, "tags", None) or ())
    return Hit(
        found.id,
        getattr(found, "downloads", None),
        getattr(found, "likes", None),
        getattr(found, "gated", None) or False,
        modified.isoformat() if modified else None,
        ", ".join(_tagged(tags, "license")) or None,
        next(iter(_tagged(tags, "size_categories")), None),
        _tagged(tags, "task_categories"),
        _tagged(tags, "language"),
        tags,
    )


def _tagged(tags: tuple[str, ...], key: str) -> tuple[str, ...]:
    return tuple(tag.removeprefix(f"{key}:") for tag in tags if tag.startswith(f"{key}:"))


def popular(kind: str | None = None) -> tuple[str, list[Pick]]:
    """Return the day on which the list was made, and the data sets on it.

    Args:
        kind: vlm, sl, dpo or code; None: all.

    Raises:
        UsageError: for a kind that is none.
    """
    import yaml

    text = resources.files(__package__).joinpath("popular.yaml").read_text(encoding="utf-8")
    facts: Mapping[str, Any] = yaml.safe_load(text)
    kinds: Mapping[str, Mapping[str, str]] = facts["kinds"]
    if kind is not None and kind not in kinds:
        raise UsageError(f"--kind {kind}: expected one of {', '.join(kinds)}")
    chosen = [kind] if kind else [*kinds]
    picks = [Pick(repo, name, about) for name in chosen for repo, about in kinds[name].items()]
    return str(facts["made"]), picks
