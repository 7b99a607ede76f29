"""What is said of downloads."""

from __future__ import annotations

import threading

from vlm_datakit.cli.arriving import Arrivals


def test_each_download_has_its_lines_whatever_thread_tells(capsys):
    arrivals = Arrivals(every_s=0)
    for name in ("a", "b"):
        calls = [(name, 0, 4_000_000), (name, 1_000_000, 4_000_000)]
        thread = threading.Thread(target=lambda calls=calls: [arrivals(*call) for call in calls])
        thread.start()
        thread.join()

    lines = capsys.readouterr().err.splitlines()

    assert [line for line in lines if line.startswith("downloading")] == [
        "downloading a (4.0 MB)",
        "downloading b (4.0 MB)",
    ]
    assert any(line.startswith("a: 1.0 of 4.0 MB, ") and "MB/s, " in line for line in lines)


def test_what_was_here_before_is_no_part_of_the_pace(capsys):
    arrivals = Arrivals(every_s=0)
    arrivals("a", 90_000_000, 100_000_000)
    arrivals("a", 90_000_000, 100_000_000)

    lines = capsys.readouterr().err.splitlines()

    assert lines[0] == "downloading a (100.0 MB, 90.0 MB of it are here)"
    assert lines[-1] == "a: 90.0 of 100.0 MB"
