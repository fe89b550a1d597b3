"""Runs that learn from teachers: the command, and teachers that cannot teach."""

import keras
import numpy as np
import pytest

from captioning import train
from captioning.training.run import load_teachers
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary

NETWORK = "--units 6 --num-heads 2 --encoder small_cnn --image-size 32 --dropout 0 --input-dropout 0"
TRAINING = (
    "--average-decay 0 --batch-size 5 --no-mirror --label-smoothing 0 --captions-per-image 1 --cache cache"
)
STEPS = "--epochs 30 --learning-rate 0.02 --warmup-steps 1 --patience 30"
TEACHER = "--init-from start --teachers teacher --teacher-weight 0.95"


@pytest.fixture
def teacher(tmp_path, new_captioner):
    keras.utils.set_random_seed(3)
    captioner = new_captioner(tmp_path / "teacher")
    random = np.random.default_rng(0)
    decoder = captioner.decoder
    decoder.set_weights([weight + 0.4 * random.normal(size=weight.shape) for weight in decoder.get_weights()])
    RunFolder(tmp_path / "teacher", {}).save_best_weights(captioner)
    return captioner


def test_a_model_comes_to_write_as_its_teacher(teacher, source_file, tmp_path, monkeypatch, new_captioner):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(4)
    start = new_captioner(tmp_path / "start")
    RunFolder(tmp_path / "start", {}).save_best_weights(start)
    arguments = [*f"{NETWORK} {TRAINING} {STEPS} {TEACHER}".split(), "--data", source_file, "--out", "run"]
    assert run_script(train.main, arguments) == 0
    losses = [row["loss"] for row in RunFolder.open("run", "captioning").read_history()]
    # 5 % of it is the captions' cross entropy, which a model that follows its teacher keeps.
    assert losses[-1] - 0.05 * 2 < 0.4 * (losses[0] - 0.05 * 2)


def test_other_words_are_refused(teacher, tmp_path):
    other = Vocabulary.build([["zebras", "graze"]])
    with pytest.raises(UserError, match=r"The teacher .*teacher has other words: a vocabulary of \d+ tokens"):
        load_teachers((str(tmp_path / "teacher"),), other)


def test_an_absent_teacher_ends_the_run_before_it_starts(source_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_script(train.main, ["--data", source_file, "--teachers", "nobody", "--out", "run"]) == 2
    assert "nobody" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
