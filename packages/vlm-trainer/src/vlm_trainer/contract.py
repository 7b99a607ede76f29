"""What a trained model was shown: sizes, processor and template.

Saved beside every output and compared when it is used: an adapter trained on 1,280
tokens a picture and asked with 16,384 answers worse, and nothing else would say so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vlm_trainer.chat import read_json
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

FILE_NAME = "pixel_contract.json"


@dataclass(frozen=True, slots=True)
class PixelContract:
    """Pixel limits of a run and hashes of what else decides the model's input.

    Example:
        >>> a = make_contract(PixelRule(), "template")
        >>> differences(a, make_contract(PixelRule(max_pixels=3136), "template"))
        ['max_pixels 1003520 here, 3136 there']
    """

    min_pixels: int
    max_pixels: int
    processor_sha256: str
    template_sha256: str
    shrink_to_tokens: int | None = None  # rows that are longer were shown smaller pictures

    @property
    def limit(self) -> TokenLimit | None:
        """The limit to which rows were shrunk; None when they were not."""
        tokens = self.shrink_to_tokens
        return None if tokens is None else TokenLimit(tokens, shrinks=True)


def make_contract(rule: PixelRule, template: str, limit: TokenLimit | None = None) -> PixelContract:
    """Return the contract of a processor and a chat template."""
    values = {k: v for k, v in asdict(rule).items() if k not in ("min_pixels", "max_pixels")}
    return PixelContract(
        min_pixels=rule.min_pixels,
        max_pixels=rule.max_pixels,
        processor_sha256=_sha256(json.dumps(values, sort_keys=True)),
        template_sha256=_sha256(template),
        shrink_to_tokens=limit.tokens if limit and limit.shrinks else None,
    )


def write_contract(contract: PixelContract, folder: Path) -> None:
    """Write the contract into an output folder."""
    text = json.dumps(asdict(contract), indent=2) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def read_contract(folder: Path) -> PixelContract | None:
    """Read the contract of a folder; None where there is none, as in a base model.

    Raises:
        SourceError: A contract in which something is missing.
    """
    values = read_json(folder / FILE_NAME)
    known = {field.name for field in fields(PixelContract)} & values.keys()
    try:
        return PixelContract(**{name: values[name] for name in known}) if values else None
    except TypeError as error:
        raise SourceError(f"{folder / FILE_NAME}: not a pixel contract ({error})") from error


def differences(here: PixelContract, there: PixelContract) -> list[str]:
    """Name every field in which two contracts differ."""
    return [
        f"{field.name} {getattr(here, field.name)} here, {getattr(there, field.name)} there"
        for field in fields(PixelContract)
        if getattr(here, field.name) != getattr(there, field.name)
    ]


def check_same(here: PixelContract, trained: PixelContract) -> None:
    """Refuse to use a trained model under another contract than its own.

    Raises:
        UsageError: Names what differs and how to go on.
    """
    found = differences(here, trained)
    if found:
        raise UsageError(
            f"the model was trained on other input: {'; '.join(found)}. "
            f"Leave out --min-pixels and --max-pixels to use its own values."
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
