"""A file of sample rows: pictures in three forms, and exactly so many broken rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Image, ImageSource, Origin, Rejected, Row
from vlm_datakit.errors import OutputError, UsageError
from vlm_datakit.images.kind import classify
from vlm_datakit.sampling import SampleRequest, sample_lines
from vlm_datakit.spoiling import picture_of
from vlm_datakit.walk import Stages, convert_row


def forms(lines: list[bytes], target: str) -> list[str]:
    """Return the form of each row's picture."""
    return [classify(picture_of(json.loads(line), target), "$").form.value for line in lines]


@pytest.mark.parametrize("target", ["openai", "simple"])
def test_pictures_come_in_three_forms_in_turn(tmp_path: Path, target: str) -> None:
    lines = list(sample_lines(SampleRequest(6, target=target), tmp_path))

    assert forms(lines, target) == ["data-uri", "base64", "path"] * 2
    assert sorted(path.name for path in (tmp_path / "raw_images").iterdir()) == [
        "sample-0002.jpg",
        "sample-0005.jpg",
    ]


def test_without_a_folder_no_picture_is_a_file() -> None:
    lines = list(sample_lines(SampleRequest(6), None))

    assert forms(lines, "openai") == ["data-uri", "base64", "data-uri"] * 2


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("openai", {"answer-missing": 1, "image-file-missing": 1}),
        ("simple", {"field-missing": 1, "image-file-missing": 1}),
    ],
)
def test_so_many_rows_are_refused_as_were_asked_for(
    tmp_path: Path,
    resolve: Callable[[ImageSource], Image],
    target: str,
    refused: dict[str, int],
) -> None:
    stages = Stages(formats.get(target).parse, resolve, check)
    lines = sample_lines(SampleRequest(12, broken=4, target=target), tmp_path)

    outcomes = [convert_row(Row(Origin("a", 0), json.loads(line)), stages) for line in lines]

    reasons = Counter(str(out.reason) for out in outcomes if isinstance(out, Rejected))
    assert reasons == {"image-not-base64": 1, "image-unreadable": 1, **refused}


def test_equal_requests_give_equal_bytes(tmp_path: Path) -> None:
    request = SampleRequest(9, broken=2, seed=5)

    assert [*sample_lines(request, tmp_path)] == [*sample_lines(request, tmp_path)]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(SampleRequest(2, 3), "3 of 2 rows cannot be broken", id="too many"),
        pytest.param(SampleRequest(2, -1), "-1 of 2 rows cannot be broken", id="negative"),
        pytest.param(
            SampleRequest(2, target="trl"), "samples come as openai or simple, not trl", id="format"
        ),
    ],
)
def test_what_cannot_be_made_is_a_usage_error(request_: SampleRequest, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        next(sample_lines(request_, None))

    assert str(caught.value) == words


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "raw_images").write_bytes(b"a file")

    with pytest.raises(OutputError) as caught:
        list(sample_lines(SampleRequest(3), tmp_path))

    assert str(caught.value) == f"{tmp_path}/raw_images/sample-0002.jpg: File exists"
