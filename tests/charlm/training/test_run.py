"""Training runs on tiny texts: what is learned, how a stopped one goes on, and what is left on disk."""

import csv
import dataclasses
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from charlm import train as script
from charlm.config import SPLITTING, CharLMConfig, recipe
from charlm.data import load_text
from charlm.model.char_lm import CharLM
from charlm.model.generate import generate
from charlm.model.scoring import Scorer
from charlm.text.characters import CharacterVocabulary
from charlm.training.run import CHARACTERS, Validation, language_loss, make_optimizer, train_charlm
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned, UserError, run_script
from shared.system.files import FileError
from shared.system.signals import Interrupted
from shared.training import pace
from shared.training.optimizers import ADAM_SHARE
from shared.training.windows import TextWindows

TEXT = "the cat sat on the mat, and the rat sat on the cat.\n" * 7  # 364 characters
TINY = CharLMConfig(
    cell="gru",
    units=11,
    depth=2,
    embedding_size=5,
    dropout=0.1,
    input_dropout=0.1,
    output_dropout=0.1,
    recurrent_weight_dropout=0.1,
    window=7,
    batch_size=5,
    forget_rate=0.2,
    steps_between=6,
    epochs=2,
    average_decay=0.9,
    learning_rate=0.2,
    precision="float32",
    prompts=("the ", ""),
    sample_length=13,
)
EPOCHS = 4  # of 6 steps: 2 passes of ceil(65 / 7) = 10 steps


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cat.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def run_training(path, text, resume=False, **changes):
    config = dataclasses.replace(TINY, data=(str(text),), **changes)
    run = RunFolder.create(path, dataclasses.asdict(config), "charlm", resume=resume)
    return train_charlm(config, run, load_text(config.data, **config.pick(SPLITTING)), resume=resume), run


@pytest.fixture
def stop_at(monkeypatch):
    """A function that has Ctrl-C pressed in a step, counted from 0; None: no more."""
    batch, stop = TextWindows._batch, {"step": None}

    def interrupted(windows, step):
        if step == stop["step"]:
            signal.raise_signal(signal.SIGINT)
        return batch(windows, step)

    monkeypatch.setattr(TextWindows, "_batch", interrupted)
    return lambda step: stop.update(step=step)


def arrays_of(path):
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    return load_file(path)


def assert_same_run(left, right):
    for name in ("history.csv", "samples.txt", "vocabulary.json"):
        assert (left / name).read_bytes() == (right / name).read_bytes()
    for name in ("last.npz", "best.safetensors"):
        one, other = arrays_of(left / name), arrays_of(right / name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, text_file):
    result, run = run_training(tmp_path_factory.mktemp("undisturbed") / "run", text_file)
    return run.path, result


# Whole runs


def test_what_a_run_leaves_behind(undisturbed):
    path, result = undisturbed
    assert len(result.history) == EPOCHS
    with (path / "history.csv").open(newline="") as file:
        table = list(csv.reader(file))
    names = ["epoch", "loss", "learning_rate", "gradient_norm", "clip_rate", "val_nats"]
    assert table[0] == names
    vocabulary = CharacterVocabulary.load(path / "vocabulary.json")
    assert vocabulary.characters == tuple(dict.fromkeys(TEXT))
    assert result.best_metrics["val_nats"] == min(row["val_nats"] for row in result.history)
    assert result.history[-1]["val_nats"] < 0.6 * np.log(len(vocabulary))  # something was learned


def test_the_best_model_has_the_nats_that_the_history_says(undisturbed):
    path, result = undisturbed
    model = CharLM.from_run(RunFolder.open(path, "charlm"))
    held_out = model.vocabulary.encode(TEXT[int(0.9 * len(TEXT)) :])
    assert len(held_out) == 37
    score = Scorer(model).windowed(held_out)
    assert score.nats_per_character == pytest.approx(result.best_metrics["val_nats"])


def test_samples_have_a_page_before_and_one_after_each_epoch(undisturbed):
    path, result = undisturbed
    pages = (path / "samples.txt").read_text(encoding="utf-8").split("--- ")
    assert pages[0] == ""
    titles = [page.partition("\n")[0] for page in pages[1:]]
    expected = [f"epoch {row['epoch']}, {row['val_nats']:.4f} nats per character" for row in result.history]
    assert titles == ["untrained", *expected]
    model = CharLM.from_run(RunFolder.open(path, "charlm"))
    first, second = generate(model, TINY.prompts, TINY.sample_length, seed=TINY.seed)
    assert pages[1 + result.best_epoch].rstrip("\n").endswith(f"the {first}\n\n{second}".rstrip("\n"))


def test_a_run_that_is_stopped_again_and_again_goes_on_bit_for_bit(tmp_path, text_file, undisturbed, stop_at):
    for step in (2, 5, 6, 15):  # within an epoch, its last step, the next one's first, in a later one
        stop_at(step)
        with pytest.raises(Interrupted, match="--resume"):
            run_training(tmp_path / "run", text_file, resume=step != 2)
        last = arrays_of(tmp_path / "run" / "last.npz")
        carried = [array for name, array in last.items() if name.startswith("carry/")]
        assert len(carried) == TINY.depth
        assert all(np.any(array) for array in carried)
    stop_at(None)
    result, _ = run_training(tmp_path / "run", text_file, resume=True)
    assert result == undisturbed[1]
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_the_script_says_that_a_run_is_finished(tmp_path, undisturbed, capsys):
    shutil.copytree(undisturbed[0], tmp_path / "run")
    assert run_script(script.main, ["--out", str(tmp_path / "run"), "--resume"]) == 0
    output = capsys.readouterr().out
    assert "is finished already" in output
    assert f"Best epoch {undisturbed[1].best_epoch}:" in output
    assert_same_run(tmp_path / "run", undisturbed[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.txt", "Unknown data source 'nowhere.txt'"),
        ("short.txt", "Expected more than --window 64"),
    ],
)
def test_a_start_that_fails_leaves_no_run_folder(tmp_path, monkeypatch, capsys, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("abc " * 5, encoding="utf-8")
    assert run_script(script.main, ["--data", data, "--out", "run"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_hello_is_learned_by_heart(tmp_path):
    config = recipe(("hello",))
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "charlm")
    result = train_charlm(config, run, load_text("hello"))
    assert result.best_metrics["val_nats"] < 0.02
    model = CharLM.from_run(run)
    assert model.vocabulary.characters == ("h", "e", "l", "o")
    for seed in range(5):
        assert generate(model, ["h"], 4, seed=seed) == ["ello"]
    pages = run.samples_file.read_text(encoding="utf-8").split("--- ")
    assert pages[-1].splitlines()[1].startswith("hello")
    assert not pages[1].splitlines()[1].startswith("hello")  # untrained


class Clock:
    """A clock that goes on by a second whenever it is looked at."""

    now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


def test_minutes_take_the_place_of_epochs(tmp_path, text_file, monkeypatch):
    monkeypatch.setattr(pace, "time", Clock())
    with pytest.raises(NothingLearned):  # in 10 steps
        run_training(tmp_path / "run", text_file, minutes=10 / 60, epochs=1)
    history = RunFolder.open(tmp_path / "run", "charlm").read_history()
    assert [row["minutes"] for row in history] == [0.1, 0.1667]  # 6 steps and 4


def test_mixed_bfloat16_learns_too(tmp_path, text_file, undisturbed):
    result, run = run_training(tmp_path / "run", text_file, precision="mixed_bfloat16")
    assert result.best_metrics["val_nats"] == pytest.approx(undisturbed[1].best_metrics["val_nats"], rel=0.2)
    for name, array in arrays_of(run.last_checkpoint).items():
        if name.startswith("model/") and "seed" not in name:
            assert array.dtype == np.float32
            assert np.any(array.view(np.uint32) & 0xFFFF), name  # bits that bfloat16 does not have


# What cannot be trained on, and disks that are full


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("abcabcabca", {"validation_fraction": 0.3}, r"has 7 tokens\. Expected more than --window 7"),
        ("ab" * 5, {"window": 3}, "validation part of .* has one character"),
        ("a" * 9 + "\U0001f600", {"window": 3}, "validation part of .* has one character"),  # of four bytes
        ("", {}, "is empty"),
        ("abc" * 9, {"validation_fraction": 0.0}, "has no validation part"),
    ],
)
def test_texts_that_are_too_short(tmp_path, text, changes, message):
    (tmp_path / "short.txt").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        run_training(tmp_path / "run", tmp_path / "short.txt", **changes)


def test_a_text_of_characters_that_validation_alone_has(tmp_path):
    (tmp_path / "text.txt").write_text("ab" * 18 + "\u00e9\U0001f600\u00e9b", encoding="utf-8")
    with pytest.raises(NothingLearned):
        run_training(tmp_path / "run", tmp_path / "text.txt", epochs=1, steps_between=0, depth=1)
    run = RunFolder.open(tmp_path / "run", "charlm")
    assert CharacterVocabulary.load(run.vocabulary_file).characters == ("a", "b")
    assert np.isfinite(run.read_history()[0]["val_nats"])


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, text_file, undisturbed, stop_at, monkeypatch):
    stop_at(7)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", text_file)
    stop_at(9)
    names = ("last.npz", "best.safetensors", "history.csv", "config.json", "vocabulary.json")
    before = {name: (tmp_path / "run" / name).read_bytes() for name in names}

    write = Path.write_bytes

    def full(file, content):
        if not file.name.endswith("last.npz"):
            return write(file, content)
        write(file, b"half a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(FileError, match=r"could not write .*last\.npz: No space left on device"):
            run_training(tmp_path / "run", text_file, resume=True)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in names} == before
    assert not list((tmp_path / "run").glob(".partial*"))
    stop_at(None)
    assert run_training(tmp_path / "run", text_file, resume=True)[0] == undisturbed[1]
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_resume_needs_the_vocabulary_that_the_run_began_with(tmp_path, text_file, undisturbed):
    shutil.copytree(undisturbed[0], tmp_path / "run")
    file = tmp_path / "run" / "vocabulary.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"m"', '"q"'), encoding="utf-8")
    with pytest.raises(UserError, match=r"vocabulary\.json"):
        run_training(tmp_path / "run", text_file, resume=True)


def test_resume_needs_the_text_that_the_run_began_with(tmp_path, stop_at):
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    stop_at(3)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", text)
    stop_at(None)
    text.write_text(TEXT.replace("rat sat", "sat rat"))  # the same characters and steps
    with pytest.raises(UserError, match="other content of: training text, validation text; "):
        run_training(tmp_path / "run", text, resume=True)


def test_a_run_that_stopped_before_its_first_checkpoint_begins_anew(tmp_path, text_file, undisturbed):
    run = RunFolder.create(
        tmp_path / "run", dataclasses.asdict(dataclasses.replace(TINY, data=(str(text_file),))), "charlm"
    )
    run.append_samples("half a page")
    run.best_weights.write_bytes(b"of the first epoch")
    assert run_training(run.path, text_file, resume=True)[0] == undisturbed[1]
    assert_same_run(run.path, undisturbed[0])


# The parts


def make_model(**settings):
    model = CharLM("abcd", **{"units": 5, "depth": 2, "embedding_size": 3, "seed": 3, **settings})
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def test_the_loss_is_the_mean_over_all_tokens_with_the_state_that_a_row_has():
    model, random = make_model(), np.random.default_rng(4)
    tokens = random.integers(0, 260, (3, 8)).astype("int32")
    batch = {"tokens": tokens, "keeps_state": np.array([True, False, True])}
    carry = [[random.normal(size=(3, 5)).astype("float32") for _ in range(2)] for _ in range(2)]
    loss, after = language_loss(model, batch, carry)
    nats = []
    for row, keeps in enumerate(batch["keeps_state"]):
        states = [[state[row : row + 1] * keeps for state in layer] for layer in carry]
        for token, target in zip(tokens[row, :-1], tokens[row, 1:], strict=True):
            logits, states = model.step(token[None], states)
            logits = np.asarray(logits, "float64")[0]
            nats.append(np.log(np.exp(logits).sum()) - logits[target])
        for one, other in zip(keras.tree.flatten(after), keras.tree.flatten(states), strict=True):
            np.testing.assert_allclose(one[row : row + 1], other, rtol=1e-5, atol=1e-6)
    assert float(loss) == pytest.approx(np.mean(nats), rel=1e-5)


def test_progress_is_counted_in_what_is_predicted():
    (batch,) = TextWindows(np.arange(36), batch_size=5, window=7, steps_between=1)(1)
    assert (CHARACTERS.unit, CHARACTERS.of(batch)) == ("characters", 35)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_only_matrices_decay(cell, name):
    model = make_model(cell=cell)
    optimizer = make_optimizer(dataclasses.replace(TINY, optimizer=name, weight_decay=0.5, learning_rate=0.1))
    before = [variable.numpy() for variable in model.trainable_variables]
    gradients = [tf.zeros(variable.shape) for variable in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        share = 0.95 if "kernel" in variable.path else 1.0
        np.testing.assert_allclose(variable, share * value, rtol=1e-5, err_msg=variable.path)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "settings", [{"cell": "lstm"}, {"cell": "gru", "tie_embeddings": True}], ids=["lstm", "gru, tied"]
)
def test_muon_is_for_the_matrices_of_the_recurrence(settings, policy):
    model, random = make_model(**settings), np.random.default_rng(5)
    config = dataclasses.replace(TINY, optimizer="muon", weight_decay=0.0, learning_rate=0.1)
    optimizer = make_optimizer(config, policy)
    before = [variable.numpy() for variable in model.trainable_variables]
    numbers = [random.uniform(0.5, 2, v.shape) for v in model.trainable_variables]
    gradients = [tf.constant(n * random.choice([-1, 1], n.shape), "float32") for n in numbers]
    optimizer.apply(gradients, model.trainable_variables)
    orthogonal = 0
    for variable, value, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        change = variable.numpy() - value
        if "stack" in variable.path and "kernel" in variable.path:
            singular = np.linalg.svd(change, compute_uv=False)
            assert singular.max() < 2 * singular.min(), variable.path
            orthogonal += 1
        else:  # the first step of Adam: the sign alone
            expected = -0.1 * ADAM_SHARE * np.sign(gradient)
            np.testing.assert_allclose(change, expected, rtol=1e-3, err_msg=variable.path)
    assert orthogonal == 4


def test_validation_is_cold_every_256_tokens(tmp_path):
    model = make_model()
    ids = np.random.default_rng(6).integers(256, 260, 701)
    run = RunFolder.create(tmp_path / "run", {}, "charlm")
    config = dataclasses.replace(TINY, prompts=("a", "", "\u00e9"), sample_length=5)
    metrics = Validation(model, ids, run, config)(epoch=7)
    assert metrics == {"val_nats": Scorer(model, window=256).windowed(ids).nats_per_character}
    text = run.samples_file.read_text(encoding="utf-8")
    assert text.startswith(f"--- epoch 7, {metrics['val_nats']:.4f} nats per character\na")
    texts = generate(model, config.prompts, 5, seed=config.seed)
    assert text.endswith(f"a{texts[0]}\n\n{texts[1]}\n\n\u00e9{texts[2]}".rstrip("\n") + "\n")


def test_without_samples_there_is_no_file_of_them(tmp_path):
    run = RunFolder.create(tmp_path / "run", {}, "charlm")
    validation = Validation(
        make_model(), np.arange(256, 260), run, dataclasses.replace(TINY, sample_length=0)
    )
    validation.show("untrained")
    validation(epoch=1)
    assert not run.samples_file.exists()
