"""The versions that an output depends on."""

from __future__ import annotations

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Return the versions of this tool and of the libraries that write its bytes."""
    import PIL
    import pyarrow as pa

    return {"vlm-datakit": __version__, "pyarrow": pa.__version__, "pillow": PIL.__version__}
