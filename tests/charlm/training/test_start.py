"""Where a run begins: characters that a model lacks, settings that suit short texts, and what is learned."""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from charlm import train
from charlm.app import APP
from charlm.config import FEW_CHARACTERS, CharLMConfig, suited
from charlm.data import load_text
from charlm.model.char_lm import CharLM
from charlm.text.characters import CharacterVocabulary
from charlm.training.run import frequency_nats
from charlm.training.start import copy_weights, default_start, extend_vocabulary, settle_for
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script

TEXT = "the cat sat on the mat, and the rat sat on the cat.\n" * 20
NETWORK = ["--cell", "gru", "--units", "11", "--embedding-size", "5", "--sample-length", "0", "--window", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "cat.txt").write_text(TEXT, encoding="utf-8")
    command = ["--data", str(folder / "cat.txt"), "--out", str(folder / "run"), *NETWORK, "--epochs", "5"]
    assert run_script(train.main, [*command, "--learning-rate", "0.1", "--init-from", "none"]) == 0
    return folder / "run"


# The vocabulary and the weights


def test_new_characters_follow_those_of_the_model(capsys):
    known = CharacterVocabulary("abce")
    grown = extend_vocabulary("start", known, CharacterVocabulary("bé½"))
    assert grown.characters == (*"abce", "é", "½")
    told = "Starts from start, which knows 1 of 3 words or characters in the data. 2 are new, 1 of them like"
    assert told in capsys.readouterr().out
    with pytest.raises(UserError, match="5 words or characters that start lacks, and start knows 4: its"):
        extend_vocabulary("start", known, CharacterVocabulary("vwxyz"))


@pytest.mark.parametrize("tied", [False, True])
def test_known_characters_keep_their_logits(tied):
    settings = {"units": 7, "depth": 1, "embedding_size": 5, "tie_embeddings": tied}
    start = CharLM(CharacterVocabulary("aebc"), **settings)
    grown = CharLM(CharacterVocabulary("aebcé½"), **settings)
    copy_weights(start, grown, seed=1)
    tokens = start.vocabulary.encode("abacab")[None]
    then, now = np.asarray(start(tokens)), np.asarray(grown(tokens))
    np.testing.assert_allclose(now[..., :-2], then, atol=1e-6)
    rows = np.asarray(grown.embedding.embeddings)
    assert np.abs(rows[-2] - rows[257]).max() < np.abs(rows[-2] - rows[256]).max()  # é is like e, not a


# What suits the text


def test_settings_follow_the_length_of_the_text():
    assert suited(5_000_000, "adamw") == {
        "init_from": "",
        "batch_size": 128,
        "epochs": 10,
        "learning_rate": 0.004,
    }
    for characters in (100, 3_000, 60_000, 400_000):
        few = suited(characters, "muon", "shakespeare")
        assert few["batch_size"] * 64 <= max(characters, 64)
        assert few["epochs"] * characters / few["batch_size"] / 64 >= 5


@pytest.mark.parametrize(
    ("text", "options", "start"),
    [
        ("to be or not", {}, "shakespeare"),
        ("to be", {"units": 512}, "shakespeare"),
        ("to be", {"units": 64}, ""),
        ("x" * FEW_CHARACTERS, {}, ""),
        ("".join(map(chr, range(0x4E00, 0x4F00))), {}, ""),
    ],
)
def test_a_short_text_starts_from_the_preset(text, options, start, tmp_path):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    data = load_text(tmp_path / "text.txt", validation_fraction=0)
    assert default_start(data, CharLMConfig(**options), argparse.Namespace(**options)) == start


def test_the_network_is_that_of_the_model(trained, tmp_path):
    config = CharLMConfig(init_from=str(trained))
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "charlm")
    data = load_text("hello")
    settled = settle_for(data, config, run, argparse.Namespace())
    assert (settled.cell, settled.units, settled.embedding_size) == ("gru", 11, 5)
    assert CharLMConfig.from_run(RunFolder.open(run.path, "charlm")) == settled
    with pytest.raises(UserError, match=r"does not go with --init-from .*, whose network has 11"):
        settle_for(data, dataclasses.replace(config, units=12), run, argparse.Namespace(units=12))


# Whole runs


def test_a_run_starts_where_the_model_was(trained, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text(TEXT.replace("cat", "bat") + "é", encoding="utf-8")
    command = ["--data", str(tmp_path / "mine.txt"), "--init-from", str(trained), "--sample-length", "0"]
    assert run_script(train.main, [*command, "--window", "8", "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    before = float(told.partition("Before training: ")[2].split()[0])
    assert before < 2.5
    assert min(row["val_nats"] for row in RunFolder.open(tmp_path / "run", "charlm").read_history()) < before
    model = APP.load(tmp_path / "run")
    assert model.vocabulary.characters == (*APP.load(trained).vocabulary.characters, "b")


@pytest.mark.parametrize("start", [True, False])
def test_a_run_that_learned_nothing_is_saved_and_ends_with_status_3(start, trained, tmp_path, capsys):
    (tmp_path / "cat.txt").write_text(TEXT, encoding="utf-8")
    options = (
        ["--init-from", str(trained), "--learning-rate", "5"] if start else [*NETWORK, "--init-from", "none"]
    )
    rate = [] if start else ["--learning-rate", "1e-9"]
    command = ["--data", str(tmp_path / "cat.txt"), "--out", str(tmp_path / "run"), "--window", "8"]
    assert run_script(train.main, [*command, *options, *rate, "--epochs", "1", "--sample-length", "0"]) == 3
    known = "itself" if start else "the frequencies of characters alone"
    error = capsys.readouterr().err
    assert "nothing learned: the validation text has " in error
    assert known in error
    assert APP.load(tmp_path / "run").vocabulary.characters


def test_nats_of_frequencies():
    vocabulary = CharacterVocabulary("ab")
    train_ids, ids = vocabulary.encode("aaab"), vocabulary.encode("bab")
    expected = -np.log([4 / 262, 2 / 262]).mean()
    assert frequency_nats(train_ids, ids, vocabulary) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", [], "is empty"),
        ("x", [], "has too few characters"),
        ("to be or not to be", ["--init-from", "photos"], "no model 'photos'"),
        ("to be or not to be", ["--init-from", "captioning/presets/photos"], "holds a run of 'captioning'"),
        ("".join(map(chr, range(0x4E00, 0x4F00))), ["--init-from", "shakespeare"], "vocabulary would double"),
    ],
)
def test_texts_and_starts_that_cannot_be_used_leave_no_run(text, options, message, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    command = [
        "--data",
        str(tmp_path / "mine.txt"),
        "--out",
        str(tmp_path / "run"),
        "--window",
        "4",
        *options,
    ]
    assert run_script(train.main, command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
