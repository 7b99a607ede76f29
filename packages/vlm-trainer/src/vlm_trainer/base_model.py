"""Where a model's files are: a local folder, the Hub, or a tiny model made on the spot."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vlm_trainer.chat import read_json
from vlm_trainer.config import ModelOptions
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.tiny import write_tiny, write_tiny_words

TINY = {"tiny": True, "tiny-text": False}  # name -> has a vision tower
FAMILIES = {  # model type -> reads pictures
    "qwen3_vl": True, "qwen2_5_vl": True, "qwen2_vl": True, "qwen2": False,
}  # fmt: skip
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
HUB_FILES = ("*.json", "*.jinja", "merges.txt")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model to start from.

    Args:
        name: As the user gave it; what an adapter remembers.
        folder: Config, tokenizer and processor; the weights too unless the model lies on
            the Hub.
        weights: What ``from_pretrained`` takes.
        revision: Commit of a Hub model, else None.
        reads_pictures: False for a text model.
        identity: Names the model in a run's record: equal only for equal models.
        quantised: ``4bit`` or ``8bit`` when the weights lie there so, by bitsandbytes.
    """

    name: str
    folder: Path
    weights: str
    revision: str | None
    reads_pictures: bool
    identity: str
    quantised: str | None = None


def find_base(name: str, revision: str = "main", *, with_weights: bool = True) -> BaseModel:
    """Find a model's files; a tiny one is built in a temporary folder.

    Args:
        name: Local folder, Hub name (``owner/name``), ``tiny`` or ``tiny-text``.
        revision: Of a Hub model.
        with_weights: False when only words and sizes are wanted (no torch is needed).

    Raises:
        SourceError: No such folder or model, an adapter instead of a model, a family that
            this package does not train, or no image processor beside a model with pictures.
    """
    if name in TINY:
        folder, commit = _tiny_folder(name, with_weights=with_weights), None
    elif Path(name).expanduser().is_dir():
        folder, commit = Path(name).expanduser(), None
    else:
        folder, commit = _hub_folder(name, revision)
    weights = name if commit else str(folder)
    reads_pictures = _reads_pictures(folder, name)
    if reads_pictures and not any((folder / file).is_file() for file in PROCESSORS):
        raise SourceError(
            f"{name}: no {PROCESSORS[0]}: sizes and values of pictures are unknown; "
            "copy it from the model's base"
        )
    return BaseModel(
        name,
        folder,
        weights,
        commit,
        reads_pictures,
        _identity(name, folder, commit),
        _quantised(folder, name),
    )


def check_quantised(base: BaseModel, wanted: ModelOptions) -> None:
    """Refuse to quantise weights that are quantised already, or to tune them.

    Raises:
        UsageError: Says what the base is and what it is good for.
    """
    if not base.quantised:
        return
    if wanted.tuning == "full":
        raise UsageError(f"{base.name}: its weights are {base.quantised}; only LoRA trains on them")
    if wanted.load_in and wanted.load_in != base.quantised:
        raise UsageError(
            f"{base.name}: its weights are {base.quantised} already, not {wanted.load_in}; "
            "leave --load-in out"
        )
    if wanted.quantize_vision:
        raise UsageError(f"{base.name}: quantised already; --quantize-vision changes nothing")


def _tiny_folder(name: str, *, with_weights: bool) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write = write_tiny if with_weights else write_tiny_words
    write(folder, vision=TINY[name])
    return folder


def _hub_folder(name: str, revision: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise SourceError(f"{name}: no such model folder")
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(
            f"{name}: no such folder here, and the Hub does not give it ({first_line}). "
            "Gated models need HF_TOKEN"
        ) from error
    return folder, folder.name


def _reads_pictures(folder: Path, name: str) -> bool:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        raise SourceError(f"{name}: an adapter, not a model; its base is {base}")
    config = read_json(folder / "config.json")
    if not config:
        raise SourceError(f"{name}: no config.json; is this a model folder?")
    family = config.get("model_type")
    if family not in FAMILIES:
        raise SourceError(
            f"{name}: model type {family!r} is not trained here; known: {', '.join(FAMILIES)}"
        )
    return FAMILIES[family]


def _quantised(folder: Path, name: str) -> str | None:
    found = read_json(folder / "config.json").get("quantization_config") or {}
    if not found:
        return None
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return "4bit" if found.get("load_in_4bit") else "8bit"
    raise SourceError(
        f"{name}: quantised by {found.get('quant_method')!r}, which is not trained here; give the "
        "unquantised model, with --load-in 4bit if memory is short"
    )


def _identity(name: str, folder: Path, commit: str | None) -> str:
    if name in TINY:
        return name
    if commit:
        return f"{name}@{commit}"
    files = sorted(folder.glob("*.safetensors"))
    facts = [(folder / "config.json").read_text(encoding="utf-8")]
    facts += [f"{path.name}:{path.stat().st_size}:{_edges(path)}" for path in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _edges(path: Path) -> str:
    """Hash the first and last MiB: enough to tell two trainings apart, quick at any size."""
    with path.open("rb") as file:
        head = file.read(1024**2)
        file.seek(max(0, path.stat().st_size - 1024**2))
        return hashlib.sha256(head + file.read()).hexdigest()
