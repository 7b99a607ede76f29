"""``convert --write-images``: what stands for a picture in the rows that go out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

TO_FILES = ["convert", "--to", "simple", "in.jsonl", "out.jsonl", "--write-images", "files"]


def parsed(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def rows(tmp_path: Path, png_bytes, jpeg_bytes, data_uri, write_jsonl) -> list[dict[str, Any]]:
    """Rows with one picture in each form; the second and the third are the same picture."""
    (tmp_path / "a.png").write_bytes(png_bytes(5, 4))
    photo = data_uri(jpeg_bytes(30, 20), "image/jpeg")
    pictures = ["a.png", photo, photo.partition(",")[2]]
    found = [{"text": f"{n}?", "image": p, "response": f"{n}"} for n, p in enumerate(pictures)]
    write_jsonl(tmp_path / "in.jsonl", found)
    return found


@pytest.mark.usefixtures("rows")
class TestFiles:
    def test_each_picture_stands_once_and_the_rows_come_back(
        self, cli, tmp_path, png_bytes, jpeg_bytes
    ):
        done = cli(TO_FILES)

        names = [row["image"] for row in parsed((tmp_path / "out.jsonl").read_bytes())]
        assert (done.code, names[1]) == (0, names[2])
        for name, data in zip(names, [png_bytes(5, 4), jpeg_bytes(30, 20)], strict=False):
            assert name.startswith("out_images/")
            assert (tmp_path / name).read_bytes() == data
            assert Path(name).stem == hashlib.sha256(data).hexdigest()[:32]
        assert len([p for p in (tmp_path / "out_images").rglob("*") if p.is_file()]) == 2
        back = cli(["convert", "--to", "simple", "out.jsonl"]).out
        assert back == cli(["convert", "--to", "simple", "in.jsonl"]).out

    def test_workers_write_the_same(self, cli, tmp_path):
        outs = []
        for workers in ("1", "2"):
            folder = tmp_path / workers
            folder.mkdir()
            command = ["convert", "--to", "openai", "in.jsonl", f"{workers}/out.jsonl"]
            done = cli([*command, "--write-images", "files", "--workers", workers])
            assert done.code == 0, done.err
            found = [path for path in folder.rglob("*") if path.is_file()]
            outs.append({path.relative_to(folder): path.read_bytes() for path in found})

        assert len(outs[0]) == 3
        assert outs[0] == outs[1]

    def test_a_picture_cut_short_by_somebody_else_is_written_again(self, cli, tmp_path):
        cli(TO_FILES)
        (first,) = (tmp_path / "out_images").rglob("*.png")
        whole = first.read_bytes()
        first.write_bytes(whole[:10])

        done = cli([*TO_FILES, "--overwrite"])

        assert (done.code, first.read_bytes()) == (0, whole)

    def test_standard_output_needs_a_folder(self, cli):
        done = cli(["convert", "--to", "simple", "in.jsonl", "--write-images", "files"])

        assert (done.code, done.out) == (2, b"")
        assert b"name an --image-folder" in done.err

    def test_rows_on_standard_output_name_files_from_here(self, cli, tmp_path):
        command = ["convert", "--to", "simple", "in.jsonl", "--write-images", "files"]

        done = cli([*command, "--image-folder", "deep/pictures"])

        names = [row["image"] for row in parsed(done.out)]
        assert all((tmp_path / name).is_file() for name in names)
        assert names[0].startswith("deep/pictures/")

    def test_a_folder_that_cannot_be_made_is_named(self, cli, tmp_path):
        (tmp_path / "out_images").write_bytes(b"")

        done = cli(TO_FILES)

        assert (done.code, (tmp_path / "out.jsonl").exists()) == (5, False)
        assert b"out_images" in done.err


class TestAsGiven:
    COMMAND = ("convert", "--to", "simple", "in.jsonl", "--write-images", "as-given")

    def test_every_text_stays_and_a_url_is_not_opened(self, cli, rows, tmp_path, write_jsonl):
        url = {"text": "?", "image": "https://images.example/a.png?key=1", "response": "!"}
        write_jsonl(tmp_path / "in.jsonl", [*rows, url])

        done = cli([*self.COMMAND])

        assert (done.code, parsed(done.out)) == (0, [*rows, url])

    def test_a_picture_that_cannot_be_used_is_still_refused(self, cli, tmp_path, write_jsonl):
        bad = {"text": "?", "image": "data:image/png;base64,AAAA", "response": "!"}
        write_jsonl(tmp_path / "in.jsonl", [bad, {**bad, "image": "gone.png"}])

        done = cli([*self.COMMAND])

        assert (done.code, done.out) == (6, b"")
        assert b"image-type-unsupported" in done.err
        assert b"image-file-missing" in done.err

    @pytest.mark.usefixtures("rows")
    def test_pictures_are_not_changed_so_how_to_is_a_contradiction(self, cli):
        assert cli([*self.COMMAND, "--shrink-to-pixels", "9"]).code == 2
