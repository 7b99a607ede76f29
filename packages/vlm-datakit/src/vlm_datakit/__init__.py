"""Streaming converters for vision-language data sets, and the shards they end in.

Names load on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vlm_datakit.version import __version__

if TYPE_CHECKING:
    from vlm_datakit.conversation import (
        Conversation,
        Converted,
        Image,
        ImageRef,
        Message,
        Rejected,
        Text,
        Warned,
    )
    from vlm_datakit.conversion import ConvertRequest, convert, convert_as
    from vlm_datakit.errors import (
        OutputError,
        Reason,
        RemoteError,
        RowError,
        SourceError,
        TooManyRejects,
        UsageError,
        VlmDataKitError,
    )
    from vlm_datakit.events import Progress, Summary
    from vlm_datakit.formats.format import Format
    from vlm_datakit.importing import ImportRequest, import_dataset
    from vlm_datakit.mapping.fieldmap import Entry, FieldMap
    from vlm_datakit.mapping.file import mapping_of
    from vlm_datakit.mapping.suggest import DoesNotFit, Suggestion, suggest_mapping
    from vlm_datakit.plan import FetchPolicy, Limits, RejectsAllowed
    from vlm_datakit.runner.on_ray import RayCluster
    from vlm_datakit.runner.run import RunOptions
    from vlm_datakit.samples import make_samples
    from vlm_datakit.schemas import schema
    from vlm_datakit.shards.reader import ShardSet, open_shards
    from vlm_datakit.validation import validate_import

_HOMES = {
    "conversation": (
        "Conversation", "Converted", "Image", "ImageRef", "Message", "Rejected", "Text", "Warned",
    ),
    "conversion": ("ConvertRequest", "convert", "convert_as"),
    "errors": (
        "OutputError", "Reason", "RemoteError", "RowError", "SourceError", "TooManyRejects",
        "UsageError", "VlmDataKitError",
    ),
    "events": ("Progress", "Summary"),
    "formats.format": ("Format",),
    "importing": ("ImportRequest", "import_dataset"),
    "mapping.fieldmap": ("Entry", "FieldMap"),
    "mapping.file": ("mapping_of",),
    "mapping.suggest": ("DoesNotFit", "Suggestion", "suggest_mapping"),
    "plan": ("FetchPolicy", "Limits", "RejectsAllowed"),
    "runner.on_ray": ("RayCluster",),
    "runner.run": ("RunOptions",),
    "samples": ("make_samples",),
    "schemas": ("schema",),
    "shards.reader": ("ShardSet", "open_shards"),
    "validation": ("validate_import",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Conversation",
    "ConvertRequest",
    "Converted",
    "DoesNotFit",
    "Entry",
    "FetchPolicy",
    "FieldMap",
    "Format",
    "Image",
    "ImageRef",
    "ImportRequest",
    "Limits",
    "Message",
    "OutputError",
    "Progress",
    "RayCluster",
    "Reason",
    "Rejected",
    "RejectsAllowed",
    "RemoteError",
    "RowError",
    "RunOptions",
    "ShardSet",
    "SourceError",
    "Suggestion",
    "Summary",
    "Text",
    "TooManyRejects",
    "UsageError",
    "VlmDataKitError",
    "Warned",
    "__version__",
    "convert",
    "convert_as",
    "import_dataset",
    "make_samples",
    "mapping_of",
    "open_shards",
    "schema",
    "suggest_mapping",
    "validate_import",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vlm_datakit.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
