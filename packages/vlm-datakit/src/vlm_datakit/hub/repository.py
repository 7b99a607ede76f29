"""A data set on the Hub as it is at one commit: two questions, of which none is for its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlm_datakit.errors import SourceError
from vlm_datakit.hub.layout import FALL_BACK, Layout, converted_layout, is_rows, layout_of
from vlm_datakit.hub.names import HubName, Pinned
from vlm_datakit.hub.trouble import speaking_of, token, tried

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CONVERTED = "refs/convert/parquet"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository: its path, its size, and what its bytes are known by.

    ``digest`` is ``sha256:`` of a file in large storage, else ``git:``, the id of its blob.
    """

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A data set at one commit: its files, its card and what the Hub tells of it.

    ``converted`` says that the files are those that the Hub made of it.
    """

    repo: str
    commit: str
    files: Mapping[str, HubFile]
    layout: Layout
    card: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    converted: bool = False

    def pinned(self, path: str) -> Pinned:
        """Return what a file is named by at this commit."""
        return Pinned(self.repo, self.commit, path)


def look_up(name: HubName) -> Repository:
    """Ask the Hub for a data set: once for what it is, once for each 1,000 of its files.

    A data set that is nothing but a script gives the files that the Hub has made of it.

    Raises:
        SourceError: if it is missing, private, gated to the last, or holds no files of rows.
        RemoteError: if the Hub does not answer.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token())
    with speaking_of(name.repo, f"@{name.revision}" if name.revision else ""):
        info = tried(lambda: api.dataset_info(name.repo, revision=name.revision))
        files = _tree(api, info.id, info.sha or "")
    card = dict[str, Any](vars(info.card_data)) if info.card_data else {}
    facts = {key: getattr(info, key, None) for key in _FACTS}
    if name.path is None and not any(map(is_rows, files)):
        return _converted(api, Repository(info.id, info.sha or "", files, _NONE, card, facts))
    return Repository(info.id, info.sha or "", files, layout_of(files, card), card, facts)


_FACTS = ("private", "gated", "disabled", "downloads", "likes", "tags", "last_modified")
_NONE = Layout({}, None)


def _tree(api: HfApi, repo: str, commit: str) -> dict[str, HubFile]:
    from huggingface_hub import RepoFile

    entries = tried(
        lambda: [*api.list_repo_tree(repo, recursive=True, revision=commit, repo_type="dataset")]
    )
    return {
        entry.path: HubFile(entry.path, entry.size, _digest(entry))
        for entry in entries
        if isinstance(entry, RepoFile)
    }


def _digest(entry: Any) -> str:
    return f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git:{entry.blob_id}"


def _converted(api: HfApi, own: Repository) -> Repository:
    """Return the Parquet files that the Hub made of a data set without files of rows.

    Raises:
        SourceError: if it made none.
    """
    from huggingface_hub.errors import RevisionNotFoundError

    script = f"{own.repo.rpartition('/')[2]}.py"
    try:
        with speaking_of(own.repo, f"@{CONVERTED}"):
            info = tried(lambda: api.dataset_info(own.repo, revision=CONVERTED))
            files = _tree(api, own.repo, info.sha or "")
    except SourceError as error:
        if not isinstance(error.__cause__, RevisionNotFoundError):
            raise
        what = "only a script" if script in own.files else "no files of rows"
        run = ", which is not run here" if script in own.files else ""
        cure = "" if script in own.files else FALL_BACK
        raise SourceError(
            f"{own.repo}: {what}{run}, and the Hub has made no Parquet of it ({CONVERTED}){cure}"
        ) from error
    layout = converted_layout(files)
    return Repository(own.repo, info.sha or "", files, layout, own.card, own.facts, converted=True)
