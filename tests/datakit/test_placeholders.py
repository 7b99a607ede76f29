"""Places of pictures in texts: bound and written back to the character."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vlm_datakit.conversation import ImageRef, Message, Part, Text
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.losses import Loss
from vlm_datakit.placeholders import bind, content_of, hold_counts, images_of, texts_lost, unbind

PIECES = st.sampled_from(["<image>", "<", "image>", "\n", "a", "<video>", "\r\n", "é"])


@given(st.lists(PIECES).map("".join) | st.text())
def test_a_text_comes_back_to_the_character(text: str) -> None:
    assert unbind(bind(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("", (Text(""),), id="nothing"),
        pytest.param("<image>", (ImageRef(),), id="a place alone"),
        pytest.param("<image>\na", (ImageRef(), Text("\na")), id="a line end stays"),
        pytest.param("a<image><image>", (Text("a"), ImageRef(), ImageRef()), id="two places"),
        pytest.param("<<image>>", (Text("<"), ImageRef(), Text(">")), id="in brackets"),
        pytest.param("<Image>", (Text("<Image>"),), id="spelled otherwise"),
    ],
)
def test_places_are_parts_of_their_own(text: str, parts: tuple[Part, ...]) -> None:
    assert bind(text) == parts


@pytest.mark.parametrize(
    ("value", "role", "reason"),
    [
        pytest.param(None, "user", Reason.FIELD_MISSING, id="null"),
        pytest.param(7, "user", Reason.FIELD_NOT_TEXT, id="a number"),
        pytest.param("<image>", "assistant", Reason.IMAGE_IN_ANSWER, id="in an answer"),
        pytest.param("<image>", "system", Reason.IMAGE_IN_ANSWER, id="in a system message"),
        pytest.param("<video>", "user", Reason.PART_UNKNOWN, id="a video"),
        pytest.param("Say <audio>.", "assistant", Reason.PART_UNKNOWN, id="a sound"),
    ],
)
def test_what_is_no_text_of_places_is_refused(value: object, role: str, reason: Reason) -> None:
    with pytest.raises(RowError) as caught:
        content_of(value, role, "$.a")

    assert (caught.value.reason, caught.value.where) == (reason, "$.a")


def test_pictures_stand_in_the_first_column_that_has_any() -> None:
    row = {"images": [], "image": "a.png"}

    assert [image.where for image in images_of(row, ("images", "image"))] == ["$.image"]
    assert images_of({"images": None, "image": ""}, ("images", "image")) == ()


@pytest.mark.parametrize("column", ["video", "videos", "audio", "audios"])
def test_a_row_with_videos_or_sounds_is_refused(column: str) -> None:
    with pytest.raises(RowError) as caught:
        images_of({column: ["a.mp4"]}, ("images",))

    assert f"{caught.value}" == f"part-unknown at $.{column}: a list of 1"


def test_places_and_pictures_must_agree() -> None:
    with pytest.raises(RowError, match="1 <image> for 0 images"):
        hold_counts((Message("user", (ImageRef(),)),), ())


@pytest.mark.parametrize(
    ("role", "content", "losses"),
    [
        pytest.param("user", (ImageRef(), Text("a")), [], id="a place and a text"),
        pytest.param("user", (Text("a"), Text("b")), [Loss.JOINED_TEXTS], id="two texts"),
        pytest.param("user", (ImageRef(), Text("")), [Loss.JOINED_TEXTS], id="an empty text"),
        pytest.param("user", (ImageRef("low"),), [Loss.DETAIL], id="a detail"),
        pytest.param("user", (Text("<image>"),), [Loss.PLACEHOLDER], id="a text that spells it"),
        pytest.param("user", (Text("<im"), Text("age>")), [Loss.PLACEHOLDER], id="once joined"),
        pytest.param("assistant", (Text("<video>"),), [Loss.PLACEHOLDER], id="another tag"),
    ],
)
def test_what_one_text_cannot_hold_is_named(
    role: str, content: tuple[Part, ...], losses: list[Loss]
) -> None:
    assert [lost.loss for lost in texts_lost(Message(role, content), "$")] == losses
