"""The file of a model's weights: what is written, and what is not read."""

import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save

from shared.runs.folder import RunError, RunFolder
from shared.runs.weights import load_weights, name_variables, save_weights, to_array


def make_model(units=3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units), keras.layers.Dense(units)])
    model.add(keras.layers.BatchNormalization())
    random = np.random.default_rng(units)
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
    return model


@pytest.fixture
def run(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"units": 3}, "sentiment")
    (run.path / "labels.json").write_text('["bad", "good"]')
    run.save_best_weights(make_model())
    return run


def assert_equal(model, expected):
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_come_back_in_another_process_with_other_layer_numbers(run):
    model = make_model()
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    run.load_best_weights(model, 5)
    assert_equal(model, make_model())
    paths = [name for name in load_file(run.best_weights) if name.startswith("0000")]
    assert paths == ["0000/sequential/dense/kernel"]


def test_the_same_model_gives_the_same_bytes(run):
    before = run.best_weights.read_bytes()
    run.save_best_weights(make_model())
    assert run.best_weights.read_bytes() == before


class Counting(keras.layers.Dense):
    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(shape=(), dtype="int64", initializer="zeros", name="count")


def test_half_precision_rounds_floats_and_nothing_else(tmp_path):
    model = keras.Sequential([keras.Input((2,)), Counting(3)])
    model.layers[0].kernel.assign(np.full((2, 3), 1e6))
    model.layers[0].count.assign(2**40 + 1)
    save_weights(tmp_path / "half.safetensors", model, half=True)
    arrays = load_file(tmp_path / "half.safetensors")
    kinds = {name.rpartition("/")[2]: array.dtype for name, array in arrays.items()}
    assert (kinds["kernel"], kinds["count"]) == (np.float16, np.int64)
    load_weights(tmp_path / "half.safetensors", model)
    assert (model.layers[0].kernel.numpy() == 65504).all()
    assert int(model.layers[0].count) == 2**40 + 1


def test_bfloat16_comes_back_exactly(tmp_path):
    layer = keras.layers.Dense(3, dtype="bfloat16")
    layer.build((None, 2))
    model = keras.Sequential([keras.Input((2,)), layer])
    expected = to_array(layer.kernel)
    save_weights(tmp_path / "w.safetensors", model)
    layer.kernel.assign(np.zeros((2, 3)))
    load_weights(tmp_path / "w.safetensors", model)
    np.testing.assert_array_equal(to_array(layer.kernel), expected)


def test_a_run_of_an_earlier_version_is_read_and_then_has_the_new_file(tmp_path):
    run = RunFolder.create(tmp_path / "run", {}, "sentiment")
    make_model().save_weights(run.path / "best.weights.h5")
    assert run.best_weights.name == "best.weights.h5"
    model = make_model()
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    run.load_best_weights(model, 5)
    assert_equal(model, make_model())
    run.save_best_weights(model)
    assert run.best_weights.name == "best.safetensors"
    assert not (run.path / "best.weights.h5").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", '["good", "bad"]'),
        ("config.json", '{"app": "sentiment", "format_version": 1, "config": {"units": 4}}'),
        ("vocabulary.json", "new"),
        ("labels.json", None),
    ],
)
def test_a_changed_file_is_named(run, name, content):
    if content is None:
        (run.path / name).unlink()
    else:
        (run.path / name).write_text(content)
    with pytest.raises(RunError, match=rf"{name} beside it changed after.*copy the run folder again"):
        run.load_best_weights(make_model(), 5)


def test_no_changed_byte_goes_unnoticed(run):
    content, expected = run.best_weights.read_bytes(), make_model()
    random = np.random.default_rng(4)
    for index in random.integers(0, len(content), 300):
        changed = bytearray(content)
        changed[index] ^= 1 << random.integers(8)
        run.best_weights.write_bytes(changed)
        model = make_model()
        try:
            run.load_best_weights(model, 5)
        except RunError as error:
            assert "best.safetensors" in str(error)  # noqa: PT017 - most bytes, but not all, count
        assert_equal(model, expected)


def test_a_file_that_was_cut_or_belongs_to_another_model(run):
    with pytest.raises(RunError, match=r"0000/sequential/dense/kernel has shape \(2, 3\), expected \(2, 4\)"):
        run.load_best_weights(make_model(4), 5)
    run.best_weights.write_bytes(run.best_weights.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"best\.safetensors does not fit"):
        run.load_best_weights(make_model(), 5)


def write(run, arrays, **metadata):
    run.best_weights.write_bytes(save(arrays, {"sha256": json.dumps(metadata)} if metadata else None))


def test_files_of_others(run):
    arrays = load_file(run.best_weights)
    write(run, arrays)
    with pytest.raises(RunError, match="no weights file of this project"):
        run.load_best_weights(make_model(), 5)
    write(run, arrays, weights="0")
    with pytest.raises(RunError, match="its checksum does not match"):
        run.load_best_weights(make_model(), 5)
    write(run, {"large": np.zeros(2**20)}, weights="0")
    with pytest.raises(RunError, match=r"it has 8,388,\d+ bytes; expected at most"):
        run.load_best_weights(make_model(), 5)


def test_numbers_of_another_kind(run, monkeypatch):
    model = make_model()
    names = list(name_variables(model.weights))
    monkeypatch.setattr("shared.runs.weights.to_array", lambda weight: weight.numpy().astype(np.int32))
    run.save_best_weights(model)
    with pytest.raises(RunError, match=f"{names[0]} has type int32, expected float32"):
        run.load_best_weights(model, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(run, monkeypatch, bad):
    before, model = run.best_weights.read_bytes(), make_model()
    model.layers[1].bias.assign([0.0, bad, 0.0])
    with pytest.raises(RunError, match="NaN or infinite numbers in 0003/sequential/dense/bias"):
        run.save_best_weights(model)
    assert run.best_weights.read_bytes() == before
    monkeypatch.setattr("shared.runs.weights.check_finite", lambda arrays: None)
    run.save_best_weights(model)
    model.save_weights(run.path / "old.weights.h5")
    monkeypatch.undo()
    with pytest.raises(RunError, match="NaN or infinite numbers in 0003/sequential/dense/bias"):
        run.load_best_weights(make_model(), 5)
    run.best_weights.unlink()
    (run.path / "old.weights.h5").rename(run.path / "best.weights.h5")
    with pytest.raises(RunError, match="NaN or infinite numbers in sequential"):
        run.load_best_weights(make_model(), 5)
