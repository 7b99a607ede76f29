"""Pictures that rows of a data set on the Hub name, fetched ahead of the rows by a few threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from vlm_datakit.conversation import Draft, ImageForm
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.fetching.prefetch import Prefetcher
from vlm_datakit.hub.names import Pinned, pinned
from vlm_datakit.hub.pictures import HubPictureCache, HubPictures, listed_at, picture_address
from vlm_datakit.plan import FetchPolicy, Limits, SourceFile
from vlm_datakit.sources.loaded import KIND

_SCHEME = "hf://"
# Of each process. The time is that of no answer at all: what the Hub asks to wait for is waited
# for, and its limits are of five minutes (huggingface.co/docs/hub/rate-limits).
_POLICY = FetchPolicy(connections=8, timeout_s=180)


class OnHub:
    """Reads pictures of one repository by what its rows call them.

    Args:
        rows: The file in which the rows stand.
        prefetcher: Fetches by address.
        max_bytes: The largest picture.
    """

    def __init__(self, rows: Pinned, prefetcher: Prefetcher, max_bytes: int) -> None:
        self._rows, self._prefetcher, self._max_bytes = rows, prefetcher, max_bytes

    def ahead(self, draft: Draft) -> int:
        """Begin to fetch what a draft names; return how many pictures that are."""
        named = [image for image in draft.images if is_named(image.form, image.value)]
        for image in named:
            try:
                address = picture_address(self._rows, image.value, image.where)
            except RowError:  # said when its turn has come
                continue
            if listed_at(address).size <= self._max_bytes:
                self._prefetcher.want(address)
        return len(named)

    def read(self, name: str, max_bytes: int, where: str) -> bytes:
        """Return the bytes of a picture.

        Raises:
            RowError: as `picture_address` and `HubPictures.fetch`.
        """
        address = picture_address(self._rows, name, where)
        if (size := listed_at(address).size) > max_bytes:
            raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{size} bytes")
        return self._prefetcher.read(address, max_bytes, where)


def is_named(form: ImageForm, value: object) -> bool:
    """Whether a picture is named by a path or an address of the Hub."""
    return form is ImageForm.PATH or (form is ImageForm.URL and is_on_hub(value))


def is_on_hub(value: object) -> bool:
    """Whether a URL is an address of the Hub."""
    return isinstance(value, str) and value.lstrip()[: len(_SCHEME)].lower() == _SCHEME


@contextmanager
def open_on_hub(file: SourceFile, limits: Limits) -> Iterator[OnHub | None]:
    """Open what reads the pictures beside a file of the Hub; None for any other file."""
    rows = pinned(file.path if file.kind != KIND else f"{file.path}/-")  # of no file: of the top
    if rows is None:
        yield None
        return
    most = limits.max_image_bytes
    with closing(Prefetcher(_POLICY, HubPictures(), HubPictureCache(), most)) as prefetcher:
        yield OnHub(rows, prefetcher, most)
