"""What a user asks of pictures on the command line, and what the manifest says was done."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from vlm_datakit import open_shards

Cli = Callable[..., Any]


@pytest.fixture
def rows(tmp_path: Path, write_jsonl, jpeg_bytes, png_bytes) -> Path:
    """Three rows: a sideways photo, a see-through drawing, a plain picture."""
    (tmp_path / "sideways.jpg").write_bytes(jpeg_bytes(40, 30, orientation=6))
    (tmp_path / "drawing.png").write_bytes(png_bytes(20, 10, mode="RGBA"))
    (tmp_path / "plain.png").write_bytes(png_bytes(8, 8))
    names = ("sideways.jpg", "drawing.png", "plain.png")
    lines = [{"text": "?", "image": name, "response": "!"} for name in names]
    return write_jsonl(tmp_path / "in.jsonl", lines)


def stats(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_bytes())["stats"]
    return found


@pytest.mark.parametrize(
    ("options", "rewritten", "sizes"),
    [
        pytest.param([], {"alpha": 1}, [(30, 40), (20, 10), (8, 8)], id="canonical"),
        pytest.param(
            ["--images", "baked"],
            {"alpha": 1, "orientation": 1},
            [(30, 40), (20, 10), (8, 8)],
            id="baked",
        ),
        pytest.param(["--images", "untouched"], {}, [(30, 40), (20, 10), (8, 8)], id="untouched"),
        pytest.param(
            ["--shrink-to-pixels", "300"],
            {"alpha": 1, "shrunk": 1},
            [(15, 20), (20, 10), (8, 8)],
            id="shrunk",
        ),
        pytest.param(
            ["--images", "untouched", "--shrink-to-pixels", "100"],
            {"shrunk": 2},
            [(9, 11), (14, 7), (8, 8)],
            id="untouched but for their size",
        ),
    ],
)
def test_the_manifest_says_what_was_rewritten_and_why(
    cli: Cli, rows: Path, options: list[str], rewritten: dict[str, int], sizes: list[Any]
) -> None:
    done = cli(["import", rows.name, "-o", "out", *options])

    images = [row.images[0] for row in open_shards(rows.parent / "out", "train")]
    assert (done.code, stats(rows.parent / "out")["rewritten"]) == (0, rewritten)
    assert [(image.width_px, image.height_px) for image in images] == sizes


def test_another_policy_is_another_plan(cli: Cli, rows: Path) -> None:
    cli(["import", rows.name, "-o", "out"])

    again = cli(["import", rows.name, "-o", "out", "--images", "baked"])

    assert again.code == 5
    assert b'"form": "canonical"' in again.err


def test_pixels_that_a_whole_container_hides_need_the_decoder(
    cli: Cli, tmp_path: Path, write_jsonl, png_claiming
) -> None:
    (tmp_path / "hollow.png").write_bytes(png_claiming(64, 64))
    row = {"text": "?", "image": "hollow.png", "response": "!"}
    source = write_jsonl(tmp_path / "in.jsonl", [row])

    structure = cli(["validate", source.name, "--json"])
    decode = cli(["validate", source.name, "--json", "--check-images", "decode"])

    assert (structure.code, decode.code) == (0, 6)
    assert json.loads(decode.out)["by_reason"] == {"image-unreadable": 1}


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("megapixels=1", 0),
        ("side-px=40", 0),
        ("side-px=39", 6),
        ("image-mib=1", 0),
        ("aspect=1", 6),
    ],
)
def test_a_limit_can_be_set(cli: Cli, rows: Path, limit: str, code: int) -> None:
    assert cli(["import", rows.name, "-o", "out", "--limit", limit]).code == code


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("pixels=3", b"--limit pixels=3: expected NAME=N, where NAME is one of line-mib, "),
        ("side-px=0", b"--limit side-px=0: expected a whole number from 1 to 1,000,000"),
        ("megapixels=179", b"--limit megapixels=179: expected a whole number from 1 to 178"),
        ("image-mib=x", b"--limit image-mib=x: expected a whole number from 1 to 1,000"),
    ],
)
def test_a_limit_that_is_none_is_named(cli: Cli, rows: Path, limit: str, words: bytes) -> None:
    done = cli(["import", rows.name, "-o", "out", "--limit", limit])

    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize("command", ["convert", "validate", "import"])
def test_the_policy_holds_for_every_command(cli: Cli, rows: Path, command: str) -> None:
    targets = {"convert": ["--to", "simple"], "import": ["-o", "out"], "validate": []}

    done = cli([command, rows.name, "--limit", "side-px=10", *targets[command]])

    assert done.code == 6
    assert b"image-too-large" in done.err


def test_converted_rows_hold_the_smaller_picture(cli: Cli, rows: Path) -> None:
    import base64

    done = cli(["convert", rows.name, "--to", "simple", "--shrink-to-pixels", "300"])

    first = json.loads(done.out.splitlines()[0])
    with PIL.Image.open(io.BytesIO(base64.b64decode(first["image"].partition(",")[2]))) as picture:
        assert (picture.size, picture.format) == ((15, 20), "JPEG")


def test_heic_without_its_extra_is_refused_and_the_extra_named(tmp_path: Path, write_jsonl) -> None:
    import pillow_heif

    picture = PIL.Image.new("RGB", (64, 48), "red")
    pillow_heif.from_pillow(picture).save(tmp_path / "photo.heic")
    write_jsonl(tmp_path / "in.jsonl", [{"text": "?", "image": "photo.heic", "response": "!"}])
    # As on a machine that lacks it: the import fails.
    script = "import sys; sys.modules['pillow_heif'] = None; import vlm_datakit.cli as c; c.main()"

    without = subprocess.run(
        [sys.executable, "-c", script, "import", "in.jsonl", "-o", "out"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert without.returncode == 6
    assert b"image-type-unsupported: HEIC needs pip install 'vlm-datakit[heif]'" in without.stderr


def test_heic_with_its_extra_is_written_as_png(cli: Cli, tmp_path: Path, write_jsonl) -> None:
    import pillow_heif

    picture = PIL.Image.new("RGB", (64, 48), "red")
    pillow_heif.from_pillow(picture).save(tmp_path / "photo.heic")
    write_jsonl(tmp_path / "in.jsonl", [{"text": "?", "image": "photo.heic", "response": "!"}])

    done = cli(["import", "in.jsonl", "-o", "out"])

    image = open_shards(tmp_path / "out", "train").get(0).images[0]
    assert (done.code, stats(tmp_path / "out")["rewritten"]) == (0, {"container": 1})
    assert (image.media_type, image.width_px, image.height_px) == ("image/png", 64, 48)


def test_the_first_frame_is_taken_and_warned_about(cli: Cli, tmp_path: Path, write_jsonl) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("gif", "webp", "png", "tiff"):
        frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
    rows = [
        {"text": "?", "image": f"a.{kind}", "response": "!"}
        for kind in ("gif", "webp", "png", "tiff")
    ]
    write_jsonl(tmp_path / "in.jsonl", rows)

    done = cli(["import", "in.jsonl", "-o", "out"])

    found = stats(tmp_path / "out")
    assert (done.code, found["warnings"]) == (0, {"image-first-frame-only": 4})
    assert found["rewritten"] == {"container": 2, "frames": 4, "palette": 1}
