"""Hugging Face datasets: JSON in, an Image column out.

    python with_datasets.py KIND FILE OUT plain|typed|streamed|unmapped [PROCESSES]

plain: as its guides do it, row by row with the standard library's base64.
typed: features given, batches, pybase64, only texts and pictures kept.
streamed: the same without the Arrow cache on the disk.
unmapped: preference rows as they are, three texts; the others write conversations, as ours does.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import pybase64
from datasets import Features, Image, List, Value, load_dataset

TEXT = Value("string")
PART = {"type": TEXT, "text": TEXT, "image_url": {"url": TEXT}}
CHAT = Features({"messages": List({"role": TEXT, "content": List(PART)})})
PAIR = Features({"prompt": TEXT, "chosen": TEXT, "rejected": TEXT})
ROW = Features({"image": Image(), "question": TEXT, "answer": TEXT})
TURNS = List({"role": TEXT, "content": TEXT})
TALKS = Features({"prompt": TURNS, "chosen": TURNS, "rejected": TURNS})
ROLES = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}


def columns(row: dict[str, Any]) -> dict[str, Any]:
    user, answer = (message["content"] for message in row["messages"])
    data = base64.b64decode(user[0]["image_url"]["url"].split(",")[1])
    return {
        "image": {"bytes": data, "path": None},
        "question": user[1]["text"],
        "answer": answer[0]["text"],
    }


def batch_columns(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    users, answers = zip(*((a["content"], b["content"]) for a, b in rows["messages"]), strict=True)
    urls = (user[0]["image_url"]["url"] for user in users)
    files = (pybase64.b64decode(url.partition(",")[2], validate=True) for url in urls)
    return {
        "image": [{"bytes": file, "path": None} for file in files],
        "question": [user[1]["text"] for user in users],
        "answer": [answer[0]["text"] for answer in answers],
    }


def talk(row: dict[str, Any]) -> dict[str, Any]:
    return {name: [{"role": role, "content": row[name]}] for name, role in ROLES.items()}


def batch_talks(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        name: [[{"role": role, "content": text}] for text in rows[name]]
        for name, role in ROLES.items()
    }


def main() -> None:
    kind, file, out, how = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    processes = int(sys.argv[5]) if len(sys.argv) > 5 else None
    given: dict[str, Any] = {"split": "train", "cache_dir": str(out / "cache")}
    if how not in ("plain", "unmapped"):
        given["features"] = CHAT if kind == "pictures" else PAIR
    rows = load_dataset("json", data_files=file, streaming=how == "streamed", **given)
    if how != "unmapped":
        many: dict[str, Any] = {"num_proc": processes} if processes else {}
        one, several, rows_at_once = (talk, batch_talks, 1000)
        if kind == "pictures":
            one, several, rows_at_once = (columns, batch_columns, 64)
            many["remove_columns"] = ["messages"]
        many["features"] = ROW if kind == "pictures" else TALKS
        if how == "plain":
            rows = rows.map(one, **many)
        else:
            rows = rows.map(several, batched=True, batch_size=rows_at_once, **many)
    rows.to_parquet(str(out / "rows.parquet"))


if __name__ == "__main__":
    main()
