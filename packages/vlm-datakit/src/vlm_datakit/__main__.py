"""``python -m vlm_datakit`` is ``vlm-datakit``."""

from vlm_datakit.cli import main

if __name__ == "__main__":
    main()
