"""Writes the SavedModel of a character model and checks it against the model."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from charlm.model.exported import SETTINGS_FILE, VOCABULARY_FILE, nested, state_names
from charlm.model.generate import generate
from charlm.model.signatures import charlm_signatures
from shared.export import ExportError, call_alone, export_saved_model
from shared.text.vocabulary import tokens_text

TOLERANCE = 1e-4  # for numbers
REPEATS = 3  # samples of each prompt


def export_charlm(model, path: Path) -> None:
    """Writes the SavedModel of a character model at `path` and checks it against the model.

    Args:
        model: a `charlm.model.CharLM`.
        path: folder to make. It also gets the model's settings and its vocabulary.

    Raises:
        UserError: `path` exists and is not an empty folder.
        shared.export.ExportError: it cannot be written, or the SavedModel differs from the model.
    """
    export_saved_model(
        path,
        charlm_signatures(model),
        [variable.value for variable in model.weights],
        files={
            SETTINGS_FILE: json.dumps(model.settings, indent=2) + "\n",
            VOCABULARY_FILE: tokens_text(model.vocabulary.tokens),
        },
        check=lambda folder: check_export(folder, model),
    )


def check_export(folder: Path, model) -> None:
    """Compares the SavedModel, in a process of its own, with the model on generated texts.

    Raises:
        ExportError: a text, a score, logits or a state differ.
    """
    cases = {**_text_cases(model), **_step_cases(model)}
    answers = call_alone(folder, {signature: inputs for signature, (inputs, _) in cases.items()})
    for signature, (_, outputs) in cases.items():
        for name, expected in outputs.items():
            answer = answers[signature][name]
            same = _same_texts if answer.dtype == object else _same_numbers
            if not same(answer, np.asarray(expected)):
                raise ExportError(
                    f"The SavedModel's {signature} gives {name} {_short(answer)} where the Python model "
                    f"gives {_short(expected)}. Nothing was written."
                )


def _text_cases(model) -> dict:
    """Inputs of the signatures for whole texts, and the Python model's outputs."""
    letters = np.array(model.vocabulary.characters or ["a"])
    drawn = np.random.default_rng(0).choice(letters, 70)
    texts = ["", "".join(drawn[:1]), "".join(drawn), "".join(drawn[:9]) + "\u00e9\U0001f600\0\n"]
    prompts = texts * REPEATS
    cases = {}
    for signature, options in (("generate", {"top_p": 0.9}), ("serving_default", {"top_k": 9})):
        scalars = {"top_k": 0, "top_p": 1.0, "temperature": 0.8, "seed": 3, "count": 40} | options
        dtypes = {"top_p": np.float32, "temperature": np.float32, "seed": np.int64}
        inputs = {name: dtypes.get(name, np.int32)(value) for name, value in scalars.items()}
        expected = generate(model, prompts, 40, temperature=0.8, seed=3, **options)
        cases[signature] = (inputs | {"prompts": _strings(prompts)}, {"texts": _strings(expected)})
    nats = [_nats_per_character(model, text) for text in texts]
    counts = [len(text) for text in texts]
    cases["score"] = ({"texts": _strings(texts)}, {"nats": nats, "characters": counts})
    return cases


def _step_cases(model) -> dict:
    """Inputs of the signatures for tokens, and the Python model's outputs."""
    tokens = np.arange(15, dtype=np.int32).reshape(3, 5) * 17 % len(model.vocabulary)
    zeros = model.get_initial_state(3)
    names = state_names(zeros)
    states = [
        np.tanh(tokens[:, :1] - np.arange(zero.shape[-1], dtype=np.float32), dtype=np.float32)
        for zero in tf.nest.flatten(zeros)
    ]
    first = dict(zip(names, states, strict=True))
    states, steps = nested(first), []
    for time in range(5):
        logits, states = model.step(tokens[:, time], states)
        steps.append({"logits": logits, **dict(zip(names, tf.nest.flatten(states), strict=True))})
    logits = np.stack([step["logits"] for step in steps], axis=1)
    return {
        "initial_state": ({"batch_size": np.int32(3)}, dict(zip(names, tf.nest.flatten(zeros), strict=True))),
        "step": ({"tokens": tokens[:, 0], **first}, steps[0]),
        "read": ({"tokens": tokens, **first}, {**steps[-1], "logits": logits}),
    }


def _nats_per_character(model, text):
    ids = model.vocabulary.encode(text)
    if not len(ids):
        return 0.0
    logits = model(np.array([[model.vocabulary.start, *ids[:-1]]]))
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, tf.cast(logits[0], tf.float32))
    return float(tf.reduce_sum(nats)) / len(text)


def _strings(texts):
    return np.array([text.encode() for text in texts], dtype=object)


def _same_texts(texts, expected):
    """Whether most samples of each prompt agree; each sample has its own random numbers."""
    # In rare cases rounding changes a draw, and with it the rest of a sample.
    agree = (texts == expected).reshape(REPEATS, -1).sum(axis=0)
    return bool(np.all(agree > REPEATS / 2))


def _same_numbers(numbers, expected):
    return numbers.shape == expected.shape and bool(np.all(np.abs(numbers - expected) <= TOLERANCE))


def _short(values):
    text = " ".join(str(np.asarray(values)).split())
    return text if len(text) < 200 else text[:200] + "..."
