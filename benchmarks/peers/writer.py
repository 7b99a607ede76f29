"""Write the lines of a file to standard output again and again, up to some GiB.

python writer.py FILE GIB
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    file, left_bytes = Path(sys.argv[1]), int(float(sys.argv[2]) * 2**30)
    while True:
        with file.open("rb") as lines:
            for line in lines:
                sys.stdout.buffer.write(line)
                left_bytes -= len(line)
                if left_bytes <= 0:
                    return


if __name__ == "__main__":
    main()
