"""What stands in OUT is read by datasets, TRL, DuckDB, Polars and pyarrow with no code of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PICTURES = "images.list.element.bytes"


@pytest.fixture(scope="module")
def pictures(png_bytes, jpeg_bytes, data_uri) -> list[str]:
    """Three data URIs: a turned JPEG, a grey PNG, a WebP-free RGB PNG."""
    turned = jpeg_bytes(30, 20, color=(200, 30, 30), orientation=6)
    grey, red = png_bytes(9, 7, color=128, mode="L"), png_bytes(12, 16, color=(255, 0, 0))
    return [data_uri(turned, "image/jpeg"), data_uri(grey), data_uri(red)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, write_jsonl, chat, pictures) -> Path:
    """An import of rows with 0, 1 and 3 pictures, twice."""
    rows = [
        chat("none?", '{"a": "007"}', id="none"),
        chat("one?", "42", pictures[0], id="one"),
        chat("three?", "null", *pictures),
        chat("again?", "yes", pictures[0], id="again"),
    ]
    return imported(write_jsonl(tmp_path_factory.mktemp("mixed") / "in.jsonl", rows))


@pytest.fixture(scope="module")
def texts(tmp_path_factory, write_jsonl, chat) -> Path:
    """An import of text-only rows."""
    rows = [chat(f"What is {n} and {n}?", f"It is {2 * n}.") for n in range(24)]
    return imported(write_jsonl(tmp_path_factory.mktemp("texts") / "in.jsonl", rows))


def imported(source: Path) -> Path:
    from vlm_datakit import ImportRequest, import_dataset

    import_dataset(ImportRequest((str(source),)), source.parent / "out")
    return source.parent / "out"


def loaded(out: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(out), cache_dir=str(out.parent / "cache"))["train"]


def shard(out: Path) -> pq.ParquetFile:
    (path,) = (out / "data").glob("*.parquet")
    return pq.ParquetFile(path)


class TestDatasets:
    def test_rows_ids_and_texts_are_the_source_s(self, mixed):
        rows = loaded(mixed)

        assert [len(row["images"]) for row in rows] == [0, 1, 3, 1]
        assert [row["id"] for row in rows][:2] == ["none", "one"]
        assert [row["messages"][1]["content"][0]["text"] for row in rows] == [
            '{"a": "007"}',
            "42",
            "null",
            "yes",
        ]

    def test_a_part_has_type_and_text_and_nothing_else(self, mixed):
        content = loaded(mixed)[1]["messages"][0]["content"]

        assert content == [{"type": "image", "text": None}, {"type": "text", "text": "one?"}]

    def test_pictures_are_the_upright_pixels_of_the_source(self, mixed, pictures):
        import PIL.Image
        import PIL.ImageOps
        import pybase64

        row = loaded(mixed)[2]

        for image, size, uri in zip(row["images"], row["image_sizes"], pictures, strict=True):
            data = pybase64.b64decode(uri.partition(",")[2])
            upright = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
            assert image.size == upright.size == (size["width"], size["height"])
            assert image.tobytes() == upright.tobytes()

    def test_a_text_only_set_has_no_picture_columns(self, texts):
        rows = loaded(texts)

        assert rows.column_names == ["id", "messages", "tools", "extras"]
        assert len(rows) == 24

    def test_every_split_is_there_under_its_name(self, tmp_path, write_jsonl, chat):
        from vlm_datakit import ImportRequest, import_dataset

        for name, rows in {"a": 3, "b": 2}.items():
            write_jsonl(tmp_path / f"{name}.jsonl", [chat("?", "!")] * rows)
        sources = (f"train={tmp_path / 'a.jsonl'}", f"dev-1={tmp_path / 'b.jsonl'}")
        import_dataset(ImportRequest(sources), tmp_path / "out")

        import datasets

        found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

        assert {name: len(rows) for name, rows in found.items()} == {"train": 3, "dev_1": 2}

    def test_a_set_of_the_same_folder_name_is_not_taken_from_the_cache(
        self, tmp_path, write_jsonl, chat
    ):
        """datasets keys its cache of a local folder by name and card, not by the files."""
        import datasets

        found = []
        for answer in ("first", "other"):
            (tmp_path / answer).mkdir()
            out = imported(write_jsonl(tmp_path / answer / "in.jsonl", [chat("?", answer)]))
            rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
            found.append(rows[0]["messages"][1]["content"][0]["text"])

        assert found == ["first", "other"]

    def test_the_ledger_is_not_taken_for_data(self, tmp_path, write_jsonl, chat):
        from vlm_datakit import ImportRequest, RejectsAllowed, RunOptions, import_dataset

        source = write_jsonl(tmp_path / "train.jsonl", [chat("?", "!"), b"{"])
        options = RunOptions(RejectsAllowed(1))
        import_dataset(ImportRequest((str(source),)), tmp_path / "out", options)

        assert (tmp_path / "out/rejects/rejects-00000.jsonl").exists()
        assert len(loaded(tmp_path / "out")) == 1


class TestOtherReaders:
    def test_duckdb_counts_and_finds_texts_and_bytes(self, mixed):
        files = f"'{mixed}/data/*.parquet'"

        counts = duckdb.sql(f"SELECT id, len(images) FROM {files} LIMIT 2").fetchall()
        text = f"SELECT messages[2].content[1].text FROM {files} WHERE id = 'none'"
        head = f"SELECT hex(images[1].bytes[1:3]) FROM {files} WHERE id = 'one'"

        assert counts == [("none", 0), ("one", 1)]
        assert duckdb.sql(text).fetchall() == [('{"a": "007"}',)]
        assert duckdb.sql(head).fetchall() == [("FFD8FF",)]

    def test_polars_scans_the_same(self, mixed):
        scan = polars.scan_parquet(f"{mixed}/data/*.parquet")
        first = polars.col("images").list.first().struct.field("bytes")

        found = scan.select(polars.col("images").list.len(), first.bin.size()).collect()

        sizes = [None if row[1] is None else row[1] > 300 for row in found.rows()]
        assert [row[0] for row in found.rows()] == [0, 1, 3, 1]
        assert sizes == [None, True, True, True]


class TestParquet:
    TEXTS = pa.struct([("type", pa.string()), ("text", pa.string())])
    MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(TEXTS))]))

    def test_the_schema_is_the_contract(self, mixed):
        sizes = pa.struct([("width", pa.int32()), ("height", pa.int32())])
        stored = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

        assert shard(mixed).schema_arrow.remove_metadata() == pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                ("messages", self.MESSAGES),
                ("images", pa.list_(stored)),
                ("image_sizes", pa.list_(sizes)),
                ("tools", pa.string()),
                ("extras", pa.string()),
            ]
        )

    @pytest.mark.parametrize(
        ("row", "columns"),
        [
            ({"prompt": "2?", "completion": "2"}, ["prompt", "completion"]),
            ({"text": "2?", "response": "2"}, ["messages"]),
        ],
        ids=["answer", "conversation"],
    )
    def test_layouts_without_pictures(self, tmp_path, write_jsonl, row, columns):
        out = imported(write_jsonl(tmp_path / "in.jsonl", [row]))

        schema = shard(out).schema_arrow

        assert schema.names == ["id", *columns, "tools", "extras"]
        assert all(schema.field(name).type == self.MESSAGES for name in columns)

    def test_the_metadata_names_the_features_in_the_spelling_of_old_and_new_datasets(self, mixed):
        metadata = shard(mixed).schema_arrow.metadata
        text = {"dtype": "string", "_type": "Value"}
        size = {"dtype": "int32", "_type": "Value"}

        features = json.loads(metadata[b"huggingface"])["info"]["features"]

        assert list(metadata) == [b"huggingface"]
        part = {"type": text, "text": text}
        assert features["messages"] == [{"role": text, "content": [part]}]
        assert features["images"] == [{"_type": "Image"}]
        assert features["image_sizes"] == [{"width": size, "height": size}]

    def test_each_column_is_stored_as_the_contract_says(self, mixed):
        group = shard(mixed).metadata.row_group(0)
        chunks = {
            (chunk := group.column(index)).path_in_schema: chunk
            for index in range(group.num_columns)
        }
        pictures = chunks.pop(PICTURES)

        assert pictures.compression == "UNCOMPRESSED"
        assert not pictures.is_stats_set
        assert "RLE_DICTIONARY" in pictures.encodings
        assert {chunk.compression for chunk in chunks.values()} == {"ZSTD"}
        assert all(chunk.has_offset_index for chunk in chunks.values())
        assert {name for name, chunk in chunks.items() if chunk.has_column_index} == {
            "id",
            "messages.list.element.role",
            "messages.list.element.content.list.element.type",
            "image_sizes.list.element.width",
            "image_sizes.list.element.height",
        }

    def test_equal_adjacent_pictures_are_stored_once(self, tmp_path, write_jsonl, chat, data_uri):
        import random

        import PIL.Image

        noise = PIL.Image.frombytes("RGB", (200, 200), random.Random(0).randbytes(120_000))
        file = io.BytesIO()
        noise.save(file, "PNG")
        uri = data_uri(file.getvalue())
        rows = [chat(f"{n}?", "!", uri) for n in range(10)]

        out = imported(write_jsonl(tmp_path / "in.jsonl", rows))

        (path,) = (out / "data").glob("*.parquet")
        assert len(file.getvalue()) < path.stat().st_size < 1.2 * len(file.getvalue())

    def test_no_row_group_is_empty_and_none_is_over_its_bounds(self, tmp_path, write_jsonl, chat):
        rows = [chat(f"{n}?", "!") for n in range(4_100)]

        out = imported(write_jsonl(tmp_path / "in.jsonl", rows))

        metadata = shard(out).metadata
        sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        assert sizes == [4_096, 4]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Callable[..., float]:
    """Train one step with TRL's SFTTrainer as it comes; return the loss."""
    trl = pytest.importorskip("trl")
    pytest.importorskip("torch")

    def train(out: Path, model: Any, processing: Any, **config: Any) -> float:
        arguments = trl.SFTConfig(
            output_dir=str(tmp_path_factory.mktemp("trained")),
            max_steps=1,
            per_device_train_batch_size=2,
            use_cpu=True,
            bf16=False,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            dataset_num_proc=None,
            **config,
        )
        trainer = trl.SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=loaded(out),
            processing_class=processing,
        )
        return float(trainer.train().training_loss)

    return train


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Callable[..., Path]:
    """Write a tiny model folder: of all that vlm_trainer has, only its test model is used."""
    write_tiny = pytest.importorskip("vlm_trainer.tiny").write_tiny

    def write(*, vision: bool) -> Path:
        folder = tmp_path_factory.mktemp("tiny")
        write_tiny(folder, vision=vision)
        return folder

    return write


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
class TestTRL:
    def test_a_vision_model_trains_a_step(self, mixed, tiny, trained):
        from transformers import Qwen2_5_VLForConditionalGeneration

        from vlm_trainer.hf_processor import load_processor

        folder = tiny(vision=True)
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)

        loss = trained(mixed, model, load_processor(folder), max_length=None)

        assert 4 < loss < 12  # near ln 448, the vocabulary: tokens were seen, and no NaN

    def test_a_text_model_trains_a_step_with_packing(self, texts, tiny, trained):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = tiny(vision=False)
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)

        loss = trained(texts, model, tokenizer, packing=True, max_length=64)

        assert 4 < loss < 12
