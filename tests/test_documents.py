"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/results/README.md"]
DOCUMENTS += [f"docs/{name}.md" for name in ("captioning", "charlm", "sentiment", "scaling", "serving")]
# `tests/shared/test_export.py`, `charlm/text/graph.py`, `tests/sentiment/data`
PATH = re.compile(r"`((?:tests|captioning|charlm|sentiment|shared|benchmarks|docs)/[\w./-]*)`")
LINK = re.compile(r"\[[^\]\n]+\]\(([\w./-]+)(?:#[\w-]*)?\)")
NAME = re.compile(r"`(test_\w+)`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []
    folder = (ROOT / document).parent
    assert [link for link in LINK.findall(text) if not (folder / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tests_that_are_named_exist(document):
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    names = NAME.findall((ROOT / document).read_text(encoding="utf-8"))
    assert [name for name in names if f"def {name}(" not in sources] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
