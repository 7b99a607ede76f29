"""Which files of a repository hold which split: told from its card, then from the names.

Pure: names and a card in, a layout out, for a repository on the Hub and for a folder here.

Source: the rules of ``datasets`` 5 (data_files.py, METADATA_CONFIGS_FIELD). It takes every file,
whatever it is called, where these rules find no split; here only names that can be nothing but
shards of one set are taken then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vlm_datakit.errors import SourceError
from vlm_datakit.globs import is_pattern, like

#: How a file of rows is called.
ROW_SUFFIX = (
    r"(?P<suffix>(jsonl|ndjson|json|csv|tsv|tar)(\.gz|\.zst|\.zstd)?|tgz|parquet|arrow|zip)"
)
DEFAULT = "default"
#: What may help where no reader of ours fits.
FALL_BACK = "; --with-datasets reads what the package `datasets` can"
_ROWS = re.compile(rf".*\.{ROW_SUFFIX}", re.IGNORECASE)
_NO_ROWS = frozenset(
    {"config.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
    | {"dummy_data.zip", "manifest.json", "state.json", "tokenizer.json", "package.json"}
)
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_APART = r"[-._ 0-9]"
_SHARD = re.compile(rf"data/(?P<split>\w+(\.\w+)*)-\d{{5}}-of-\d{{5}}[^/]*\.{ROW_SUFFIX}")
_SHOWN = 8

#: Names of files by split, in order.
Splits = Mapping[str, tuple[str, ...]]


class Layout(NamedTuple):
    """The configs of a repository, each with its splits; ``default`` is the one meant by none.

    ``unmatched`` are what the card says of files that are not there, by config and split; a
    config whose card names no file at all is there without a split.
    """

    configs: Mapping[str, Splits]
    default: str | None
    unmatched: Mapping[str, Splits] = {}


def is_rows(path: str) -> bool:
    """Whether a path in a repository is called as files of rows are.

    Example:
        >>> [is_rows(path) for path in ("data/a.jsonl.gz", "train_data", "dataset_infos.json")]
        [True, False, False]
    """
    *folders, name = path.split("/")
    if any(part.startswith((".", "__")) for part in (*folders, name)) or name in _NO_ROWS:
        return False
    return _ROWS.fullmatch(name) is not None


def layout_of(paths: Iterable[str], card: Mapping[str, Any], *, unnamed: bool = True) -> Layout:
    """Return which files hold which split.

    Args:
        paths: Of all files, relative to the repository.
        card: What the head of its README.md says; empty if there is none.
        unnamed: Whether files whose names say nothing of a split are train.

    Raises:
        SourceError: if the card names files in a way that is not understood.

    Example:
        >>> layout_of(["train.jsonl", "val.jsonl", "README.md", "raw"], {}).configs
        {'default': {'train': ('train.jsonl',), 'validation': ('val.jsonl',)}}
    """
    files = sorted(paths)
    configs = card.get("configs")
    if not configs:
        return Layout({DEFAULT: _by_names(files, unnamed=unnamed)}, DEFAULT)
    found: dict[str, Splits] = {}
    unmatched: dict[str, Splits] = {}
    default = None
    for config in configs if isinstance(configs, list) else [configs]:
        if not isinstance(config, dict):
            raise SourceError("README.md: each of its configs has to be a mapping")
        name = str(config.get("config_name", DEFAULT))
        found[name], missing = _of_config(files, config)
        if missing is not None:
            unmatched[name] = missing
        if config.get("default"):
            default = name
    if default is None:
        default = next(iter(found)) if len(found) == 1 else (DEFAULT if DEFAULT in found else None)
    return Layout(found, default, unmatched)


def converted_layout(paths: Iterable[str]) -> Layout:
    """Return the layout of the branch of Parquet that the Hub makes: ``CONFIG/SPLIT/FILE``.

    Example:
        >>> converted_layout(["main/train/0000.parquet", "README.md"]).configs
        {'main': {'train': ('main/train/0000.parquet',)}}
    """
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for path in sorted(paths):
        config, _, rest = path.partition("/")
        split, _, name = rest.rpartition("/")
        if split and name.endswith(".parquet"):
            splits = found.setdefault(config, {})
            splits[split] = (*splits.get(split, ()), path)
    default = next(iter(found)) if len(found) == 1 else (DEFAULT if DEFAULT in found else None)
    return Layout(found, default)


def chosen(layout: Layout, config: str | None, split: str, shown: str) -> dict[str, list[str]]:
    """Return the files of a split, or those of ``all``, by split.

    Args:
        layout: Of the repository.
        config: None: the default one.
        split: As a person names it.
        shown: The repository, for errors.

    Raises:
        SourceError: for a config or a split that is not there, one of which files are not there
            that the card names, or one that could be read in two ways; with the names of those
            there are.
    """
    name = _config_of(layout, config, shown)
    splits, unmatched = layout.configs[name], layout.unmatched.get(name, {})
    is_all = split == "all"
    for missed in unmatched if is_all else _named(unmatched, split):
        patterns = ", ".join(unmatched[missed][:_SHOWN])
        raise SourceError(
            f"{shown}: no file for the split {missed}: README.md names {patterns}, "
            "and none is called so"
        )
    wanted = [each for each in splits if splits[each]] if is_all else _named(splits, split)
    if not wanted:
        known = ", ".join(each for each, files in splits.items() if files) or "none by its names"
        if not splits and name in layout.unmatched:
            known = "none: the data_files of its README.md are empty"
        more = f" in config {name}" if name != DEFAULT else ""
        cure = "" if any(splits.values()) else FALL_BACK
        raise SourceError(f"{shown}: no split {split}{more}; splits: {known}{cure}")
    for name in wanted:
        check_one_kind(splits[name], name, f"{shown}: ")
    return {name: [*splits[name]] for name in wanted}


def check_one_kind(files: Iterable[str], split: str, before: str = "") -> None:
    """Hold the files of a split to one kind.

    Args:
        files: Their names.
        split: Its name, for the error.
        before: What the error begins with.

    Raises:
        SourceError: if files of several kinds could be meant.
    """
    kinds: dict[str, str] = {}
    for file in files:
        match = _ROWS.fullmatch(file)
        suffix = match["suffix"].lower() if match else ""
        kinds.setdefault(re.sub("ndjson", "jsonl", suffix), file)
    if len(kinds) > 1:
        one, other = (kinds[kind] for kind in sorted(kinds)[:2])
        raise SourceError(
            f"{before}{one} or {other}: both could be the split {split}; name one of them"
        )


def meant(layout: Layout, split: str) -> bool:
    """Whether the default config has a split, under that name or another word for it."""
    return layout.default is not None and bool(_named(layout.configs[layout.default], split))


def _config_of(layout: Layout, config: str | None, shown: str) -> str:
    name = layout.default if config is None else config
    if name is not None and name in layout.configs:
        return name
    known = ", ".join([*layout.configs][: 5 * _SHOWN])
    what = f"no config {config}" if config else "several configs; name one with --config"
    raise SourceError(f"{shown}: {what}; configs: {known}")


def _named(splits: Splits, split: str) -> list[str]:
    """Return the split of that name, else the one that the name is another word for."""
    word_for = next((name for name, words in _WORDS.items() if split in words), split)
    return [name for name in (split, word_for) if splits.get(name)][:1]


def _of_config(files: Sequence[str], config: Mapping[str, Any]) -> tuple[Splits, Splits | None]:
    """Return the splits of a config, and what the card says of files that are not there."""
    folder = str(config.get("data_dir") or "").strip("/").removeprefix("./")
    if folder:
        files = [file for file in files if file.startswith(f"{folder}/")]
    wanted = config.get("data_files")
    if wanted is None:
        below = len(folder) + 1 if folder else 0
        named = _by_names([file[below:] for file in files])
        return {
            split: tuple(f"{folder}/{f}" if folder else f for f in named[split]) for split in named
        }, None
    splits: dict[str, tuple[str, ...]] = {}
    unmatched: dict[str, tuple[str, ...]] = {}
    for split, patterns in _patterns(wanted):
        found = {pattern: _matching(files, folder, pattern) for pattern in patterns}
        splits[split] = (
            *splits.get(split, ()),
            *dict.fromkeys(f for matches in found.values() for f in matches),
        )
        missing = [each for each in found if not found[each]]
        named_so = [each for each in missing if not is_pattern(each)]
        if missing and (named_so or not splits[split]):
            unmatched[split] = (*unmatched.get(split, ()), *(named_so or missing))
    return splits, unmatched if unmatched or not splits else None


def _patterns(wanted: Any) -> list[tuple[str, list[str]]]:
    """Return the patterns of each split, as the card spells them in one of its four ways."""
    if not wanted:
        return []
    if isinstance(wanted, str):
        return [("train", [wanted])]
    if isinstance(wanted, dict):
        return [(str(split), _texts(patterns)) for split, patterns in wanted.items()]
    if isinstance(wanted, list) and all(isinstance(each, str) for each in wanted):
        return [("train", wanted)]
    if isinstance(wanted, list) and all(isinstance(each, dict) for each in wanted):
        return [(str(each.get("split", "train")), _texts(each.get("path"))) for each in wanted]
    raise SourceError("README.md: its data_files are neither texts nor splits with paths")


def _texts(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise SourceError("README.md: a path of its data_files is no text")
    return texts


def _matching(files: Sequence[str], folder: str, pattern: str) -> list[str]:
    pattern = pattern.removeprefix("./")
    if pattern in files:  # said in so many words, whatever it is called
        return [pattern]
    if folder and not pattern.startswith(f"{folder}/"):
        pattern = f"{folder}/{pattern}"
    return [file for file in like(pattern, files) if is_rows(file) or pattern == file]


def _by_names(files: Sequence[str], *, unnamed: bool = True) -> Splits:
    rows = [file for file in files if is_rows(file)]
    shards: dict[str, tuple[str, ...]] = {}
    for file in rows:
        if match := _SHARD.fullmatch(file):
            shards[match["split"]] = (*shards.get(match["split"], ()), file)
    if shards:
        return _in_order(shards)
    for place in (_in_folder, _in_file_name):
        found = {
            split: tuple(file for file in rows if any(place(file, word) for word in words))
            for split, words in _WORDS.items()
        }
        if any(found.values()):
            return {split: files for split, files in found.items() if files}
    return {"train": tuple(rows)} if unnamed and _are_shards(rows) else {}


def _in_order(splits: Mapping[str, tuple[str, ...]]) -> Splits:
    """Put train, validation and test first."""
    names = [*(name for name in _WORDS if name in splits), *(n for n in splits if n not in _WORDS)]
    return {name: splits[name] for name in names}


def _in_folder(file: str, word: str) -> bool:
    rule = re.compile(rf"(.*{_APART})?{word}({_APART}.*)?")
    return any(rule.fullmatch(part) for part in file.split("/")[:-1])


def _in_file_name(file: str, word: str) -> bool:
    return re.fullmatch(rf"(.*{_APART})?{word}{_APART}.*", file.rpartition("/")[2]) is not None


def _are_shards(files: Sequence[str]) -> bool:
    """Whether names differ in nothing but numbers, so that they can only be one set."""
    return len({re.sub(r"\d+", "0", file) for file in files}) == 1
