"""SavedModels: nothing gets its name before it is proved, and the proof runs without this project."""

import json

import numpy as np
import pytest
import tensorflow as tf

from shared.export import ExportError, call_alone, export_saved_model, read_settings
from shared.system.cli import UserError


def make_signatures():
    """A scale by a variable, and strings with a mark at their end."""
    factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32, name="numbers")])
    def scale(numbers):
        return {"scaled": factor * numbers, "count": tf.shape(numbers)[0]}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None,), tf.string, name="texts"),
            tf.TensorSpec((None,), tf.int32, name="file"),  # NumPy's own argument has this name
        ]
    )
    def mark(texts, file):
        return {"marked": tf.strings.join([texts, b"!\0"]), "sizes": tf.strings.length(texts) + file}

    signatures = {"serving_default": scale.get_concrete_function(), "mark": mark.get_concrete_function()}
    return signatures, [factor]


def export(path, check=lambda folder: None, files=None):
    signatures, variables = make_signatures()
    export_saved_model(path, signatures, variables, files=files or {}, check=check)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "model"
    export(path)
    return path


def test_the_check_sees_the_whole_folder_before_it_has_its_name(tmp_path):
    path, seen = tmp_path / "new" / "model", []

    def check(folder):
        seen.append(folder)
        assert not path.exists()
        assert (folder / "saved_model.pb").exists()
        assert read_settings(folder, "notes.json") == {"size": 7}

    export(path, check, {"notes.json": json.dumps({"size": 7})})
    assert len(seen) == 1
    assert not seen[0].exists()
    assert {"saved_model.pb", "variables", "notes.json"} <= {file.name for file in path.iterdir()}
    assert [file.name for file in path.parent.iterdir()] == ["model"]


def test_a_failed_check_leaves_nothing_behind(tmp_path):
    def check(folder):
        raise ExportError("says something else")

    with pytest.raises(ExportError, match="something else"):
        export(tmp_path / "model", check)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_and_a_full_one_is_not(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    export(path)
    before = sorted(path.rglob("*"))
    with pytest.raises(UserError, match="exists already"):
        export(path)
    assert sorted(path.rglob("*")) == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_file_is_no_place_for_a_model(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        export(file)
    with pytest.raises(UserError, match=r"cannot be made: .* is a file\. Name another folder with --out"):
        export(file / "below" / "model")
    assert file.read_text() == "mine"


def test_signatures_answer_alone(exported):
    numbers = np.arange(15, dtype=np.float32).reshape(3, 5)
    texts = np.array([b"plain", b"ends in zeros\0\0", b"", b"\xff\0\xfe"], dtype=object)
    file = np.array([7, 0, 11, -2], dtype=np.int32)
    answers = call_alone(
        exported, {"serving_default": {"numbers": numbers}, "mark": {"texts": texts, "file": file}}
    )
    assert answers.keys() == {"serving_default", "mark"}
    np.testing.assert_array_equal(answers["serving_default"]["scaled"], 3 * numbers)
    assert answers["serving_default"]["count"] == 3
    assert answers["mark"]["marked"].tolist() == [text + b"!\0" for text in texts]
    np.testing.assert_array_equal(answers["mark"]["sizes"], [12, 15, 11, 1])


def test_no_texts_are_an_answer_too(exported):
    inputs = {"texts": np.array([], dtype=object), "file": np.array([], dtype=np.int32)}
    assert call_alone(exported, {"mark": inputs})["mark"]["marked"].shape == (0,)


def test_a_model_that_needs_this_process_is_found_out(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((), tf.float32, name="number")])
    def in_python(number):
        return {"doubled": tf.py_function(lambda value: 2 * value, [number], tf.float32)}

    def check(folder):
        call_alone(folder, {"serving_default": {"number": np.float32(3)}})

    signatures = {"serving_default": in_python.get_concrete_function()}
    with pytest.raises(ExportError, match="TensorFlow alone"):
        export_saved_model(tmp_path / "model", signatures, [], files={}, check=check)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [None, "not JSON", "[1, 2, 3]", "5"])
def test_settings_that_are_not_there_or_no_object_are_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ExportError, match=r"no readable settings\.json"):
        read_settings(tmp_path, "settings.json")
