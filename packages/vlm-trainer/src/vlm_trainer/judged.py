"""The folder of an evaluation: every answer, the figures, and a page with the wrong ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_trainer.answer_page import Miss, answer_page, thumbnail
from vlm_trainer.checkpoint import write_atomically
from vlm_trainer.conversation import Conversation, answer_text
from vlm_trainer.data import ShardSet
from vlm_trainer.errors import OutputError
from vlm_trainer.pixels import open_image
from vlm_trainer.scores import anls, exact, normalised

FIGURES, ANSWERS, PAGE = "evaluation.json", "answers.jsonl", "wrong-answers.html"
SHOWN_MISSES = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """A held-out row and what the model said to it.

    Args:
        row: Its number in the split.
        row_id: Its id.
        expected: Its last answer.
        given: What the model said.
    """

    row: int
    row_id: str
    expected: str
    given: str

    @property
    def is_exact(self) -> bool:
        """Whether both are equal to the letter."""
        return exact(self.expected, self.given)


def check_place(folder: Path) -> None:
    """Hold a folder to be new, empty, or that of an earlier evaluation, which is replaced.

    Raises:
        OutputError: It holds something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: a file, not a folder; choose another --output")
    strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if strangers and not (folder / FIGURES).is_file():
        raise OutputError(
            f"{folder}: holds {sorted(strangers)[0]!r} and no evaluation; choose another --output"
        )


def write_judged(
    folder: Path, figures: Mapping[str, Any], answered: Sequence[Answered], shards: ShardSet
) -> None:
    """Write answers, page and figures, these last.

    Args:
        folder: See `check_place`.
        figures: As JSON values.
        answered: All rows, in order.
        shards: For the pictures and questions of the misses.

    Raises:
        OutputError: It cannot be written.
    """
    misses = [answer for answer in answered if not answer.is_exact]
    shown = [_miss(answer, shards.get(answer.row)) for answer in misses[:SHOWN_MISSES]]
    fields = figures.get("fields") or {}
    page = answer_page(
        f"{figures['adapter'] or figures['model']} on {figures['data']} {figures['split']}",
        dict(_shown(figures)),
        fields.get("by_field") or {},
        shown,
        len(misses),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ANSWERS).open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps(_line(answer), ensure_ascii=False) + "\n" for answer in answered
            )
        (folder / PAGE).write_text(page, encoding="utf-8")
        write_atomically(folder / FIGURES, figures)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


def _line(answer: Answered) -> dict[str, Any]:
    expected, given = answer.expected, answer.given
    return {
        "id": answer.row_id,
        "expected": expected,
        "given": given,
        "exact": answer.is_exact,
        "normalised": normalised(expected) == normalised(given),
        "anls": round(anls(expected, given), 6),
    }


def _shown(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "rows", f"{figures['rows']:,}"
    yield "exact match", f"{figures['exact_match']:.1%}"
    yield "normalised match", f"{figures['normalised_match']:.1%}"
    yield "ANLS", f"{figures['anls']:.3f}"
    if fields := figures.get("fields"):
        yield "field F1", f"{fields['f1']:.3f}"
        yield "field precision", f"{fields['precision']:.3f}"
        yield "field recall", f"{fields['recall']:.3f}"
        yield "no JSON", f"{fields['no_json']:,}"
    yield "loss", f"{figures['loss']:.4f}"


def _miss(answer: Answered, conversation: Conversation) -> Miss:
    asked = [message for message in conversation.messages if message["role"] == "user"]
    return Miss(
        answer.row_id,
        answer_text(asked[-1]) if asked else "",
        answer.expected,
        answer.given,
        tuple(thumbnail(open_image(image)) for image in conversation.images),
    )
