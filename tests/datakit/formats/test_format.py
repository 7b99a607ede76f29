"""What formats share: a picture as text."""

from __future__ import annotations

import pytest

from vlm_datakit.conversation import Image
from vlm_datakit.formats.format import data_uri


@pytest.mark.parametrize(
    ("data", "uri"),
    [
        pytest.param(b"GIF89a", "data:image/gif;base64,R0lGODlh", id="no padding"),
        pytest.param(b"GI", "data:image/gif;base64,R0k=", id="padding"),
        pytest.param(b"\xfb\xff\xbf", "data:image/gif;base64,+/+/", id="standard alphabet"),
    ],
)
def test_a_picture_is_spelled_as_a_data_uri(data: bytes, uri: str) -> None:
    assert data_uri(Image(data, "image/gif", 1, 1)) == uri
