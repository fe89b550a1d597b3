"""The script that measures quoted figures: it sees which are old, and which a document does not say."""

import pytest

from benchmarks import figures
from benchmarks.figures import FIGURES, Figure, digest, main, state
from shared.system.cli import UserError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with one source and one document."""
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text(
        '"""Says."""\n\n\ndef f(x):\n    """Adds."""\n    return x + 1\n'
    )
    (tmp_path / "README.md").write_text("It reaches 99.8 %.\n")
    return tmp_path


@pytest.fixture
def figure(project):
    return Figure("accuracy", (), lambda *_: {}, ("package",), {"README.md": ("share",)})


def record(value):
    return {"accuracy": {"values": {"share": value, "other": "7"}, "sources": digest(["package"])}}


@pytest.mark.parametrize(
    ("code", "is_old"),
    [
        (
            '"""Other."""\n\n# a comment\ndef f(x):\n    """Adds one."""\n    return (x\n        + 1)\n',
            False,
        ),
        ('"""Says."""\n\n\ndef f(x):\n    """Adds."""\n    return x + 2\n', True),
    ],
)
def test_a_figure_is_old_when_the_code_has_changed_and_not_its_words(project, figure, code, is_old):
    records = record("99.8 %")
    assert state(figure, records) == "current"
    (project / "package" / "code.py").write_text(code)
    assert state(figure, records) == ("old: the code has changed" if is_old else "current")


def test_a_new_file_makes_a_figure_old(project, figure):
    records = record("99.8 %")
    (project / "package" / "more.py").write_text("pass\n")
    assert state(figure, records).startswith("old")


def test_a_document_that_says_something_else_is_named(figure):
    assert state(figure, record("100.0 %")) == "README.md does not say 100.0 %"
    assert state(figure, {}) == "not measured yet"


def test_documents_that_quote_figures_are_there():
    for figure in FIGURES.values():
        for document in figure.quoted:
            assert (figures.ROOT / document).is_file()
        for source in figure.sources:
            assert (figures.ROOT / source).is_dir()


def test_mistyped_names_and_missing_data(monkeypatch):
    with pytest.raises(UserError, match=r"no figure 'shape'.* Did you mean shapes\?"):
        main(["shape"])
    monkeypatch.delenv("UNROLLED_FLICKR8K", raising=False)
    with pytest.raises(UserError, match="set UNROLLED_FLICKR8K to where they are"):
        main(["photos"])
