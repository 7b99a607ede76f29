"""Errors of the line and of the disk, as errors a person can act on."""

from __future__ import annotations

import errno

import httpx2
import pytest

from vlm_datakit.errors import OutputError, RemoteError, SourceError
from vlm_datakit.hub.trouble import speaking_of


def test_a_full_disk_names_the_cache_and_how_to_move_it() -> None:
    with pytest.raises(OutputError) as caught, speaking_of("a/b", "::c"):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert str(caught.value).startswith("a/b::c: no space left on the disk of the cache, /")
    assert "HF_HOME moves it" in str(caught.value)


def test_a_line_that_breaks_may_be_tried_again_and_others_of_our_errors_pass() -> None:
    with pytest.raises(RemoteError, match=r"does not answer \(cut\)") as caught, speaking_of("a/b"):
        raise httpx2.ReadError("cut")
    with pytest.raises(SourceError, match="as it is"), speaking_of("a/b"):
        raise SourceError("as it is")

    assert caught.value.retryable


@pytest.mark.parametrize("bug", [KeyError("a"), TypeError("b"), AttributeError("c")])
def test_a_bug_is_not_blamed_on_the_hub(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught, speaking_of("owner/name"):
        raise bug

    assert caught.value is bug
