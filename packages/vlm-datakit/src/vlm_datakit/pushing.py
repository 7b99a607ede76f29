"""A finished import, put on the Hub as a data set: held to its manifest, sent, then one commit.

Files that the Hub has are not sent again, so that a rerun after a cut goes on; nobody sees anything
before the commit, which holds all. The manifest that goes does not list a ledger that stays here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlm_datakit.errors import OutputError, SourceError, UsageError
from vlm_datakit.hub.card import FILE_NAME as CARD
from vlm_datakit.hub.download import digest_of
from vlm_datakit.hub.layout import is_rows
from vlm_datakit.hub.names import repo_name
from vlm_datakit.hub.repository import files_at
from vlm_datakit.hub.trouble import page_of, tried, writing
from vlm_datakit.hub.trouble import token as known_token
from vlm_datakit.shards.manifest import FILE_NAME as MANIFEST
from vlm_datakit.shards.manifest import read_manifest, to_json
from vlm_datakit.validation import file_faults

_AT_ONCE = 8  # files whose bytes are sent before it is said how far it is
_SHOWN = 3
#: Hears how many bytes of how many are on the Hub.
Told = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class PushFile:
    """A file of a push: its path in folder and repository, its size, and the Hub's name for it."""

    path: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push will do, as the repository is now.

    ``commit`` is None for a repository that is not there yet. ``files`` are sent; ``there`` are on
    the Hub already; ``deleted`` are those of an earlier push that the folder has no more;
    ``kept_here`` are ledgers with raw rows; ``roots`` are folders of this machine that the manifest
    names.
    """

    folder: Path
    repo: str
    private: bool
    commit: str | None
    files: tuple[PushFile, ...]
    there: tuple[PushFile, ...] = ()
    deleted: tuple[str, ...] = ()
    kept_here: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes are sent."""
        return sum(file.bytes for file in self.files)

    @property
    def page(self) -> str:
        """Where a person sees the data set."""
        return page_of(self.repo)


def plan_push(
    folder: Path | str, repo: str, *, public: bool = False, with_raw_rejects: bool = False
) -> PushPlan:
    """Hold a finished import to its manifest, and look at what the Hub has; nothing is sent.

    Args:
        folder: The output folder of an import.
        repo: ``OWNER/NAME``.
        public: Whether everybody may see a new repository; one that is there stays as it is, and
            has to be meant so.
        with_raw_rejects: Whether ledgers go along that hold refused rows whole.

    Raises:
        UsageError: for a name that is none, or without a token.
        SourceError: if the folder is no finished import, or not as its manifest says.
        OutputError: if the repository holds something else, or everybody may see it and that
            was not said.
        RemoteError: if the Hub does not answer.
    """
    name, out = repo_name(repo), Path(folder)
    manifest = read_manifest(out)
    faults = file_faults(out, manifest, read_data=True)
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise SourceError(f"{out}: not as its manifest says: {faults[0]}{more}")
    if known_token() is None:
        raise UsageError("a push needs a token that may write: `hf auth login`, or set HF_TOKEN")
    paths, kept_here = _paths(manifest, with_raw_rejects=with_raw_rejects)
    there = _there(name)
    if there.commit is not None and not there.private and not public:
        raise OutputError(f"{name}: everybody may see it; add --public if that is meant")
    digests = _digests(manifest)
    files = [_file(out, path, digests, there.digests.get(path)) for path in paths]
    if kept_here:
        data, like = _listing_less(manifest, kept_here), there.digests.get(MANIFEST, "git:")
        sent = PushFile(MANIFEST, len(data), _digest_of(data, like))
        files = [sent if file.path == MANIFEST else file for file in files]
    return PushPlan(
        out,
        name,
        there.private if there.commit is not None else not public,
        there.commit,
        tuple(file for file in files if there.digests.get(file.path) != file.digest),
        tuple(file for file in files if there.digests.get(file.path) == file.digest),
        _deleted(name, there, paths),
        tuple(kept_here),
        tuple(manifest.get("plan", {}).get("image_roots", ())),
    )


def push(plan: PushPlan, told: Told | None = None) -> str | None:
    """Send what a plan says and commit it; return the address of the commit, None for no change.

    Args:
        plan: As `plan_push` returns it.
        told: Hears how far it is.

    Raises:
        SourceError, OutputError: if the Hub refuses: no right, a name that is taken, no space.
        RemoteError: if it does not answer; what was sent is kept there, and a rerun goes on.
    """
    import huggingface_hub

    if plan.commit is not None and not plan.files and not plan.deleted:
        return None
    utils: Any = huggingface_hub.utils  # its stubs name no function as public
    utils.disable_progress_bars()
    api = huggingface_hub.HfApi(token=known_token())
    with writing(plan.repo):
        if plan.commit is None:
            api.create_repo(plan.repo, repo_type="dataset", private=plan.private)
        additions = [_addition(plan, file) for file in plan.files]
        _send(api, plan, additions, told)
        return _committed(api, plan, additions)


class _There(NamedTuple):
    """What the Hub has of a repository; ``commit`` is None where it has none."""

    commit: str | None
    private: bool
    digests: Mapping[str, str]


def _there(repo: str) -> _There:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi(token=known_token())
    with writing(repo):
        try:
            info = tried(lambda: api.dataset_info(repo))
        except RepositoryNotFoundError as error:
            if error.response.status_code == 404:  # with a good token: there is none
                return _There(None, private=True, digests={})
            raise
        files = files_at(api, info.id, info.sha or "")
    return _There(info.sha, bool(info.private), {path: files[path].digest for path in files})


def _paths(manifest: Mapping[str, Any], *, with_raw_rejects: bool) -> tuple[list[str], list[str]]:
    """Return what goes, and what stays here: ledgers with whole rows, unless they are wanted."""
    shards = [shard["file"] for split in manifest["splits"].values() for shard in split["shards"]]
    ledgers = [ledger["file"] for ledger in manifest["rejects"]["files"]]
    are_raw = manifest.get("plan", {}).get("rejects_raw", True)
    kept = ledgers if are_raw and not with_raw_rejects else []
    return [CARD, MANIFEST, *shards, *(path for path in ledgers if path not in kept)], kept


def _digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the sha256 of each file that a manifest lists, which were held to it."""
    listed = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    return {file["file"]: file["sha256"] for file in (*listed, *manifest["rejects"]["files"])}


def _file(out: Path, path: str, digests: Mapping[str, str], there: str | None) -> PushFile:
    """Return a file with its digest, of the kind that the Hub knows it by if it has it."""
    place = out / path
    if not place.is_file():
        raise SourceError(f"{place}: missing; the folder is no finished import")
    if path in digests and not (there or "").startswith("git:"):
        return PushFile(path, place.stat().st_size, f"sha256:{digests[path]}")
    return PushFile(path, place.stat().st_size, digest_of(place, there or "git:"))


def _deleted(repo: str, there: _There, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the files of an earlier push that are no more.

    Raises:
        OutputError: if the repository holds rows that no push of ours has put there.
    """
    others = sorted(there.digests.keys() - {*paths})
    if MANIFEST in there.digests:
        return tuple(path for path in others if path.startswith(("data/", "rejects/")))
    rows = [path for path in others if is_rows(path)]
    if rows:
        shown = ", ".join(rows[:_SHOWN]) + (", ..." if len(rows) > _SHOWN else "")
        raise OutputError(f"{repo}: holds other rows ({shown}), and no import; name a new one")
    return ()


def _listing_less(manifest: Mapping[str, Any], kept_here: Collection[str]) -> bytes:
    """Return a manifest without the ledgers that stay here; its counts of refused rows are kept."""
    rejects = manifest["rejects"]
    files = [ledger for ledger in rejects["files"] if ledger["file"] not in kept_here]
    return to_json({**manifest, "rejects": {**rejects, "files": files}})


def _digest_of(data: bytes, like: str) -> str:
    if like.startswith("sha256:"):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    blob = b"blob %d\0%b" % (len(data), data)
    return f"git:{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"


def _addition(plan: PushPlan, file: PushFile) -> Any:
    from huggingface_hub import CommitOperationAdd

    content: Path | bytes = plan.folder / file.path
    if file.path == MANIFEST and plan.kept_here:
        content = _listing_less(read_manifest(plan.folder), plan.kept_here)
    addition = CommitOperationAdd(file.path, content)
    kind, _, digest = file.digest.partition(":")
    if kind == "sha256":  # told already: it is not read once more for that
        addition.upload_info.sha256 = bytes.fromhex(digest)
    return addition


def _send(api: Any, plan: PushPlan, additions: Sequence[Any], told: Told | None) -> None:
    done, total = 0, plan.bytes
    for start in range(0, len(additions), _AT_ONCE):
        some = additions[start : start + _AT_ONCE]
        api.preupload_lfs_files(plan.repo, some, repo_type="dataset", free_memory=False)
        done += sum(file.bytes for file in plan.files[start : start + _AT_ONCE])
        if told is not None:
            told(done, total)


def _committed(api: Any, plan: PushPlan, additions: Sequence[Any]) -> str:
    from huggingface_hub import CommitOperationDelete

    deletions = [CommitOperationDelete(path) for path in plan.deleted]
    done = api.create_commit(
        plan.repo,
        [*additions, *deletions],
        commit_message="Import by vlm-datakit",
        repo_type="dataset",
        parent_commit=plan.commit,
    )
    return str(done.commit_url)
