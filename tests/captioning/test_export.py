"""The exported captioner: image files in, the captions of the Python model out, with TensorFlow alone."""

import io
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from captioning import load_model
from captioning.config import Calibration, Search
from captioning.data.images import load_image, resize
from captioning.export import parse_arguments
from captioning.model.captioner import Captioner
from captioning.model.encoded import decode
from captioning.model.encoder import Encoder
from captioning.model.exported import SETTINGS_FILE, ExportedCaptioner
from captioning.model.signatures import caption_signatures
from captioning.prediction import export
from captioning.prediction.export import check_export, export_captioner
from shared.export import ExportError, export_saved_model
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

WORDS = ("a", "red", "dog", "caf\u00e9", "runs")
SIZE = 32
SEARCH = {"num_beams": 3, "n_best": 2, "length_penalty": 0.5, "max_length": 6}


def make_captioner(decoder="late_attention", seed=3):
    keras.utils.set_random_seed(seed)
    encoder = Encoder("small_cnn", weights=None, image_size=SIZE)
    return Captioner(Vocabulary.build([WORDS]), encoder, decoder=decoder, units=6, num_heads=2)


def picture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height))


def encode(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def captioner():
    return make_captioner()


@pytest.fixture(scope="module")
def exported(captioner, tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "model"
    export_captioner(captioner, path, SEARCH)
    return path


@pytest.fixture(scope="module")
def from_export(exported):
    return load_model(exported)


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


def assert_same(outputs, captions):
    """The outputs of a signature are these captions of `Captioner.caption`."""
    texts = [[text.decode() for text in row] for row in outputs["captions"].numpy()]
    assert texts == [[caption.text for caption in row] for row in captions]
    for name in ("log_prob", "confidence"):
        expected = [[getattr(caption, name) for caption in row] for row in captions]
        np.testing.assert_allclose(outputs[f"{name}s"], expected, atol=1e-4)


def test_files_of_all_kinds_and_sizes_in_one_batch(captioner, loaded):
    files = [
        encode(picture(40, 56, seed=1), "JPEG"),
        encode(picture(33, 70, seed=2), "PNG"),
        encode(picture(47, 31, seed=3), "GIF"),
        encode(picture(64, 35, seed=4), "BMP"),
        encode(picture(SIZE, SIZE, seed=5).convert("L"), "JPEG"),
    ]
    outputs = loaded.signatures["serving_default"](images=tf.constant(files))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "captions": (5, 2),
        "log_probs": (5, 2),
        "confidences": (5, 2),
        "abstained": (5,),
        "errors": (5,),
    }
    assert not any(outputs["errors"].numpy())
    decoded = [tf.io.decode_image(file, channels=3, expand_animations=False) for file in files]
    pixels = [captioner.encoder.resize_in_graph(tf.cast(image, tf.float32)[None])[0] for image in decoded]
    assert_same(outputs, captioner.caption_pixels(np.stack(pixels).astype(np.uint8), **SEARCH))


def test_pixels_of_any_size_give_the_captions_of_the_python_model(captioner, loaded):
    images = np.stack([np.asarray(picture(48, 41, seed=seed)) for seed in range(3)])
    outputs = loaded.signatures["pixels"](images=tf.constant(images))
    assert_same(outputs, captioner.caption_pixels(images, **SEARCH))


def test_bad_files_get_an_error_and_the_others_their_captions(loaded):
    describe = loaded.signatures["serving_default"]
    good = [encode(picture(40, 56, seed=seed), "PNG") for seed in range(3)]
    alone = describe(images=tf.constant(good))
    files = [b"", good[0], good[1][:60], b"text", good[1], good[2]]
    outputs = describe(images=tf.constant(files))
    assert [error.decode()[:24] for error in outputs["errors"].numpy()] == [
        "the file is empty (0 byt",
        "",
        "the image is damaged or ",
        "not an image, or not of ",
        "",
        "",
    ]
    for name in ("captions", "log_probs", "confidences"):
        np.testing.assert_array_equal(outputs[name].numpy()[[1, 4, 5]], alone[name])
    assert outputs["captions"].numpy()[[0, 2, 3]].tolist() == [[b"", b""]] * 3
    assert not outputs["confidences"].numpy()[[0, 2, 3]].any()
    alone = describe(images=tf.constant(files[:1]))
    assert alone["captions"].numpy().tolist() == [[b"", b""]]


CONSTRAINTS = [
    {},
    {"prefix": "A red,"},
    {"must": ["dog"]},
    {"must": ["Caf\u00e9", "runs, dog"], "never": ["zebra", "red"]},
    {"must": ["dog", "a dog"], "prefix": "dog"},
]


def constrain(loaded, images, prefix="", must=(), never=()):
    words = {name: tf.constant(texts, tf.string) for name, texts in (("must", must), ("never", never))}
    return loaded.signatures["constrained"](images=images, prefix=tf.constant(prefix), **words)


@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=str)
def test_constraints_are_inputs(constraints, captioner, loaded, from_export):
    images = np.stack([np.asarray(picture(SIZE, SIZE, seed=seed)) for seed in range(3)])
    files = tf.constant([encode(Image.fromarray(image), "PNG") for image in images])
    expected = captioner.caption(images, **SEARCH, **constraints)
    assert_same(constrain(loaded, files, **constraints), expected)
    texts = [
        [caption.text for caption in captions] for captions in from_export.caption(images, **constraints)
    ]
    assert texts == [[caption.text for caption in captions] for captions in expected]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"must": ["dog", "zebra"]}, "does not know the word 'zebra' of must"),
        ({"prefix": "a yak"}, "does not know the word 'yak' of prefix"),
        ({"must": ["dog"], "never": ["a Dog"]}, "'dog' is a word of must and of never"),
        ({"prefix": "a dog", "never": ["dog"]}, "'dog' is a word of prefix and of never"),
        ({"prefix": "a dog runs a dog runs a dog"}, "prefix and must have 8 words; a caption has at most 6"),
        ({"prefix": "a dog runs a dog a"}, "a caption of 6 words would end on 'a'"),
    ],
)
def test_constraints_that_cannot_be_met_are_explained(constraints, message, loaded, from_export):
    good = encode(picture(SIZE, SIZE), "PNG")
    outputs = constrain(loaded, tf.constant([good, b"text"]), **constraints)
    assert all(message in error.decode() for error in outputs["errors"].numpy())
    assert outputs["captions"].numpy().tolist() == [[b"", b""]] * 2
    with pytest.raises(UserError, match=message):
        from_export.caption(picture(SIZE, SIZE), **constraints)


def test_constraints_of_the_export_hold_where_no_others_are_given(captioner, tmp_path):
    search = SEARCH | {"must": ("dog",), "prefix": "red"}
    export_captioner(captioner, tmp_path / "model", search)
    loaded = load_model(tmp_path / "model")
    assert loaded.search_defaults == Search(**search)
    image = picture(SIZE, SIZE)
    for caption, expected in zip(loaded.caption(image), captioner.caption(image, **search), strict=True):
        assert caption.text == expected.text
        assert "dog" in caption.tokens
    free = loaded.caption(image, must=(), prefix="")
    assert [caption.text for caption in free] == [
        caption.text for caption in captioner.caption(image, **SEARCH)
    ]


def test_captions_of_low_calibrated_confidence_are_withheld(tmp_path):
    captioner = make_captioner()
    captioner.calibration = Calibration(slope=3.0, intercept=1.0)
    images = np.stack([np.asarray(picture(SIZE, SIZE, seed=seed)) for seed in range(3)])
    expected = captioner.caption(images, **SEARCH)
    confidences = sorted(captions[0].confidence for captions in expected)
    raw = sorted(np.exp(captions[0].log_prob / 6) for captions in expected)
    assert confidences[-1] < raw[-1]  # the calibration counts
    limit = (confidences[0] + confidences[1]) / 2
    export_captioner(captioner, tmp_path / "model", SEARCH, abstain_below=limit)
    loaded = load_model(tmp_path / "model")
    assert loaded.abstain_below == limit
    texts = [captions[0].text for captions in loaded.caption(images)]
    assert texts == [captions[0].text * (captions[0].confidence > limit) for captions in expected]
    files = tf.constant([b"text", encode(picture(SIZE, SIZE, seed=2), "PNG")])
    outputs = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](images=files)
    assert outputs["abstained"].numpy().tolist() == [False, expected[2][0].confidence < limit]
    np.testing.assert_allclose(outputs["confidences"][1], [c.confidence for c in expected[2]], atol=1e-4)


def test_exports_without_constraints_say_so(from_export, monkeypatch):
    monkeypatch.setattr(from_export, "_export", from_export._export._replace(loaded=tf.Module()))
    from_export._export.loaded.signatures = {}
    with pytest.raises(UserError, match="before exports took prefix, must and never"):
        from_export.caption(picture(SIZE, SIZE), prefix="a")


@pytest.mark.parametrize(
    ("signature", "images"),
    [
        ("serving_default", tf.zeros((0,), tf.string)),
        ("pixels", tf.zeros((0, 48, 41, 3), tf.uint8)),
        ("pixels", tf.zeros((0, 0, 0, 3), tf.uint8)),
    ],
)
def test_no_images_give_no_captions(signature, images, loaded):
    outputs = loaded.signatures[signature](images=images)
    for name in ("captions", "log_probs", "confidences"):
        assert tuple(outputs[name].shape) == (0, 2)


def test_signatures_are_flat_and_named(loaded):
    assert set(loaded.signatures) == {"serving_default", "constrained", "pixels"}
    for name, function in loaded.signatures.items():
        inputs = {"images", "must", "never", "prefix"} if name == "constrained" else {"images"}
        assert set(function.structured_input_signature[1]) == inputs
        outputs = {"captions", "log_probs", "confidences", "abstained"}
        assert set(function.structured_outputs) - {"errors"} == outputs
        assert ("errors" in function.structured_outputs) == (name != "pixels")


def test_the_graph_has_stock_operations_only(exported):
    proto = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    ops = {node.op for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes}
    assert "Conv2D" in ops
    unwanted = ("Cudnn", "PyFunc", "EagerPyFunc", "XlaCallModule", "XlaLaunch")
    assert not [name for name in ops if name.startswith(unwanted)]
    assert ops <= set(dir(tf.raw_ops))


def test_pngs_are_laid_on_white_as_the_image_loader_does():
    image = picture(7, 5)
    half = image.copy()
    half.putalpha(Image.fromarray(np.arange(0, 245, 7, dtype=np.uint8).reshape(7, 5)))
    palette = image.quantize(8)
    files = [
        encode(half, "PNG"),
        encode(half.convert("LA"), "PNG"),
        encode(palette, "PNG"),
        encode(palette, "PNG", transparency=0),
        encode(image.convert("1"), "PNG"),
        encode(image, "PNG"),
    ]
    for file in files:
        np.testing.assert_allclose(decode(tf.constant(file)), load_image(file).astype(np.float32), atol=1)


def test_a_cmyk_photograph_is_read_and_a_note_of_its_upright_side_is_not():
    cmyk = encode(picture(16, 24).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(tf.constant(cmyk)) - load_image(cmyk).astype(np.float32)).mean() < 5
    note = Image.Exif()
    note[0x0112] = 6  # to be turned by a quarter
    turned = encode(picture(16, 24), "JPEG", exif=note)
    assert load_image(turned).shape == (24, 16, 3)
    assert decode(tf.constant(turned)).shape == (16, 24, 3)


def test_an_exported_folder_is_a_captioner(captioner, from_export, tmp_path):
    assert isinstance(from_export, ExportedCaptioner)
    assert from_export.image_size == captioner.image_size
    assert from_export.search_defaults == Search(**SEARCH)
    image = np.asarray(picture(50, 34))
    Image.fromarray(image).save(tmp_path / "picture.png")
    ours = captioner.caption(image, **SEARCH)
    theirs = from_export.caption(image, **SEARCH)
    assert from_export.caption(image) == theirs
    assert from_export.caption([tmp_path / "picture.png", image]) == [theirs, theirs]
    assert from_export.caption_pixels(resize(image, SIZE)[None]) == [theirs]
    for expected, result in zip(ours, theirs, strict=True):
        assert (result.text, result.tokens) == (expected.text, expected.tokens)
        assert result.log_prob == pytest.approx(expected.log_prob, abs=1e-4)
        assert result.confidence == pytest.approx(expected.confidence, abs=1e-4)


@pytest.mark.parametrize("options", [{"num_beams": 5}, {"n_best": 1}, {"no_repeat_ngram": 2}])
def test_options_that_the_export_was_not_made_with_are_refused(options, from_export):
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(UserError, match=r"was exported with n_best=2, num_beams=3.*not possible"):
        from_export.caption(images, **options)


def test_the_graph_of_every_decoder_is_exact(tmp_path):
    for decoder in ("soft_attention", "show_and_tell"):
        captioner = make_captioner(decoder)
        signatures = caption_signatures(captioner, SEARCH)
        images = np.stack([np.asarray(picture(SIZE, SIZE, seed=seed)) for seed in range(3)])
        assert_same(signatures["pixels"](images=tf.constant(images)), captioner.caption(images, **SEARCH))


def test_the_check_catches_a_model_that_captions_otherwise(exported, loaded, monkeypatch):
    def call_here(folder, calls):  # in this process, which TensorFlow has started in already
        assert folder == exported
        return {
            name: {key: value.numpy() for key, value in loaded.signatures[name](**tensors(inputs)).items()}
            for name, inputs in calls.items()
        }

    def tensors(inputs):
        return {name: tf.constant(array) for name, array in inputs.items()}

    monkeypatch.setattr(export, "call_alone", call_here)
    with pytest.raises(ExportError, match=r"SavedModel's pixels gives .* where the Python model gives"):
        check_export(exported, make_captioner(seed=4), SEARCH)


def test_a_saved_model_of_others_is_refused(tmp_path):
    path = tmp_path / "other"
    tf.saved_model.save(tf.Module(), str(path))
    with pytest.raises(UserError, match=r"not a SavedModel of captioning\.export.* no captioner\.json"):
        load_model(path)
    (path / "charlm.json").write_text("{}")
    with pytest.raises(UserError, match=r"it has charlm\.json, and no captioner\.json"):
        load_model(path)
    for text in ("", "[1]"):
        (path / SETTINGS_FILE).write_text(text)
        with pytest.raises(UserError, match=rf"no readable {SETTINGS_FILE}"):
            load_model(path)
    for settings in ({"image_size": SIZE, "search": SEARCH}, {"image_size": SIZE}, {}):
        (path / SETTINGS_FILE).write_text(json.dumps(settings))
        with pytest.raises(UserError, match="does not load as an exported model"):
            load_model(path)


@pytest.mark.parametrize(
    "settings", [{"image_size": SIZE}, {"search": SEARCH}, {"image_size": 9, "search": 1}]
)
def test_incomplete_settings_of_an_export_are_named(settings, exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "model")
    (path / SETTINGS_FILE).write_text(json.dumps(settings))
    with pytest.raises(UserError, match=rf"{SETTINGS_FILE} is damaged"):
        load_model(path)


def test_a_damaged_export_is_refused(tmp_path, captioner):
    path = tmp_path / "model"
    export_saved_model(
        path,
        {"serving_default": tf.function(lambda: {"one": tf.constant(1)}).get_concrete_function()},
        [],
        files={SETTINGS_FILE: json.dumps({"image_size": SIZE, "search": SEARCH})},
        check=lambda folder: None,
    )
    (path / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="does not load"):
        load_model(path)


def test_options_of_the_script():
    arguments, search = parse_arguments(["--out", "there", "--n-best", "2"])
    assert (arguments.model, search.num_beams, search.n_best) == ("photos", 3, 2)
    with pytest.raises(UserError, match="give at least as many beams"):
        parse_arguments(["--out", "there", "--n-best", "4"])
