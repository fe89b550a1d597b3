"""What `fit` of all applications shares, on the smallest of them."""

import gc
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import unrolled
from charlm import fit, load_model
from charlm.training import run as training
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned, UserError

TEXT = "hello world, " * 12
SMALL = {"units": 4, "embedding_size": 3, "epochs": 1, "batch_size": 2, "window": 8, "sample_length": 0}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.mark.filterwarnings("ignore:The model learned nothing")
def test_the_temporary_run_is_there_as_long_as_the_model(temporary, tmp_path, capsys):
    model = fit(TEXT, start="none", verbose=0, **SMALL)
    assert capsys.readouterr() == ("", "")
    assert model.run_folder.path.parent.parent == temporary
    model.save(tmp_path / "kept")
    del model
    gc.collect()
    assert list(temporary.iterdir()) == []
    kept = load_model(tmp_path / "kept")
    assert kept.settings["units"] == 4
    assert kept.run_folder.read_history()[0]["epoch"] == 1


def test_a_run_that_learned_nothing_warns_and_a_failed_one_leaves_nothing(temporary, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train_charlm", lambda config, run, data: _finish(run))
    with pytest.warns(UserWarning, match=r"The model learned nothing: All characters alike\."):
        model = fit(TEXT, out=tmp_path / "run", verbose=0, **SMALL)
    assert model.run_folder.path == tmp_path / "run"
    monkeypatch.setattr(training, "train_charlm", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(TEXT, verbose=0, **SMALL)
    assert list(temporary.iterdir()) == []


def _finish(run: RunFolder):
    from charlm.model.char_lm import CharLM

    settings = {name: run.config[name] for name in ("units", "depth", "embedding_size")}
    model = CharLM("helo", **settings)
    model.save_parts(run)
    run.save_best_weights(model)
    raise NothingLearned("All characters alike.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epoch": 3}, "fit has no argument 'epoch'.* Did you mean epochs"),
        ({"units": 0}, "--units must be at least 1"),
        ({"start": "shakespear"}, "There is no model 'shakespear'.* Did you mean shakespeare"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UserError, match=message):
        fit(TEXT, **arguments)


def test_importing_the_applications_is_light():
    code = "import captioning, charlm, sentiment, sys; print({'keras', 'numpy', 'PIL'} & set(sys.modules))"
    root = Path(unrolled.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
