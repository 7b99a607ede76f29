"""Who is told of a run: the tools of ``--report-to``, and nobody else unless asked."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib.util import find_spec

from vlm_trainer.errors import UsageError

# Name in transformers (INTEGRATION_TO_CALLBACK, which a test compares): packages, one of which
# it needs. kubeflow needs none.
TOOLS = {
    "azure_ml": ("azureml",), "clearml": ("clearml",), "codecarbon": ("codecarbon",),
    "comet_ml": ("comet_ml",), "dagshub": ("dagshub",), "dvclive": ("dvclive",),
    "flyte": ("flytekit",), "kubeflow": (), "mlflow": ("mlflow",), "neptune": ("neptune",),
    "swanlab": ("swanlab",), "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",), "wandb": ("wandb",),
}  # fmt: skip
# TRL reports every trainer that is made to the Hub unless one of these is set.
QUIET = "HF_HUB_DISABLE_TELEMETRY"
TELEMETRY = (QUIET, "DISABLE_TELEMETRY", "DO_NOT_TRACK")


def check_reporting(report_to: str) -> None:
    """Refuse a tool that is not known or not installed, before anything is written.

    Raises:
        UsageError: With the known names, or what to install.

    Example:
        >>> check_reporting("none")
    """
    if report_to in ("none", "all"):
        return
    if report_to not in TOOLS:
        raise UsageError(
            f"report_to {report_to!r} is not known; choose none, all or {', '.join(TOOLS)}"
        )
    packages = TOOLS[report_to]
    if packages and not any(find_spec(package) for package in packages):
        raise UsageError(
            f"report_to {report_to}: {packages[0]} is not installed; `pip install {packages[0]}`, "
            "or --report-to none"
        )


def send_no_telemetry(environment: MutableMapping[str, str]) -> None:
    """Switch the telemetry of the Hugging Face libraries off, unless the user has decided.

    They read it when they are first imported, so this comes before.

    Example:
        >>> environment = {}
        >>> send_no_telemetry(environment)
        >>> environment
        {'HF_HUB_DISABLE_TELEMETRY': '1'}
    """
    if not any(name in environment for name in TELEMETRY):
        environment[QUIET] = "1"
