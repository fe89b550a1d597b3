"""A few lines of Python: fit, predict, save, and load again."""

import warnings

import numpy as np
import pytest

from captioning import fit, load_model

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
CAPTIONS = ["a red dog", ["a blue cat", "the cat"]] * 4
SMALL = {
    "encoder": "small_cnn",
    "encoder_weights": "none",
    "image_size": 32,
    "train_encoder": True,
    "encoder_from_epoch": 1,
    "units": 8,
    "num_heads": 2,
    "min_count": 1,
    "epochs": 1,
    "validation_beams": 1,
}


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model learned nothing")  # as may be, in one step
        return fit(IMAGES, CAPTIONS, start="none", verbose=0, **SMALL)


def test_predict_takes_images_and_what_keras_takes(model):
    one, *_ = several = model.predict(list(IMAGES[:3]), max_length=5)
    assert len(several) == 3
    assert one == model.predict(IMAGES[0], max_length=5) == model.caption(IMAGES[0], max_length=5)[0].text
    inputs = {"images": IMAGES[:2].astype("float32"), "tokens": np.ones((2, 4), "int32")}
    assert model.predict(inputs, verbose=0).shape == (2, 4, len(model.vocabulary))


def test_a_saved_model_is_loaded_again(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.predict(IMAGES, max_length=6) == model.predict(IMAGES, max_length=6)
    assert loaded.run_folder.config == model.run_folder.config
