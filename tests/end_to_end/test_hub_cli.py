"""Data sets on the Hub through the command line: the real client, a Hub on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit import open_shards

TOKEN = "hf_" + "t" * 34


def answer(n: int) -> str:
    return json.dumps({"total": "007", "n": n})


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def rows(chat: Callable[..., Any], data_uri: Any, png_bytes: Any) -> Callable[[int, int], bytes]:
    """Return rows of OpenAI's form with a picture each, whose answers are JSON text."""

    def make(first: int, count: int) -> bytes:
        uri = data_uri(png_bytes(64, 64, color=(9, 9, 9)))
        return lines(*(chat("Fill in.", answer(n), uri) for n in range(first, first + count)))

    return make


@pytest.fixture
def flagship(hub: Any, rows: Callable[[int, int], bytes]) -> Any:
    """Return a set without a card: two splits, and a third file of no split and no extension."""
    files = {"train.jsonl": rows(0, 40), "validation.jsonl": rows(100, 15)}
    return hub.add("Barth371/train_pop", {**files, "train_raw_copy": files["train.jsonl"]})


def answers(folder: Path, split: str) -> list[str]:
    return [row.messages[-1].content[0].text for row in open_shards(folder, split)]


def test_a_split_of_a_set_without_a_card_is_its_one_file_to_the_byte(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    done = hub_cli("import", "Barth371/train_pop", "--split", "train")

    assert done.code == 0, done.err
    assert b"downloading train.jsonl" in done.err
    out = tmp_path / "train_pop"
    assert answers(out, "train") == [answer(n) for n in range(40)]
    manifest = json.loads((out / "manifest.json").read_text())
    (file,) = manifest["source"]["files"]
    assert file["name"] == "train.jsonl"
    assert file["address"].startswith("hf://datasets/Barth371/train_pop@")
    fetched = [path for path in hub.asked if "/resolve/" in path]
    assert all(path.endswith("/train.jsonl") for path in fetched)


def test_every_split_is_imported_and_a_second_run_asks_for_no_data(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    command = ["import", "Barth371/train_pop", "--split", "all", "-o", "set"]
    first = hub_cli(*command)
    asked = len(hub.asked)
    hub.forget()
    again = hub_cli(*command)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert answers(tmp_path / "set", "validation") == [answer(n) for n in range(100, 115)]
    assert b"finished before" in again.err
    assert asked <= 3 + 2 * 3 + 1  # info, tree, a look; of each file a HEAD and, over a hop, a GET
    assert [path for path in hub.asked if "/resolve/" in path] == []


def test_other_names_of_a_split_and_several_of_them_are_understood(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    both = hub_cli("import", "Barth371/train_pop", "--split", "val", "--split", "train", "-o", "a")
    named = hub_cli("import", "dev=Barth371/train_pop::validation.jsonl", "-o", "b")

    assert (both.code, named.code) == (0, 0), both.err + named.err
    assert sorted(json.loads((tmp_path / "a/manifest.json").read_text())["splits"]) == [
        "train",
        "validation",
    ]
    assert len(answers(tmp_path / "b", "dev")) == 15


def test_a_wildcard_stands_for_files_of_rows(hub: Any, hub_cli: Any, tmp_path: Path) -> None:
    files = {f"data/part-{n}.jsonl": lines({"text": "a", "response": f"{n}"}) for n in range(3)}
    hub.add("owner/set", {**files, "data/notes-1.txt": b"-", "part-9.jsonl": b"{}"})

    done = hub_cli("import", "owner/set::data/part-[12]*", "-o", "a")
    by_address = hub_cli("import", "hf://datasets/owner/set/data/*-0.jsonl", "-o", "b")

    assert (done.code, by_address.code) == (0, 0), done.err + by_address.err
    assert answers(tmp_path / "a", "train") == ["1", "2"]
    assert answers(tmp_path / "b", "train") == ["0"]


def test_a_set_is_converted_and_validated_by_its_name(
    hub: Any, hub_cli: Any, flagship: Any
) -> None:
    converted = hub_cli("convert", "Barth371/train_pop", "--split", "validation", "--to", "simple")
    validated = hub_cli("validate", "Barth371/train_pop", "--split", "all", "--json")

    assert converted.code == 0, converted.err
    rows = [json.loads(line) for line in converted.out.splitlines()]
    assert [row["response"] for row in rows] == [answer(n) for n in range(100, 115)]
    assert json.loads(validated.out)["good"] == 55


def test_a_goal_maps_the_columns_of_a_set_that_one_has_never_seen(
    hub: Any, hub_cli: Any, tmp_path: Path
) -> None:
    pairs = [
        {"instruction": f"Say {n}.", "chosen_response": f"{n}", "rejected_response": "no", "by": 7}
        for n in range(30)
    ]
    hub.add("owner/pairs", {"data/train-00000-of-00001.jsonl": lines(*pairs)})

    found = hub_cli("suggest-mapping", "owner/pairs", "--goal", "dpo")
    imported = hub_cli("import", "owner/pairs", "--split", "train", "--goal", "dpo")
    converted = hub_cli("convert", "owner/pairs", "--goal", "dpo", "--to", "preference")

    assert (found.code, imported.code) == (0, 0), found.err + imported.err
    assert b"--map prompt=instruction" in found.out
    assert b"suggested for dpo" in imported.err
    assert open_shards(tmp_path / "pairs", "train").get(7).rejected[0].content[0].text == "no"
    rows = [json.loads(line) for line in converted.out.splitlines()]
    assert rows[3] == {"prompt": "Say 3.", "chosen": "3", "rejected": "no"}


def test_a_card_says_which_files_a_config_has(hub: Any, hub_cli: Any, tmp_path: Path) -> None:
    card = b"""---
configs:
- config_name: long
  data_files:
  - split: train
    path: parts/long-*.jsonl
- config_name: short
  data_files: short.jsonl
---
"""
    rows = {
        "parts/long-1.jsonl": lines({"text": "a", "response": "1"}),
        "parts/long-2.jsonl": lines({"text": "b", "response": "2"}),
        "short.jsonl": lines({"text": "c", "response": "3"}),
        "train.jsonl": lines({"text": "no", "response": "no"}),
    }
    hub.add("owner/set", {"README.md": card, **rows})

    unsaid = hub_cli("import", "owner/set")
    unknown = hub_cli("import", "owner/set", "--config", "x")
    long = hub_cli("import", "owner/set", "--config", "long", "-o", "long")
    short = hub_cli("import", "owner/set@main", "--config", "short", "-o", "short")
    no_split = hub_cli("import", "owner/set", "--config", "short", "--split", "test")

    assert [done.code for done in (unsaid, unknown, long, short, no_split)] == [3, 3, 0, 0, 3]
    assert b"several configs; name one with --config; configs: long, short" in unsaid.err
    assert b"no config x; configs: long, short" in unknown.err
    assert b"no split test in config short; splits: train" in no_split.err
    assert answers(tmp_path / "long", "train") == ["1", "2"]
    assert answers(tmp_path / "short", "train") == ["3"]


def test_a_script_gives_way_to_the_parquet_that_the_hub_made(
    hub: Any, hub_cli: Any, tmp_path: Path
) -> None:
    table = pa.table({"text": ["a", "b"], "response": ["1", "2"]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    branch = {"refs/convert/parquet": {"default/train/0000.parquet": sink.getvalue()}}
    hub.add("owner/scripted", {"scripted.py": b"raise SystemExit"}, branches=branch)
    hub.add("owner/bare", {"bare.py": b"raise SystemExit"})

    done = hub_cli("import", "owner/scripted")
    bare = hub_cli("import", "owner/bare")

    assert done.code == 0, done.err
    assert answers(tmp_path / "scripted", "train") == ["1", "2"]
    assert bare.code == 3
    assert b"owner/bare: only a script, which is not run here, and the Hub has made no" in bare.err


def test_the_token_is_not_shown_and_not_sent_to_the_second_host(
    hub: Any, hub_cli: Any, flagship: Any
) -> None:
    flagship.gated = True
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"):
        done = hub_cli(
            "import", "Barth371/train_pop", "-o", name, env={name: TOKEN, "HF_HOME": f"home-{name}"}
        )

        assert done.code == 0, done.err
        assert TOKEN.encode() not in done.out + done.err
    assert any("uthorization" in asked.head for asked in hub.served.asked)
    assert hub.store.asked
    assert not any("uthorization" in asked.head for asked in hub.store.asked)


@pytest.mark.parametrize(
    ("change", "env", "code", "words"),
    [
        ({"gated": True}, {}, 3, "gated, see {page}; ask for access there, then log in"),
        ({"gated": "closed"}, {"HF_TOKEN": TOKEN}, 3, "the account of your token has no access"),
        ({"private": True}, {}, 3, "no data set of that name on the Hub, or it is private"),
        ({}, {"HF_TOKEN": "hf_wrong"}, 3, "the Hub does not know your token: renew it"),
        ({}, {"HF_HUB_OFFLINE": "1"}, 4, "HF_HUB_OFFLINE is set, so the Hub is not asked"),
        ({}, {"HF_ENDPOINT": "http://127.0.0.1:9"}, 4, "http://127.0.0.1:9 does not answer ("),
    ],
    ids=str,
)
def test_what_bars_the_way_is_said_with_its_cure(
    hub: Any, hub_cli: Any, flagship: Any, *, change: Any, env: Any, code: int, words: str
) -> None:
    for name, value in change.items():
        setattr(flagship, name, value)

    done = hub_cli("import", "Barth371/train_pop", env=env)

    page = f"{hub.env['HF_ENDPOINT']}/datasets/Barth371/train_pop"
    assert done.code == code, done.err
    assert words.format(page=page) in done.err.decode()
    assert b"Traceback" not in done.err
    assert b"hf_wrong" not in done.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Barth371/train_popp", "close to it: Barth371/train_pop"),
        ("Barth371/train_pop@v9", "Barth371/train_pop@v9: no such branch, tag or commit"),
        ("Barth371/train_pop::a.jsonl", "no such file; files of rows: train.jsonl, validation"),
        ("test=Barth371/train_pop", "no split test; splits: train, validation"),
        ("hf://datasets/Barth371", "a data set on the Hub is hf://datasets/OWNER/NAME"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    hub: Any, hub_cli: Any, flagship: Any, name: str, words: str
) -> None:
    done = hub_cli("import", name)

    assert done.code in (2, 3)
    assert words in done.err.decode()


def test_a_flipped_byte_is_noticed_and_fetched_again(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    hub.flips = 1
    once = hub_cli("import", "Barth371/train_pop", "-o", "once")
    hub.flips = 99
    always = hub_cli("import", "Barth371/train_pop", "-o", "always", env={"HF_HOME": "other"})

    assert once.code == 0, once.err
    assert answers(tmp_path / "once", "train") == [answer(n) for n in range(40)]
    assert always.code == 4
    assert b"what came is not what the Hub states by its sha256 sum, twice" in always.err
    assert not (tmp_path / "always").exists()


def test_faults_that_pass_are_outlasted(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    busy = hub.http(b"{}", status=503)
    limited = hub.http(b"{}", status=429, Retry_After="1")
    hub.faults = {"/revision/": [busy], "/tree/": [limited], "/resolve/": [busy]}
    hub.cuts = 1

    done = hub_cli("import", "Barth371/train_pop")

    assert done.code == 0, done.err
    assert len(answers(tmp_path / "train_pop", "train")) == 40


def test_a_rate_limit_says_when_to_come_back(hub: Any, hub_cli: Any, flagship: Any) -> None:
    limited = hub.http(b"{}", status=429, Retry_After="120")
    hub.faults = {"/api/datasets/Barth371": [limited] * 9}

    done = hub_cli("import", "Barth371/train_pop")

    assert done.code == 4
    assert b"too many questions for the Hub; run again in 120 s; with HF_TOKEN set" in done.err


def test_a_copy_on_the_disk_is_split_as_the_set_on_the_hub(
    hub: Any, hub_cli: Any, tmp_path: Path
) -> None:
    files = {
        "README.md": b"---\nconfigs:\n- config_name: main\n  data_files: x/*.jsonl\n---\n",
        "x/a.jsonl": lines({"text": "a", "response": "1"}),
        "y/b.jsonl": lines({"text": "b", "response": "2"}),
    }
    hub.add("owner/set", files)
    for name, data in files.items():
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    done = [hub_cli("import", "owner/set", "-o", "a"), hub_cli("import", "copy", "-o", "b")]

    assert [each.code for each in done] == [0, 0], done
    assert answers(tmp_path / "a", "train") == answers(tmp_path / "b", "train") == ["1"]


CARD = b"""---
license: mit
dataset_info:
  features:
  - name: text
    dtype: string
  - name: response
    dtype: string
  splits:
  - name: train
    num_examples: 7
---
"""


def test_info_tells_what_a_set_is_without_its_data(hub: Any, hub_cli: Any) -> None:
    texts = [f"{n * n}" for n in range(2000)]
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "response": texts}), sink)
    files = {f"data/train-0000{n}-of-00002.parquet": sink.getvalue() for n in range(2)}
    hub.add("owner/told", {"README.md": CARD, "train.jsonl": b"{}" * 9}, gated=True)
    hub.add("owner/ends", files)

    told = json.loads(hub_cli("info", "owner/told", "--json").out)
    ends = json.loads(hub_cli("info", "owner/ends", "--json").out)
    words = hub_cli("info", "owner/ends")

    (config,) = told["configs"]
    assert (told["license"], told["gated"], told["bytes"]) == ("mit", "manual", len(CARD) + 18)
    assert config["features"] == {"text": "string", "response": "string"}
    assert [(split["name"], split["rows"]) for split in config["splits"]] == [("train", 7)]
    assert [split["rows"] for split in ends["configs"][0]["splits"]] == [4000]
    assert b"train  4,000 rows" in words.out
    assert hub.store.asked
    assert all("ange: bytes" in asked.head for asked in hub.store.asked)


def test_a_preview_shows_what_import_makes_of_the_first_rows_by_ranges(
    hub: Any, hub_cli: Any, flagship: Any
) -> None:
    done = hub_cli("preview", "Barth371/train_pop", "-n", "2", "--json")
    words = hub_cli("preview", "Barth371/train_pop", "-n", "1")

    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["file"], found["format"], len(found["rows"])) == ("train.jsonl", "openai", 2)
    assert found["rows"][1]["turns"] == [
        {"role": "user", "text": "<image>Fill in."},
        {"role": "assistant", "text": answer(1)},
    ]
    assert [picture["media_type"] for picture in found["rows"][1]["pictures"]] == ["image/png"]
    assert b"  picture image/png 64x64" in words.out
    assert not any(asked.head.startswith("HEAD") for asked in hub.served.asked)


def test_a_preview_for_a_goal_shows_what_the_import_for_it_makes(
    hub: Any, hub_cli: Any, tmp_path: Path
) -> None:
    rows = [
        {"user_query": f"What is {n} + {n}?", "model_reply": f"It is {2 * n}."} for n in range(4)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    hub.add("owner/sums", {"train.jsonl": text.encode()})

    none = hub_cli("preview", "owner/sums", "-n", "1")
    shown = hub_cli("preview", "owner/sums", "-n", "2", "--goal", "sft", "--json")
    both = hub_cli("preview", "owner/sums", "--goal", "sft", "--from", "simple")
    imported = hub_cli("import", "owner/sums", "--goal", "sft", "-o", "out")

    assert none.code == 3
    assert b"--goal vlm, sl or dpo tells from the rows what they are" in none.err
    assert both.code == 2
    assert (shown.code, imported.code) == (0, 0), shown.err
    found = json.loads(shown.out)
    assert found["evidence"].startswith("suggested for sft: ")
    assert found["evidence"].encode() in imported.err
    turns = [[turn["text"] for turn in row["turns"]] for row in found["rows"]]
    said = [
        [part.text for message in row.messages for part in message.content]
        for row in open_shards(tmp_path / "out", "train")
    ]
    assert turns == said[:2]


def test_search_and_popular_list_sets(hub: Any, hub_cli: Any, flagship: Any) -> None:
    hub.add("owner/forms", {"train.jsonl": b"{}"})

    found = hub_cli("search", "forms", "--sort", "likes", "--json")
    none = hub_cli("search", "nothing")
    picks = json.loads(hub_cli("popular", "--kind", "dpo", "--json").out)

    assert [hit["repo"] for hit in json.loads(found.out)["hits"]] == ["owner/forms"]
    assert (none.code, none.out) == (0, b"")
    assert {pick["kind"] for pick in picks["picks"]} == {"dpo"}
    assert "Anthropic/hh-rlhf" in [pick["repo"] for pick in picks["picks"]]


@pytest.fixture
def catalogue(hub: Any) -> None:
    """Five data sets of one owner, and one of another."""
    vqa, ocr = "task_categories:visual-question-answering", "task_categories:image-to-text"
    small, large = "size_categories:n<1K", "size_categories:10K<n<100K"
    facts = {
        "a/forms-1": ([vqa, small, "license:mit", "language:en"], 50, 1, 9),
        "a/forms-2": ([vqa, large, "license:mit", "language:de"], 40, 2, 7),
        "a/forms-3": ([ocr, large, "license:cc-by-4.0", "language:de"], 30, 3, 8),
        "a/forms-4": ([ocr, small], 20, 4, 1),
        "b/forms-5": ([vqa, small, "language:de", "language:en"], 10, 5, 2),
        "b/other": ([vqa, small], 60, 6, 3),
    }
    for n, (name, (tags, downloads, likes, trending)) in enumerate(facts.items()):
        told = {"tags": tags, "downloads": downloads, "likes": likes, "trendingScore": trending}
        told |= {"lastModified": f"2026-01-0{6 - n}T00:00:00.000Z"}
        hub.add(name, {}, facts=told, gated=n == 1)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--task", "visual-question-answering", "--sort", "downloads"], "125"),
        (["--task", "visual-question-answering", "--size", "<1K"], "15"),
        (["--size", "10K-100K", "--sort", "likes"], "32"),
        (["--size", "10K<n<100K", "--license", "mit"], "2"),
        (["--licence", "mit", "--not-gated"], "1"),
        (["--gated"], "2"),
        (["--language", "de", "--sort", "trending"], "325"),
        (["--language", "de", "--language", "en"], "5"),
        (["--author", "b"], "5"),
        (["--sort", "modified"], "12345"),
        (["--sort", "modified", "-n", "2"], "12"),
        (["--sort", "modified", "-n", "2", "--page", "2"], "34"),
        (["--sort", "modified", "-n", "3", "--page", "2"], "45"),
        (["-n", "2", "--page", "9"], ""),
    ],
    ids=str,
)
def test_a_search_is_filtered_sorted_and_cut_into_pages(
    hub_cli: Any, catalogue: None, words: list[str], found: str
) -> None:
    done = hub_cli("search", "forms", *words, "--json")

    assert done.code == 0, done.err
    assert "".join(hit["repo"][-1] for hit in json.loads(done.out)["hits"]) == found


def test_a_search_says_what_is_known_of_each_and_whether_there_is_more(
    hub_cli: Any, catalogue: None
) -> None:
    page = ["search", "forms", "--sort", "downloads", "-n", "2"]

    told = json.loads(hub_cli(*page, "--json").out)
    words = hub_cli(*page)
    last = hub_cli(*page, "--page", "3")
    no_words = json.loads(hub_cli("search", "--task", "image-to-text", "--json").out)
    wrong = hub_cli("search", "forms", "--size", "12")

    assert told["hits"][1] == {
        "repo": "a/forms-2",
        "downloads": 40,
        "likes": 2,
        "gated": "manual",
        "last_modified": "2026-01-05T00:00:00+00:00",
        "license": "mit",
        "size": "10K<n<100K",
        "tasks": ["visual-question-answering"],
        "languages": ["de"],
        "tags": [
            "task_categories:visual-question-answering",
            "size_categories:10K<n<100K",
            "license:mit",
            "language:de",
        ],
    }
    assert (told["page"], told["more"]) == (1, True)
    assert words.err == b"more with --page 2\n"
    assert b"a/forms-2" in words.out
    assert b"10K<n<100K" in words.out
    assert b"more with" not in last.err
    assert [hit["repo"] for hit in no_words["hits"]] == ["a/forms-3", "a/forms-4"]
    assert wrong.code == 2
    assert b"expected one of <1K, 1K-10K," in wrong.err


@pytest.mark.parametrize("kill_at", [3, 8, 14, 20])
def test_after_a_kill_no_finished_file_is_fetched_again(
    hub: Any, hub_cli: Any, rows: Callable[[int, int], bytes], tmp_path: Path, *, kill_at: int
) -> None:
    files = {f"data/train-0000{n}-of-00003.jsonl": rows(n * 30, 30) for n in range(3)}
    hub.add("owner/parts", files)

    killed = hub_cli("import", "owner/parts", kill_at=kill_at)
    blobs = tmp_path / "hf-home/hub/datasets--owner--parts/blobs"
    whole = [path for path in blobs.glob("*") if "incomplete" not in path.name]
    half = [path for path in blobs.glob("*.parts") if path.with_suffix("").exists()]
    noted = [path for path in half if path.read_bytes().endswith(b"x")]
    hub.forget()
    done = hub_cli("import", "owner/parts")

    fetched = [asked for asked in hub.store.asked if "ange: bytes" not in asked.head]
    assert killed.code == -9
    assert done.code == 0, done.err
    assert len(fetched) == 3 - len(whole) - len(noted)
    assert answers(tmp_path / "parts", "train") == [answer(n) for n in range(90)]


def test_pictures_that_lie_in_an_archive_are_refused_with_the_way_to_get_them(
    hub: Any, hub_cli: Any, chat: Callable[..., Any], png_bytes: Any, tmp_path: Path
) -> None:
    data = lines(chat("Which?", "This.", "images/a.png"))
    hub.add("owner/named", {"data/train.jsonl": data, "images.7z": b"7z"})

    refused = hub_cli("import", "owner/named")
    (tmp_path / "got/images").mkdir(parents=True)
    (tmp_path / "got/images/a.png").write_bytes(png_bytes(5, 5))
    done = hub_cli("import", "owner/named", "--image-root", "got")

    assert (refused.code, done.code) == (6, 0), refused.err + done.err
    assert b"  hf download owner/named --repo-type dataset --revision " in refused.err


def test_several_processes_wait_for_the_files_they_need(
    hub: Any, hub_cli: Any, rows: Callable[[int, int], bytes], tmp_path: Path
) -> None:
    files = {f"train-{n}.jsonl": rows(n * 30, 30) for n in range(4)}
    hub.add("owner/parts", files)

    one = hub_cli("import", "owner/parts", "-o", "one", "--workers", "1")
    hub.forget()
    two = hub_cli("import", "owner/parts", "-o", "two", "--workers", "2", env={"HF_HOME": "new"})

    assert (one.code, two.code) == (0, 0), one.err + two.err
    whole = [asked for asked in hub.store.asked if "ange: bytes" not in asked.head]
    assert len(whole) == 4
    shards = [sorted((tmp_path / name / "data").iterdir()) for name in ("one", "two")]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]


def test_an_import_of_one_file_asks_the_hub_four_times_and_its_store_twice(
    hub: Any, hub_cli: Any, flagship: Any
) -> None:
    done = hub_cli("import", "Barth371/train_pop")

    assert done.code == 0, done.err
    assert (len(hub.served.asked), len(hub.store.asked)) == (4, 2)


def test_files_of_many_slices_are_cut_before_they_are_here(
    hub: Any, hub_cli: Any, chat: Callable[..., Any], png_bytes: Any, tree: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(5, 5))
    rows = [chat("?" * 9_000, str(n), "a.png") for n in range(250)]  # named pictures: 1 MiB a slice
    files = {f"train-{n}.jsonl": lines(*rows[n:]) for n in range(2)}
    hub.add("owner/many", files)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    more = ["--image-root", ".", "--workers", "2", "--json", "-o"]

    done = hub_cli("import", "owner/many", *more, "from-hub")
    again = hub_cli("import", *files, *more, "from-disk")

    assert (done.code, again.code) == (0, 0), done.err + again.err
    assert json.loads(done.out)["slices"] == 6
    both = [tree(tmp_path / name) for name in ("from-hub", "from-disk")]
    assert both[0].keys() == both[1].keys()
    assert all(both[0][name] == both[1][name] for name in both[0] if name.startswith("data/"))


def test_what_lies_in_the_cache_is_named_offline_and_can_be_imported(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    hub_cli("import", "Barth371/train_pop", "-o", "online")
    offline = {"HF_HUB_OFFLINE": "1"}

    told = hub_cli("import", "Barth371/train_pop", "-o", "again", env=offline)
    folder = told.err.decode().split("or name what lies in the cache: ")[1].strip()
    done = hub_cli("import", folder, "-o", "cached", env=offline)

    assert (told.code, done.code) == (4, 0), done.err
    assert answers(tmp_path / "cached", "train") == answers(tmp_path / "online", "train")


def test_jobs_do_the_slices_of_a_set_and_finish_commits_them(
    hub: Any, hub_cli: Any, flagship: Any, tmp_path: Path
) -> None:
    command = ["import", "Barth371/train_pop", "--split", "all", "-o", "set"]

    jobs = [hub_cli(*command, "--slices", f"{n}::2") for n in range(2)]
    done = hub_cli("finish", "set", env={"HF_ENDPOINT": "http://127.0.0.1:9"})

    assert [each.code for each in (*jobs, done)] == [0, 0, 0], done.err
    assert len(answers(tmp_path / "set", "train")) == 40


@pytest.mark.parametrize(
    ("card", "name", "words"),
    [
        (b"- a\n- b", "owner/set", "README.md: the YAML at its head is no mapping"),
        (
            b"configs:\n- config_name: x\n  data_files: []",
            "owner/set",
            "no split train in config x; splits: none: the data_files of its README.md are empty",
        ),
        (
            b"configs:\n- config_name: x\n  data_files: part-*.jsonl",
            "owner/set",
            "no file for the split train: README.md names part-*.jsonl, and none is called so",
        ),
        (
            b"configs:\n- config_name: x\n  data_files: [a.jsonl, gone.jsonl]",
            "owner/set",
            "no file for the split train: README.md names gone.jsonl, and none is called so",
        ),
        (
            b"a: 1",
            "owner/set::part-*.jsonl",
            "no such file; files of rows: a.jsonl",
        ),
    ],
    ids=str,
)
def test_what_a_card_or_a_name_says_of_files_that_are_not_there_is_refused(
    hub: Any, hub_cli: Any, card: bytes, name: str, words: str
) -> None:
    rows = lines({"text": "a", "response": "1"})
    hub.add("owner/set", {"README.md": b"---\n" + card + b"\n---\n", "a.jsonl": rows})

    done = hub_cli("import", name)
    file = hub_cli("preview", "owner/set::a.jsonl", "--json")

    assert done.code == 3
    assert words in done.err.decode()
    assert b"Traceback" not in done.err
    assert file.code == 0, file.err


def test_a_file_of_the_hub_keeps_all_of_its_name(hub: Any, hub_cli: Any, tmp_path: Path) -> None:
    files = {f"train#{n}?.jsonl": lines({"text": "a", "response": str(n)}) for n in range(2)}
    hub.add("owner/set", files)

    done = hub_cli("import", "owner/set")

    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "set/manifest.json").read_text())
    assert [file["name"] for file in manifest["source"]["files"]] == [*files]
    assert answers(tmp_path / "set", "train") == ["0", "1"]


@pytest.mark.parametrize(
    ("part", "command"),
    [
        ("/revision/", ["info", "owner/set@main"]),
        ("/tree/", ["info", "owner/set"]),
        ("/api/datasets/owner", ["import", "owner/set"]),
        ("/api/datasets", ["search", "set"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("body", [b"<html>Log in to the network</html>", b"[1]", b'"no"'])
def test_an_answer_that_is_not_the_hubs_is_said(
    hub: Any, hub_cli: Any, part: str, command: list[str], body: bytes
) -> None:
    hub.add("owner/set", {"a.jsonl": lines({"text": "a", "response": "1"})})
    hub.faults = {part: [hub.http(body)] * 9}

    done = hub_cli(*command)

    assert done.code == 4
    assert b"answers with something that is not the Hub's" in done.err
    assert b"Traceback" not in done.err
