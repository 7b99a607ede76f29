"""Put the peers that the project does not use itself into .nox/bench-peers.

    python benchmarks/peers/install.py

The packages of .venv, its CPU torch among them, are in sight there; nothing else is installed
but what is listed, so that no other torch comes in. Without it those peers are left out.
mosaicml-streaming is not listed: it imports torchvision, whose wheels do not fit a CPU torch
from another index, and the clients of four clouds.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / ".nox" / "bench-peers"
PEERS = ("daft==0.7.26", "litdata==0.2.76", "webdataset==1.0.2")
NEEDED = ("boto3", "botocore", "braceexpand", "certifi", "charset-normalizer", "jmespath",
          "lightning-utilities", "obstore", "requests", "s3transfer", "urllib3")  # fmt: skip


def main() -> None:
    venv.create(TARGET, with_pip=False, clear=True)
    (packages,) = TARGET.glob("lib/python3.*/site-packages")
    (packages / "venv.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(TARGET / "bin" / "python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", *PEERS, *NEEDED], check=True)


if __name__ == "__main__":
    main()
