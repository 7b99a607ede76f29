"""A checkpoint is whole or does not count, whatever a kill left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_trainer.checkpoint import is_whole, mark_whole, newest_whole, rotate, step_of


def checkpoint(output: Path, step: int, *, whole: bool = True) -> Path:
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes(step))
    (folder / "optimizer.pt").write_bytes(b"state")
    if whole:
        mark_whole(folder, {"step": step})
    return folder


def names(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


def test_the_newest_whole_one_is_taken_by_number(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 11, whole=False)

    newest = newest_whole(tmp_path)

    assert newest is not None
    assert step_of(newest) == 10


@pytest.mark.parametrize("harm", ["missing", "short", "no marker", "marker cut"])
def test_a_harmed_one_is_not_whole(tmp_path: Path, harm: str) -> None:
    folder = checkpoint(tmp_path, 4)
    assert is_whole(folder)

    if harm == "missing":
        (folder / "optimizer.pt").unlink()
    elif harm == "short":
        (folder / "optimizer.pt").write_bytes(b"stat")
    elif harm == "no marker":
        (folder / "complete.json").unlink()
    else:
        (folder / "complete.json").write_text('{"files": {')

    assert not is_whole(folder)
    assert newest_whole(tmp_path) is None


def test_rotation_keeps_the_newest_whole_ones_and_the_best(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 5, whole=False)
    checkpoint(tmp_path, 9, whole=False)

    rotate(tmp_path, keep=2, best=tmp_path / "checkpoint-2")

    assert names(tmp_path) == ["checkpoint-2", "checkpoint-6", "checkpoint-8", "checkpoint-9"]


def test_rotation_never_removes_the_only_whole_one(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2)
    checkpoint(tmp_path, 4, whole=False)

    rotate(tmp_path, keep=1)

    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoint-", "checkpoint-x", "checkpoint-3-old", "other"):
        (tmp_path / name).mkdir()
    checkpoint(tmp_path, 5)

    rotate(tmp_path, keep=1)

    assert len(names(tmp_path)) == 5
