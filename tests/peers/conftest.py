"""What other tools read of what we write: ``nox -s peers``, in an environment of its own.

The rows go out through the command line; the peers' own code, from their packages, reads them.
Without that environment nothing here is collected.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

collect_ignore_glob = [] if "VLM_PEERS" in os.environ else ["test_*.py"]

TEXTS = ("007", " two spaces \n", '{"total": "42.50", "list": [1, 2]}', "Ünïcode 🙂\u2028end")


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), color).save(file, "PNG")
    return file.getvalue()


PICTURES = (png((200, 30, 30)), png((30, 200, 30)), png((30, 30, 200)))


def shown(index: int) -> dict[str, Any]:
    data = base64.b64encode(PICTURES[index]).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def said(role: str, *parts: str | dict[str, Any]) -> dict[str, Any]:
    given = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": role, "content": given}


#: Chat rows of several turns and pictures, and what each says and shows, in order.
ROWS = [
    {
        "messages": [
            said("system", "Be brief."),
            said("user", shown(0), "What is it?"),
            said("assistant", TEXTS[0]),
            said("user", "And ", shown(1), shown(2), "these?"),
            said("assistant", TEXTS[1]),
        ]
    },
    {"messages": [said("user", TEXTS[2]), said("assistant", TEXTS[3])]},
    {"messages": [said("user", "Left: ", shown(2), " or not?"), said("assistant", TEXTS[2])]},
]
PAIRS = [
    {"prompt": "2 + 2?", "chosen": TEXTS[0], "rejected": TEXTS[1]},
    {"prompt": TEXTS[3], "chosen": TEXTS[2], "rejected": "no"},
]


def texts_of(row: dict[str, Any], place: str = "<image>") -> list[tuple[str, str]]:
    """Return role and text of each message, a mark standing for each picture."""
    return [
        (message["role"], "".join(part.get("text", place) for part in message["content"]))
        for message in row["messages"]
    ]


def pictures_of(row: dict[str, Any]) -> list[bytes]:
    parts = [part for message in row["messages"] for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def pixels(picture: Any) -> bytes:
    """Return the pixels of a file's bytes, or of a picture that a peer has opened."""
    if isinstance(picture, bytes):
        picture = PIL.Image.open(io.BytesIO(picture))
    return picture.convert("RGB").tobytes()


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., Path]:
    """Return what converts rows by the command line into a file, its pictures beside it."""

    def convert(rows: list[dict[str, Any]], target: str, *options: str) -> Path:
        source, out = tmp_path / "in.jsonl", tmp_path / "chat.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [sys.executable, "-m", "vlm_datakit", "convert", source, out, "--to", target]
        subprocess.run([*command, *options], check=True, cwd=tmp_path)
        return out

    return convert
