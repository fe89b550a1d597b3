"""The encoder layer: names, sizes, preprocessing, weights from files, freezing, config round trips."""

import keras
import numpy as np
import pytest
from keras import ops

from captioning.data.images import resize
from captioning.model import backbones
from captioning.model.backbones import EncoderError, find_backbone, load_weights_file
from captioning.model.encoder import Encoder
from captioning.model.pth import WeightsError

# Keras's own saving, with NumPy 2.
keras_saves = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.fixture(scope="module")
def small():
    return Encoder("small_cnn", weights=None)


def pixels(*shape, seed=3):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def picture(height, width):
    """Smooth waves with sharp bars across them: a resize has to deal with both."""
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 120 * np.sin(rows / (7 + c)) * np.cos(columns / (5 + c)) for c in range(3)]
    image = np.stack(waves, axis=-1)
    image[height // 3 : height // 2, :, 0] = 255
    image[:, width // 4 : width // 3, 1] = 0
    return image.astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "size", "grid", "channels"),
    [
        ("small_cnn", None, (8, 8), 128),
        ("small_cnn", 50, (7, 7), 128),
        ("EfficientNet_Lite0", 96, (3, 3), 1280),
        ("mobilenetv2", 96, (3, 3), 1280),
        ("MobileNetV3Small", 64, (2, 2), 576),
        ("RESNET50", 64, (2, 2), 2048),
    ],
)
def test_names_sizes_and_grids(name, size, grid, channels):
    encoder = Encoder(name, weights=None, image_size=size)
    features = encoder(pixels(3, 70, 110, 3))
    assert (encoder.grid, encoder.channels) == (grid, channels)
    assert tuple(features.shape) == (3, grid[0] * grid[1], channels)
    assert features.dtype == "float32"
    assert encoder.architecture.lower() == name.lower()


def test_cells_are_row_by_row(small):
    images = pixels(2, 64, 64, 3)
    grid = small.backbone(images.astype("float32") / 127.5 - 1.0, training=False)
    cell = np.asarray(grid)[:, 5, 2]
    np.testing.assert_allclose(np.asarray(small(images))[:, 5 * 8 + 2], cell, rtol=1e-6)


@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "ResNet50V2", "DenseNet121", "EfficientNetV2B0"])
def test_preprocessing_is_that_of_the_application(name):
    family = find_backbone(name).preprocess.__module__.rpartition(".")[2]
    images = pixels(2, 3, 5, 3).astype("float32")
    expected = getattr(keras.applications, family).preprocess_input(images.copy())
    found = find_backbone(name).preprocess(ops.convert_to_tensor(images))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6, atol=1e-4)


def test_preprocessing_differs_between_families():
    image = ops.full((1, 1, 1, 3), 255.0)
    found = {
        np.asarray(find_backbone(name).preprocess(image)).tobytes()
        for name in ("VGG16", "MobileNet", "DenseNet121")
    }
    assert len(found) == 3


def test_every_application_is_found_with_its_own_preprocessing():
    names = [name for name in backbones.backbone_names() if hasattr(keras.applications, name)]
    assert len(names) > 30
    for name in names:
        found = find_backbone(name)
        assert found.name == name
        assert found.image_size % 1 == 0
        assert 224 <= found.image_size <= 600
        assert found.preprocess.__name__ == "preprocess_input"


@pytest.mark.parametrize("name", ["EfficientNetB1", "InceptionV3"])
def test_native_sizes_are_keras_own(name):
    model = getattr(keras.applications, name)(include_top=True, weights=None)
    size = model.input_shape[1]
    assert find_backbone(name).image_size == size


def test_unknown_names_and_sizes_are_explained():
    with pytest.raises(EncoderError, match="Did you mean ResNet50"):
        Encoder("resnet5", weights=None)
    with pytest.raises(EncoderError, match="20 x 20 pixels"):
        Encoder("InceptionV3", weights=None, image_size=20)


def test_prepare_gives_what_the_graph_makes_of_the_image(small):
    """Pillow rounds after each of its two passes, TensorFlow once: no pixel differs by more than 2 levels."""
    worst = 0
    for height, width in [(37, 51), (64, 64), (111, 64), (333, 257)]:
        image = picture(height, width)
        prepared = small.prepare(image)
        assert prepared.shape == (64, 64, 3)
        assert prepared.dtype == np.uint8
        in_graph = np.asarray(small.resize_in_graph(image[None].astype("float32")))[0]
        difference = np.abs(in_graph - prepared)
        assert difference.mean() < 0.3
        worst = max(worst, difference.max())
    assert worst <= 2


def test_an_image_gives_the_features_of_its_prepared_self(small):
    image = picture(90, 130)
    raw, prepared = np.asarray(small(image[None])), np.asarray(small(small.prepare(image)[None]))
    assert np.abs(raw - prepared).mean() < 0.02 * np.abs(prepared).mean()


def test_resize_refuses_what_is_no_image():
    for wrong in (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), np.float32)):
        with pytest.raises(ValueError, match="height, width, 3"):
            resize(wrong, 3)


def test_uint8_and_float_and_unknown_sizes_agree(small):
    import tensorflow as tf

    images = np.stack([picture(40, 56), picture(40, 56)[::-1]])
    expected = np.asarray(small(images))
    np.testing.assert_array_equal(np.asarray(small(images.astype("float32"))), expected)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), "uint8")])
    def encode(batch):
        return small(batch, training=False)

    np.testing.assert_allclose(encode(images), expected, rtol=1e-4, atol=1e-5)
    exact = np.stack([small.prepare(image) for image in images])
    np.testing.assert_allclose(encode(exact), np.asarray(small(exact)), rtol=1e-4, atol=1e-5)


def test_a_batch_equals_its_singles(small):
    images = pixels(3, 64, 64, 3)
    singles = [np.asarray(small(image[None]))[0] for image in images]
    np.testing.assert_allclose(np.asarray(small(images)), singles, rtol=1e-4, atol=1e-5)


def test_a_frozen_encoder_is_in_inference_mode_in_training(small):
    encoder = Encoder.from_config(small.get_config())
    images = pixels(5, 64, 64, 3)
    encoder.trainable = False
    assert not encoder.trainable_variables
    before = encoder.fingerprint()
    np.testing.assert_array_equal(np.asarray(encoder(images, training=True)), np.asarray(encoder(images)))
    assert encoder.fingerprint() == before
    encoder.trainable = True
    assert encoder.trainable_variables
    assert np.abs(np.asarray(encoder(images, training=True)) - np.asarray(encoder(images))).max() > 0.1
    assert encoder.fingerprint() != before


def test_config_keeps_the_frozen_state_and_needs_no_weights(small):
    encoder = Encoder("small_cnn", weights=None, image_size=48, trainable=False, name="eyes")
    config = encoder.get_config()
    assert config["weights"] is None
    rebuilt = Encoder.from_config(config)
    assert (rebuilt.image_size, rebuilt.name, rebuilt.trainable) == (48, "eyes", False)
    assert not rebuilt.trainable_variables


@keras_saves
def test_an_encoder_survives_saving_in_a_model(small, tmp_path):
    inputs = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(inputs, small(inputs))
    images = pixels(2, 33, 77, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    assert loaded.layers[-1].fingerprint() == small.fingerprint()


def test_fingerprints_tell_encoders_apart(small):
    same = Encoder.from_config(small.get_config())
    assert same.fingerprint() != small.fingerprint()
    same.backbone.set_weights(small.backbone.get_weights())
    assert same.fingerprint() == small.fingerprint()
    larger = Encoder("small_cnn", weights=None, image_size=72)
    larger.backbone.set_weights(small.backbone.get_weights())
    assert larger.fingerprint() != small.fingerprint()


def test_the_small_cnn_tells_places_apart(small):
    features = np.asarray(small(np.full((1, 64, 64, 3), 128, np.uint8)))[0].reshape(8, 8, -1)
    inner = features[2:-2, 2:-2].reshape(16, -1)  # cells that padding does not reach
    assert len(np.unique(inner.round(4), axis=0)) == 16


def test_mixed_precision_keeps_pixels_and_features_in_float32():
    encoder = Encoder("small_cnn", weights=None, dtype="mixed_bfloat16")
    assert encoder.backbone.get_layer("mix").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    assert encoder(pixels(1, 64, 64, 3)).dtype == "float32"


@keras_saves
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".npz"])
def test_weights_files_fill_the_encoder(small, tmp_path, suffix):
    path = tmp_path / f"small{suffix}"
    write_weights(small.backbone, path)
    assert Encoder("small_cnn", weights=path).fingerprint() == small.fingerprint()


@keras_saves
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".npz"])
def test_weights_of_another_network_are_refused(small, tmp_path, suffix):
    path = tmp_path / f"small{suffix}"
    write_weights(small.backbone, path)
    with pytest.raises(WeightsError, match="does not hold the weights of MobileNet "):
        Encoder("MobileNet", weights=path, image_size=64)


def test_missing_damaged_and_foreign_weights_files(small, tmp_path):
    with pytest.raises(WeightsError, match="There is no weights file"):
        Encoder("small_cnn", weights=tmp_path / "nowhere.h5")
    foreign = tmp_path / "weights.txt"
    foreign.write_text("1 2 3")
    with pytest.raises(WeightsError, match="not a weights file"):
        Encoder("small_cnn", weights=foreign)
    for name in ("a.weights.h5", "a.h5", "a.keras", "a.npz"):
        damaged = tmp_path / name
        damaged.write_bytes(b"not at all")
        with pytest.raises(WeightsError, match="does not hold"):
            load_weights_file(small.backbone, damaged, "small_cnn")
    pth = tmp_path / "a.pth"
    pth.write_bytes(b"")
    with pytest.raises(WeightsError, match="efficientnet_lite0 to 2 only"):
        Encoder("small_cnn", weights=pth)


def test_imagenet_weights_that_do_not_exist_or_cannot_be_fetched(monkeypatch):
    with pytest.raises(WeightsError, match="small_cnn has no ImageNet weights"):
        Encoder("small_cnn")

    def offline(include_top, weights, input_shape):
        if weights:
            raise Exception("URL fetch failure: no route to host")
        return small_cnn(input_shape[0])

    small_cnn = backbones.small_cnn
    offline.__module__ = keras.applications.MobileNet.__module__
    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    with pytest.raises(WeightsError, match=r"could not be downloaded.*no route to host"):
        Encoder("MobileNet")


def write_weights(model, path):
    if path.suffix == ".npz":
        np.savez(path, **{weight.path: weight.numpy() for weight in model.weights})
    elif path.suffix == ".keras":
        model.save(path)
    else:
        model.save_weights(path)


def block_names(architecture, image_size):
    encoder = Encoder(architecture, weights=None, image_size=image_size)
    return encoder, [[layer.name for layer in block] for block in backbones.blocks_of(encoder.backbone)]


def test_the_blocks_of_efficientnet_lite():
    encoder, blocks = block_names("efficientnet_lite2", 64)
    assert len(blocks) == 23
    layers = [name for block in blocks for name in block]
    assert layers == [layer.name for layer in encoder.backbone.layers if layer.weights]


def test_the_blocks_of_resnet():
    _, blocks = block_names("ResNet50", 32)
    assert blocks[:2] == [["conv1_conv"], ["conv1_bn"]]
    assert len(blocks) == 2 + 3 + 4 + 6 + 3
    assert all(len({name.rsplit("_", 2)[0] for name in block}) == 1 for block in blocks[2:])
    assert blocks[-1][0] == "conv5_block3_1_conv"


@pytest.mark.parametrize("architecture", ["MobileNetV2", "DenseNet121", "EfficientNetV2B0", "small_cnn"])
def test_blocks_hold_every_layer_once(architecture):
    encoder, blocks = block_names(architecture, 64)
    names = [name for block in blocks for name in block]
    assert sorted(names) == sorted(layer.name for layer in encoder.backbone.layers if layer.weights)
    assert len(blocks) > 5


@pytest.mark.parametrize("blocks", [1, 3, 6])
def test_only_the_last_blocks_are_trained(small, blocks):
    encoder = Encoder.from_config(small.get_config())
    encoder.train_last(blocks)
    layers = [layer for block in backbones.blocks_of(encoder.backbone)[-blocks:] for layer in block]
    assert [variable.path for variable in encoder.trainable_variables] == [
        variable.path for layer in layers for variable in layer.trainable_variables
    ]
    assert encoder.trainable_variables


def test_all_blocks_are_trained_by_default_and_too_many_are_refused(small):
    encoder = Encoder.from_config(small.get_config())
    before = len(encoder.trainable_variables)
    encoder.train_last(0)
    assert len(encoder.trainable_variables) == before
    with pytest.raises(
        EncoderError,
        match="small_cnn has 8 blocks, so its last 9 cannot be trained",
    ):
        encoder.train_last(9)
