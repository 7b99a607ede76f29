"""Arrow without what it does not need, for processes of our own: faster to start, and smaller.

pyarrow imports NumPy if it is there, and does without it otherwise (it is no requirement of
pyarrow's since version 18): a third of a start, and 11 MB. Nothing here passes arrays of the
one to the other. So it is with cloudpickle, and with its own clients of stores elsewhere,
which are fsspec's business here. A process of somebody else's is left alone: there Arrow may
be asked for pandas next.
"""

from __future__ import annotations

import sys

_STORES = ("pyarrow._s3fs", "pyarrow._gcsfs", "pyarrow._azurefs", "pyarrow._hdfs")
_NOT_NEEDED = ("numpy", "cloudpickle", *_STORES)
_KEPT_BYTES = 128 << 20


def import_arrow() -> None:
    """Import pyarrow without NumPy, unless either is imported already."""
    if "numpy" in sys.modules or "pyarrow" in sys.modules:
        return
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as documented: it cannot be imported
    try:
        import pyarrow.parquet  # noqa: F401 - to have it imported
    finally:
        for name in hidden:
            del sys.modules[name]
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
