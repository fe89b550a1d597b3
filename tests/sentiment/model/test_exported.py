"""An exported model behind the calls of the classifier."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sentiment.app import APP
from sentiment.model.exported import SETTINGS_FILE, VOCABULARY_FILE, ExportedSentiment
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, VocabularyError


@pytest.fixture(scope="module")
def exported(small_export):
    return APP.load(small_export)


def test_an_exported_folder_is_a_model(small_model, small_run, small_export):
    from_export = APP.load(small_export)
    assert isinstance(from_export, ExportedSentiment)
    assert from_export.labels == small_model.labels
    assert from_export.vocabulary == small_model.vocabulary
    assert from_export.settings == APP.load(small_run.path).settings
    assert from_export.temperature == pytest.approx(1.7)


@pytest.mark.parametrize("number", [0, 7, 77])
def test_probabilities_are_those_of_the_model(small_model, exported, odd_texts, number):
    texts = [*odd_texts, *["good"] * 70][:number]
    done = []
    found = exported.probabilities(texts, progress=done.append)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), 3)
    np.testing.assert_allclose(found, small_model.probabilities(texts), atol=1e-5)
    assert sum(done) == len(texts)
    ids = [exported.encode(text) for text in texts]
    np.testing.assert_allclose(exported.probabilities_of_ids(ids), found, atol=1e-5)
    np.testing.assert_allclose(exported.logits(ids), small_model.logits(ids), atol=1e-5)


def test_one_text_has_one_row(exported):
    found = exported.probabilities("A good film")
    assert found.shape == (3,)
    np.testing.assert_array_equal(found, exported.probabilities(["A good film"])[0])


@pytest.fixture
def copy(small_export, tmp_path):
    return shutil.copytree(small_export, tmp_path / "copy")


def test_an_edited_vocabulary_is_refused(copy):
    file = copy / VOCABULARY_FILE
    file.write_text(file.read_text(encoding="utf-8").replace('"film"', '"movie"'), encoding="utf-8")
    with pytest.raises(VocabularyError, match="was changed after it was written"):
        APP.load(copy)


def test_the_files_of_another_model_are_refused(copy):
    Vocabulary.build([["a", "b"]]).save(copy / VOCABULARY_FILE)
    with pytest.raises(UserError, match="a vocabulary of 6 tokens, which were not written together"):
        APP.load(copy)


def test_labels_that_are_not_the_models_are_refused(copy):
    file = copy / SETTINGS_FILE
    about = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**about, "labels": ["bad", "good"]}), encoding="utf-8")
    with pytest.raises(UserError, match="a model of 3 labels, the names of 2"):
        APP.load(copy)


def test_a_damaged_export_is_refused(copy):
    (copy / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="does not load"):
        APP.load(copy)


def test_a_saved_model_of_others_is_refused(tmp_path):
    path = tmp_path / "other"
    tf.saved_model.save(tf.Module(), str(path))
    with pytest.raises(UserError, match=rf"no readable {SETTINGS_FILE}"):
        ExportedSentiment(path)
    with pytest.raises(UserError, match=rf"is not a SavedModel of sentiment\.export: .*no {SETTINGS_FILE}"):
        APP.load(path)
    (path / SETTINGS_FILE).write_text(json.dumps({}))
    with pytest.raises(UserError, match="does not load as an exported model"):
        APP.load(path)


def test_damaged_settings_are_refused(copy):
    (copy / SETTINGS_FILE).write_text(json.dumps({"labels": ["a", "b", "c"]}))
    with pytest.raises(UserError, match=rf"{SETTINGS_FILE} is damaged"):
        APP.load(copy)
