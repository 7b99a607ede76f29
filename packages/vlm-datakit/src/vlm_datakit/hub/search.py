"""Data sets on the Hub found by words, and those that are worth a first look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import islice
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


@dataclass(frozen=True, slots=True)
class Hit:
    """A data set that was found, with what the Hub tells of it in a list."""

    repo: str
    downloads: int | None
    likes: int | None
    gated: str | bool
    last_modified: str | None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A data set that was picked by hand: what it is for, in a few words."""

    repo: str
    kind: str
    about: str


def search(
    query: str, *, task: str | None = None, sort: str = "trending", limit: int = 20
) -> list[Hit]:
    """Find data sets by words in their names.

    Args:
        query: The words.
        task: One of the Hub's tasks, such as ``visual-question-answering``.
        sort: One of `SORTS`; the most first.
        limit: How many at most; the Hub gives so many in pages.

    Raises:
        UsageError: for an order that is none.
        RemoteError: if the Hub does not answer.
    """
    from huggingface_hub import HfApi

    if sort not in SORTS:
        raise UsageError(f"--sort {sort}: expected one of {', '.join(SORTS)}")
    asked: dict[str, Any] = {"search": query, "sort": SORTS[sort], "limit": limit}
    if task is not None:
        asked["filter"] = f"task_categories:{task}"
    api = HfApi(token=token())
    with speaking_of("search"):
        found = tried(lambda: [*islice(api.list_datasets(**asked), limit)])
    return [_hit(each) for each in found]


def _hit(found: Any) -> Hit:
    modified = getattr(found, "last_modified", None)
    return Hit(
        found.id,
        getattr(found, "downloads", None),
        getattr(found, "likes", None),
        getattr(found, "gated", None) or False,
        modified.isoformat() if modified else None,
        tuple(getattr(found, "tags", None) or ()),
    )


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
