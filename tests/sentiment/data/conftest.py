import gzip
import json

import pytest


@pytest.fixture
def sample_rows():
    """Text, label and split of some reviews; the third has a text of odd characters."""
    return [
        ("good film", "up", "train"),
        ("bad film", "down", "Training"),
        ('say "hi",\tthen\u2028go \U0001f415 \0 \u05d0', "up", "dev"),
        ("so so", "flat", "train"),
        ("meh", "flat", "valid"),
        ("fine", "up", "testing"),
        ("awful", "down", "train"),
    ]


@pytest.fixture
def write_table():
    """Writes rows by other means than those that read them."""

    def write(path, rows, names=("text", "label", "split")):
        kind = path.name.removesuffix(".gz").rpartition(".")[2]
        if kind == "jsonl":
            lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        elif kind == "tsv":
            lines = ["\t".join(row).replace(",\t", ", ") for row in (names, *rows)]
        else:
            lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (names, *rows)]
        content = "".join(line + "\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture
def write_files():
    """Writes files in a folder, making the folders in it."""

    def write(folder, files):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write
