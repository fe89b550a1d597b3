"""Exported models behind servers: TensorFlow Serving's request format, and LitServe run for real."""

import base64
import io
import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import serving


def serve(signatures, body):
    """The answer of TensorFlow Serving to the JSON of a predict request.

    By its REST reference, https://www.tensorflow.org/tfx/serving/api_rest: `instances` (rows) or `inputs`
    (columns), {"b64": ...} for bytes; the answer has `predictions`, for which all outputs must have as many
    rows, or `outputs`.
    """
    request = json.loads(body)
    signature = signatures[request.get("signature_name", "serving_default")]
    _, specs = signature.structured_input_signature
    if "instances" in request:
        rows = [
            row if isinstance(row, dict) and "b64" not in row else dict.fromkeys(specs, row)
            for row in request["instances"]
        ]
        columns = {name: [row[name] for row in rows] for name in specs}
    else:
        given = request["inputs"]
        columns = given if isinstance(given, dict) and "b64" not in given else dict.fromkeys(specs, given)
    inputs = {name: tf.constant(_decoded(columns[name]), spec.dtype) for name, spec in specs.items()}
    outputs = {name: _shown(value.numpy()) for name, value in signature(**inputs).items()}
    if "inputs" in request:
        return {"outputs": outputs}
    sizes = {len(values) for values in outputs.values()}
    if len(sizes) > 1:
        return {"error": f"inconsistent batch size: {sizes}"}
    return {
        "predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    }


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _shown(values):
    values = values.tolist()
    if isinstance(values, list):
        return [_shown(np.array(each, object)) for each in values]
    return values.decode() if isinstance(values, bytes) else values


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.fixture(scope="module")
def captioner_export(tmp_path_factory):
    import keras

    from captioning.model.captioner import Captioner
    from captioning.model.encoder import Encoder
    from captioning.prediction.export import export_captioner
    from shared.text.vocabulary import Vocabulary

    keras.utils.set_random_seed(3)
    encoder = Encoder("small_cnn", weights=None, image_size=32)
    captioner = Captioner(Vocabulary.build([["a", "red", "dog", "runs"]]), encoder, units=6, num_heads=2)
    folder = tmp_path_factory.mktemp("exports") / "captioner"
    export_captioner(captioner, folder, {"num_beams": 2, "max_length": 5})
    return folder


@pytest.fixture(scope="module")
def photographs():
    draw = np.random.default_rng(4)
    files = []
    for height, width in ((40, 30), (33, 57), (21, 21)):
        stream = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(stream, "PNG")
        files.append(stream.getvalue())
    return files


def test_the_captioner_answers_tensorflow_serving_by_rows_and_columns(captioner_export, photographs):
    signatures = tf.saved_model.load(str(captioner_export)).signatures
    images = [b64(photographs[0]), b64(b"no image"), b64(photographs[1])]
    body = json.dumps({"signature_name": "serving_default", "instances": images})
    rows = serve(signatures, body)["predictions"]
    assert [row["errors"] == "" for row in rows] == [True, False, True]
    assert rows[1]["captions"] == [""]
    expected = signatures["serving_default"](images=tf.constant([photographs[0], photographs[1]]))
    assert [rows[0]["captions"], rows[2]["captions"]] == _shown(expected["captions"].numpy())

    named = json.dumps({"instances": [{"images": image} for image in images]})
    assert serve(signatures, named)["predictions"] == rows
    columns = serve(signatures, json.dumps({"inputs": {"images": images}}))["outputs"]
    assert columns["captions"] == [row["captions"] for row in rows]
    inputs = {"images": images[:1], "prefix": "a red", "must": ["dog"], "never": []}
    body = json.dumps({"signature_name": "constrained", "inputs": inputs})
    (caption,) = serve(signatures, body)["outputs"]["captions"][0]
    assert caption.startswith("a red")
    assert "dog" in caption.split()


def test_the_sentiment_model_answers_tensorflow_serving_by_columns_alone(tmp_path):
    from sentiment.model.classifier import SentimentClassifier
    from sentiment.prediction.export import export_sentiment
    from shared.text.vocabulary import Vocabulary

    words = Vocabulary.build([["good", "bad", "film"]])
    model = SentimentClassifier(words, ("neg", "pos", "so-so"), units=5, embedding_size=4)
    export_sentiment(model, tmp_path / "model")
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    answer = serve(signatures, json.dumps({"inputs": {"texts": ["good film", "bad"]}}))["outputs"]
    assert answer["label_names"] == ["neg", "pos", "so-so"]
    assert np.shape(answer["probabilities"]) == (2, 3)
    assert "error" in serve(signatures, json.dumps({"instances": ["good film", "bad"]}))


@pytest.fixture(scope="module")
def server(captioner_export, tmp_path_factory):
    pytest.importorskip("litserve", reason="the extra serve is not installed")
    process, port = serving.start_server(tmp_path_factory.mktemp("server"), captioner_export)
    try:
        serving.wait_until_up(process, port)
        yield port
    finally:
        serving.stop_server(process)


def test_litserve_answers_good_requests_beside_bad_ones(server, photographs):
    load = serving.Load(server, photographs, bad_share=0.5)
    for body in [*serving.BAD, *load.cut]:
        status, answer = serving.ask(server, body)
        assert status == 200
        assert answer["error"]
    clients = [threading.Thread(target=_send, args=(load, seed)) for seed in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert load.counts["good"] > 10
    assert load.counts["bad"] > 10
    assert load.faults == []


def _send(load, seed):
    import time

    load.client(seed, time.monotonic() + 3)


@pytest.mark.parametrize("body", [[], "text", 7])
def test_litserve_survives_json_that_is_no_object(server, photographs, body):
    serving.ask(server, body)
    good = {"image": base64.b64encode(photographs[0]).decode()}
    assert serving.ask(server, good)[0] == 200
