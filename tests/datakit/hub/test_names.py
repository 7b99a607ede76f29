"""Names of data sets on the Hub, told apart from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_datakit.errors import UsageError
from vlm_datakit.hub.names import HubName, Pinned, hub_name, pinned


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("owner/name", HubName("owner/name")),
        ("owner/na.me-1@refs/pr/3", HubName("owner/na.me-1", "refs/pr/3")),
        ("owner/name@v1::a/b.jsonl", HubName("owner/name", "v1", "a/b.jsonl")),
        ("owner/name.json::a", HubName("owner/name.json", None, "a")),
        ("hf://datasets/owner/name/", HubName("owner/name")),
        ("hf://datasets/owner/name@refs%2Fpr%2F3/a", HubName("owner/name", "refs/pr/3", "a")),
        ("owner/name.jsonl", None),
        ("owner/name.parquet", None),
        ("./owner/name", None),
        ("/owner/name", None),
        ("owner/name/more", None),
        ("owner", None),
        ("../name", None),
        ("a/*", None),
        ("s3://owner/name", None),
        ("-", None),
    ],
)
def test_a_name_is_one_of_the_hub_by_its_shape(text: str, name: HubName | None) -> None:
    assert hub_name(text) == name


def test_what_is_there_is_what_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("owner").mkdir()
    Path("file").touch()

    assert hub_name("owner/name") is None
    assert hub_name("hf://datasets/owner/name") == HubName("owner/name")
    assert hub_name("file/name") == HubName("file/name")


@pytest.mark.parametrize("text", ["hf://datasets/owner", "hf://datasets/", "hf://datasets/a b/c"])
def test_an_address_of_no_data_set_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a data set on the Hub is hf://datasets/OWNER/NAME"):
        hub_name(text)


def test_a_pinned_file_has_an_address_that_gives_it_back() -> None:
    file = Pinned("owner/name", "0123456789" * 4, "data/a b.jsonl")

    assert pinned(file.address) == file
    assert pinned("hf://datasets/owner/name@main/a") is None
    assert pinned("/a/b.jsonl") is None
