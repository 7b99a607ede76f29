"""Arrow without NumPy, for processes of our own: a third of their start, and 11 MB.

pyarrow imports NumPy if it is there, and does without it otherwise (it is no requirement of
pyarrow's since version 18). Nothing here passes arrays of the one to the other. A process of
somebody else's is left alone: there Arrow may be asked for pandas next.
"""

from __future__ import annotations

import sys

_KEPT_BYTES = 128 << 20


def import_arrow() -> None:
    """Import pyarrow without NumPy, unless either is imported already."""
    if "numpy" in sys.modules or "pyarrow" in sys.modules:
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]  # as documented: it cannot be imported
    try:
        import pyarrow.parquet  # noqa: F401 - to have it imported
    finally:
        del sys.modules["numpy"]
    _keep_memory()


def _keep_memory() -> None:
    """Have the allocator keep what is freed: the next row group takes as much again.

    glibc gives large pieces back to the system at once, and each page that comes again costs a
    fault: a fifth of the time that photos take. Elsewhere nothing happens.

    Source:
        mallopt(3): M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD (malloc.h of glibc).
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    for option, size in ((-1, _KEPT_BYTES), (-2, _KEPT_BYTES // 8), (-3, _KEPT_BYTES // 4)):
        mallopt(option, size)


def is_lean() -> bool:
    """Whether this process has Arrow and no NumPy."""
    return "pyarrow" in sys.modules and "numpy" not in sys.modules
