"""Writing the SavedModel of a sentiment model, and checking that it answers as the model does."""

import json
from pathlib import Path

import numpy as np

from sentiment.model.batching import pad
from sentiment.model.exported import SETTINGS_FILE, VOCABULARY_FILE
from sentiment.model.signatures import sentiment_signatures
from sentiment.text.graph import encode_texts
from shared.export import ExportError, call_alone, export_saved_model
from shared.text.vocabulary import checksum, tokens_text

TOLERANCE = 1e-4  # by which a number may differ in the check

# Texts for the check; others are made of the words in the vocabulary.
_TEXTS = (
    "",
    "?",
    "I don't think it's bad: 7.5/10, well... <br /><br />It could've been WORSE!!! :-)",
    '<p class="x">&quot;Rock\u2019n\u2019roll&quot; &amp; a caf\u00e9 cafe\u0301</p> -- \u201cAmazing\u201d',
    "\U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea \U0001f469\u200d\U0001f467 \u2764\ufe0f <3",
    "\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639, \u0939\u093f\u0928\u094d\u0926\u0940, "
    "\u0e14\u0e35\u0e21\u0e32\u0e01, \u597d\u770b\uff01\u6620\u753b \uc601\ud654",
    "\u0130\u0131 \u1e9e\u00df \u039f\u0394\u039f\u03a3 \uff21\U0001d401 e\u0308\u0323",
    "NUL\0in it\x85and\u2028others\ue000\U0010ffff\ufdd0\ud800\ufffd",
)


def export_sentiment(model, path: Path) -> None:
    """Writes the SavedModel of a sentiment model at `path` and checks it against the model.

    Args:
        model: a `sentiment.model.SentimentClassifier`.
        path: folder to make. Besides the SavedModel it gets a file of the model's settings, labels and
            temperature, and its vocabulary.

    Raises:
        UserError: `path` is taken.
        shared.export.ExportError: it cannot be written, or the SavedModel differs from the model.
    """
    about = {
        "labels": list(model.labels),
        "temperature": model.temperature,
        "vocabulary": checksum(model.vocabulary.tokens),
        "settings": model.settings,
    }
    signatures, resources = sentiment_signatures(model)
    export_saved_model(
        path,
        signatures,
        resources,
        files={
            SETTINGS_FILE: json.dumps(about, indent=2, ensure_ascii=False) + "\n",
            VOCABULARY_FILE: tokens_text(model.vocabulary.tokens),
        },
        check=lambda folder: check_export(folder, model),
    )


def check_export(folder: Path, model) -> None:
    """Compares the SavedModel, in a process of its own, with the model on texts made for it.

    The texts have very different lengths, some longer than the model's window, and the SavedModel reads them
    in one batch; the Python model reads them one by one where it can.

    Raises:
        ExportError: a token, a label, a probability or a logit differs.
    """
    texts = [*_TEXTS, *_random_texts(model)]
    sequences = [model.encode(text) for text in texts]
    encoded = np.array(encode_texts(texts).numpy(), dtype=object)
    tokens, mask = pad(sequences)
    inputs = {
        "serving_default": {"texts": encoded},
        "encode": {"texts": encoded},
        "read": {"tokens": tokens, "mask": mask},
    }
    answers = call_alone(folder, inputs)
    expected = {
        ("encode", "tokens"): tokens,
        ("encode", "mask"): mask,
        ("read", "logits"): np.concatenate([model.logits([ids]) for ids in sequences]),
        ("serving_default", "probabilities"): np.stack([model.probabilities(text) for text in texts]),
        ("serving_default", "reason"): _encoded(reason or "" for reason in model.reasons(texts)),
        ("serving_default", "label_names"): _encoded(model.labels),
    }
    for (signature, name), values in expected.items():
        _compare(signature, name, answers[signature][name], values)
    answer = answers["serving_default"]
    withheld = answer["reason"] != b""
    most_probable = answer["label_names"][answer["probabilities"].argmax(axis=1)]
    _compare("serving_default", "withheld", answer["withheld"], withheld)
    _compare("serving_default", "labels", answer["labels"], np.where(withheld, b"", most_probable))


def _encoded(texts) -> np.ndarray:
    return np.array([text.encode() for text in texts], object)


def _random_texts(model) -> list[str]:
    """Texts of words that the model knows: one of one word, some short ones, one of several windows."""
    known = np.array(model.vocabulary.tokens[len(model.vocabulary.SPECIALS) :] or ["a"])
    words = np.random.default_rng(0).choice(known, 2 * model.window + 7)
    return [" ".join(words[:count]) for count in (1, 9, 70, len(words))]


def _compare(signature, name, answer, expected):
    answer, expected = np.asarray(answer), np.asarray(expected)
    if answer.shape == expected.shape:
        exact = expected.dtype.kind != "f"
        same = answer == expected if exact else np.isclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE)
        if np.all(same):
            return
    raise ExportError(
        f"The SavedModel's {signature} gives {name} {_short(answer)} where the Python model gives "
        f"{_short(expected)}. Nothing was written."
    )


def _short(values):
    text = " ".join(str(values).split())
    return text if len(text) < 200 else text[:200] + "..."
