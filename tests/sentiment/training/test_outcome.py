"""What counts as having learned nothing."""

import numpy as np
import pytest

from sentiment.training.outcome import check_learned
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned
from shared.training.loop import TrainResult


def check(model, path, texts, right, accuracy, validation):
    run = RunFolder.create(path, {}, "sentiment")
    run.save_best_weights(model)
    model.temperature = 0.1  # not that of the best weights
    ids = {"train": [model.encode(text) for text in texts], "validation": [model.encode("good")] * validation}
    labels = {"train": np.array(right), "validation": np.zeros(validation, int)}
    check_learned(run, model, TrainResult([], 1, {"val_accuracy": accuracy}), ids, labels)


@pytest.mark.parametrize(
    ("constant", "right", "message"),
    [
        (True, [0, 1, 2], "gives all 5 texts that were tried the label 'so so'"),
        (False, [2, 1, 0], "does no better on 5 texts than the frequencies of the labels"),
        (False, [0, 1, 2], None),
    ],
)
def test_a_model_that_tells_no_texts_apart_learned_nothing(
    make_small_model, tmp_path, constant, right, message
):
    model, texts = make_small_model(), ("good", "film", "!")
    kernel, features = np.zeros((30, 3)), model.normalization.moving_mean.shape[0]
    pooled = np.stack([np.asarray(model.pool(model.embed(model.encode(one)[None])))[0] for one in texts])
    if not constant:
        kernel = np.linalg.pinv(pooled) @ (9 * np.eye(3))
    model.output_layer.kernel.assign(kernel.reshape(features, 3))
    model.output_layer.bias.assign([0.0, 0.0, 0.5 if constant else 0.0])
    if message is None:
        check(model, tmp_path / "run", texts, right, 0.3, 2)
    else:
        with pytest.raises(NothingLearned, match=message):
            check(model, tmp_path / "run", texts, right, 0.3, 2)


def test_many_validation_texts_that_a_guess_does_not_get_right_are_proof_enough(make_small_model, tmp_path):
    model = make_small_model()
    model.output_layer.kernel.assign(np.zeros((30, 3)))
    with pytest.raises(NothingLearned):
        check(model, tmp_path / "few", ["film"], [1], 1.0 + 1e-9, 199)
    check(model, tmp_path / "many", ["film"], [1], 1.0 + 1e-9, 200)
