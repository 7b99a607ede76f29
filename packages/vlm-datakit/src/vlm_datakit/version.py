"""The versions that an output depends on."""

from __future__ import annotations

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Return the versions of this tool and of the libraries that write its bytes."""
    from importlib.metadata import PackageNotFoundError, version  # costs 30 ms at import

    found = {"vlm-datakit": __version__}
    for name in ("pyarrow", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # vendored without metadata
            found[name] = "unknown"
    return found
