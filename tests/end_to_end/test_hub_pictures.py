"""Pictures that rows of a data set on the Hub name by their path in the repository."""

from __future__ import annotations

import io
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from vlm_datakit import open_shards

TOKEN = "hf_" + "t" * 34
PNG_BYTES = 6_000  # of the larger ones, which the store sends


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def pictures(png_bytes: Any) -> dict[str, bytes]:
    """Return twelve pictures by their paths at the top of a repository, half of them large."""
    small = {f"images/{n}.png": png_bytes(4 + n, 5) for n in range(6)}
    noise = {f"images/{n}.png": noisy(n) for n in range(6, 12)}
    return {**small, **noise}


def noisy(seed: int) -> bytes:
    image = PIL.Image.frombytes("RGB", (50, 45), random.Random(seed).randbytes(50 * 45 * 3))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert len(out.getvalue()) > PNG_BYTES
    return out.getvalue()


@pytest.fixture
def named(hub: Any, chat: Callable[..., Any], pictures: dict[str, bytes]) -> Any:
    """Return a set whose rows name pictures from the top of the repository."""
    rows = [chat("Which?", str(n), path) for n, path in enumerate(pictures)]
    return hub.add("owner/named", {"data/train.jsonl": lines(*rows), **pictures})


def shown(folder: Path, split: str = "train") -> list[bytes]:
    return [image.data for row in open_shards(folder, split) for image in row.images]


def asked_for(hub: Any, part: str) -> list[str]:
    return [asked for asked in hub.asked if part in asked]


def test_pictures_of_the_repository_are_fetched_once_each_and_by_no_other_question(
    hub: Any, hub_cli: Any, named: Any, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    four = threading.Barrier(4)
    hub.before = lambda path: four.wait(10) if "/images/" in path else None

    done = hub_cli("import", "owner/named", "--workers", "1")

    assert done.code == 0, done.err
    assert shown(tmp_path / "named") == [*pictures.values()]
    asked = asked_for(hub, "/images/")
    assert sorted(asked) == sorted(
        f"GET /datasets/owner/named/resolve/{commit(asked)}/{path}" for path in pictures
    )
    assert not four.broken


def commit(asked: list[str]) -> str:
    (found,) = {path.split("/")[5] for path in asked}
    assert len(found) == 40
    return found


def test_the_bytes_are_those_of_a_copy_on_the_disk_for_any_number_of_processes(
    hub: Any, hub_cli: Any, tree: Any, chat: Any, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    rows = [chat("?" * 45_000, str(n), path) for n, path in enumerate([*pictures] * 5)]
    files = {f"train-{n}.jsonl": lines(*rows[n:]) for n in range(2)}
    hub.add("owner/many", {**files, **pictures})
    for name, data in {**files, **pictures}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)

    one = hub_cli("import", "owner/many", "--workers", "1", "--json", "-o", "one/set")
    home = {"HF_HOME": "another"}
    two = hub_cli("import", "owner/many", "--workers", "2", "-o", "two/set", env=home)
    here = hub_cli("import", *files, "-o", "here/set")

    assert (one.code, two.code, here.code) == (0, 0, 0), one.err + two.err + here.err
    assert json.loads(one.out)["slices"] == 6
    assert json.loads(one.out)["images"] == 119
    trees = [tree(tmp_path / name / "set") for name in ("one", "two", "here")]
    assert trees[0] == trees[1]
    shards = [{n: d for n, d in found.items() if n.startswith("data/")} for found in trees]
    assert shards[0] == shards[2]
    asked = ("one", "two")
    assert len(asked_for(hub, "/images/")) <= (len(asked) + 1) * len(pictures)


@pytest.mark.parametrize("kill_at", [58, 78])
def test_after_a_kill_no_picture_is_fetched_again(
    hub: Any, hub_cli: Any, named: Any, pictures: Any, tmp_path: Path, *, kill_at: int
) -> None:
    killed = hub_cli("import", "owner/named", kill_at=kill_at)
    kept = {path.name for path in (tmp_path / "hf-home/vlm-datakit/pictures").glob("*/[!.]*")}
    hub.forget()
    done = hub_cli("import", "owner/named")

    assert (killed.code, done.code) == (-9, 0), done.err
    assert kept
    assert len(asked_for(hub, "/images/")) == len(pictures) - len(kept)
    assert shown(tmp_path / "named") == [*pictures.values()]


def test_the_token_goes_to_the_hub_and_not_to_its_store(
    hub: Any, hub_cli: Any, named: Any, pictures: Any, tmp_path: Path
) -> None:
    named.gated = True

    done = hub_cli("import", "owner/named", env={"HUGGINGFACE_TOKEN": TOKEN})

    assert done.code == 0, done.err
    assert shown(tmp_path / "named") == [*pictures.values()]
    sent = [asked for asked in hub.served.asked if "/images/" in asked.path]
    assert all(f"Bearer {TOKEN}" in asked.head for asked in sent)
    assert hub.store.asked
    assert not any("uthorization" in asked.head for asked in hub.store.asked)


def test_paths_are_tried_from_the_folder_of_the_rows_and_from_the_top(
    hub: Any, hub_cli: Any, chat: Any, png_bytes: Any, tmp_path: Path
) -> None:
    names = ["a.png", "b.png", "../c.png", "./x/../a.png"]
    at = {"data/en/a.png": 11, "a.png": 12, "b.png": 13, "data/c.png": 14}
    files = {path: png_bytes(width, 5) for path, width in at.items()}
    rows = lines(*[chat("Which?", name, name) for name in names])
    rows += lines(chat("Which?", "address", "hf://datasets/owner/named/b.png"))
    hub.add("owner/named", {"data/en/train.jsonl": rows, **files})

    done = hub_cli("import", "owner/named")

    assert done.code == 0, done.err
    widths = [row.images[0].width_px for row in open_shards(tmp_path / "named", "train")]
    assert widths == [11, 13, 14, 11, 13]


NO_PICTURES = [
    ("images/none.png", "image-file-missing", '"images/none.png": no file of owner/odd at '),
    ("images", "image-file-missing", '"images": no file of owner/odd at '),
    ("../../a.png", "image-outside-root", '"../../a.png"'),
    ("/etc/passwd", "image-outside-root", '"/etc/passwd"'),
    ("file:///etc/passwd", "image-outside-root", '"file:///etc/passwd"'),
    ("hf://datasets/owner/other/a.png", "image-url-refused", "not of owner/odd at "),
    ("hf://datasets/owner/odd@main/a.png", "image-url-refused", "not of owner/odd at "),
    ("hf://buckets/x/a.png", "image-url-refused", "not of owner/odd at "),
    ("a.txt", "image-type-unsupported", ""),
    ("images/" + "n" * 300, "image-file-missing", "307 characters: no file of owner/odd"),
]


def test_what_is_no_picture_of_the_repository_is_refused_in_its_place(
    hub: Any, hub_cli: Any, chat: Any, png_bytes: Any
) -> None:
    files = {"images/a.png": png_bytes(5, 5), "a.txt": b"no picture"}
    names = ["images/a.png", *(name for name, _, _ in NO_PICTURES)]
    rows = lines(*[chat("Which?", "This.", name) for name in names])
    hub.add("owner/odd", {"data/train.jsonl": rows, **files})

    found = json.loads(hub_cli("validate", "owner/odd", "--json").out)
    shown = json.loads(hub_cli("preview", "owner/odd", "-n", "20", "--json").out)["rows"]

    assert found["good"] == 1
    assert shown[0]["pictures"][0]["width_px"] == 5
    for line, row, (_, reason, seen) in zip(found["first"], shown[1:], NO_PICTURES, strict=True):
        assert reason in line
        assert seen in line
        assert row["refused"] == line
    assert asked_for(hub, "none.png") == asked_for(hub, "/other/") == []


def test_a_picture_that_is_too_large_is_not_asked_for(
    hub: Any, hub_cli: Any, chat: Any, png_bytes: Any
) -> None:
    files = {"images/a.png": png_bytes(5, 5), "images/b.png": b"\x89PNG" + b"0" * 1_100_000}
    rows = lines(*[chat("Which?", "This.", name) for name in files])
    hub.add("owner/large", {"data/train.jsonl": rows, **files})

    done = hub_cli("import", "owner/large", "--limit", "image-mib=1", "--max-rejects", "1")

    assert done.code == 0, done.err
    assert b"image-too-large" in done.err
    assert asked_for(hub, "b.png") == []


def test_a_picture_that_is_not_what_the_hub_states_is_fetched_once_more_and_then_refused(
    hub: Any, hub_cli: Any, named: Any, pictures: Any, tmp_path: Path
) -> None:
    hub.flips = 1
    once = hub_cli("import", "owner/named", "-o", "once")
    hub.flips = 99
    always = hub_cli("import", "owner/named", "-o", "always", env={"HF_HOME": "other"})
    hub.flips = 0
    hub.forget()
    again = hub_cli("import", "owner/named", "-o", "always", env={"HF_HOME": "other"})

    assert (once.code, always.code, again.code) == (0, 6, 0), once.err + again.err
    assert b"not what the Hub states by its sum, 2 times" in always.err
    assert b"image-fetch-failed" in always.err
    assert shown(tmp_path / "once") == shown(tmp_path / "always") == [*pictures.values()]
    assert len(asked_for(hub, "/images/")) == 6  # the others are here


def test_a_picture_that_the_hub_does_not_give_is_a_refused_row(
    hub: Any, hub_cli: Any, named: Any, tmp_path: Path
) -> None:
    gone = hub.http(b"{}", status=404, X_Error_Code="EntryNotFound")
    hub.faults = {"/images/3.png": [gone] * 9, "/images/4.png": [hub.http(b"{}", status=503)]}

    done = hub_cli("import", "owner/named", "--max-rejects", "1")

    assert done.code == 0, done.err
    assert len(shown(tmp_path / "named")) == 11
    (line,) = (tmp_path / "named/rejects").glob("*.jsonl")
    refused = json.loads(line.read_text())
    assert refused["reason"] == "image-fetch-failed"
    assert "owner/named::images/3.png: no such file" in refused["seen"]


def test_a_damaged_picture_in_the_cache_is_fetched_again(
    hub: Any, hub_cli: Any, named: Any, pictures: Any, tmp_path: Path
) -> None:
    hub_cli("import", "owner/named", "-o", "first")
    for path in (tmp_path / "hf-home/vlm-datakit/pictures").glob("*/git-*"):
        path.write_bytes(b"0" * path.stat().st_size)
    for note in (tmp_path / "hf-home/vlm-datakit/trees").iterdir():
        note.write_bytes(b"[")
    hub.forget()

    done = hub_cli("import", "owner/named", "-o", "second")

    assert done.code == 0, done.err
    assert shown(tmp_path / "second") == [*pictures.values()]
    assert len(asked_for(hub, "/images/")) == 6


@pytest.mark.parametrize("name", ["metadata.jsonl", "train/metadata.csv"])
def test_a_folder_of_pictures_with_metadata_is_read_as_one(
    hub: Any, hub_cli: Any, png_bytes: Any, tmp_path: Path, *, name: str
) -> None:
    rows = [{"file_name": f"{n}.png", "text": "Which?", "response": str(n)} for n in range(3)]
    table = "\n".join(["file_name,text,response", *(",".join(row.values()) for row in rows)])
    data = lines(*rows) if name.endswith("jsonl") else f"{table}\n".encode()
    folder = name.rpartition("metadata")[0]
    pictures = {f"{folder}{n}.png": png_bytes(5 + n, 5) for n in range(3)}
    hub.add("owner/folder", {name: data, **pictures})

    done = hub_cli("import", "owner/folder", "--from", "simple")
    converted = hub_cli("convert", "owner/folder", "--from", "simple", "--to", "openai")

    assert (done.code, converted.code) == (0, 0), done.err + converted.err
    widths = [row.images[0].width_px for row in open_shards(tmp_path / "folder", "train")]
    assert widths == [5, 6, 7]
    assert converted.out.count(b"data:image/png;base64,") == 3


def test_a_file_below_an_image_root_comes_before_one_of_the_repository(
    hub: Any, hub_cli: Any, named: Any, pictures: Any, png_bytes: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine/images").mkdir(parents=True)
    (tmp_path / "mine/images/3.png").write_bytes(png_bytes(77, 7))

    done = hub_cli("import", "owner/named", "--image-root", "mine")

    assert done.code == 0, done.err
    expected = [*pictures.values()]
    expected[3] = png_bytes(77, 7)
    assert shown(tmp_path / "named") == expected
    assert asked_for(hub, "/images/3.png") == []
