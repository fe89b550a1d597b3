"""Writing the SavedModel of a character model, and the proof that it answers as the model does."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from charlm.generate import generate
from charlm.model.exported import SETTINGS_FILE, VOCABULARY_FILE
from charlm.model.signatures import charlm_signatures, nested, state_names
from shared.export import ExportError, call_alone, export_saved_model
from shared.text.vocabulary import tokens_text

TOLERANCE = 1e-4  # by which a number may differ in the check
REPEATS = 3  # samples of each prompt in the check


def export_charlm(model, path: Path) -> None:
    """Writes the SavedModel of a character model at `path` and checks it against the model.

    Args:
        model: a `charlm.model.CharLM`.
        path: folder to make. Beside the SavedModel it gets the model's settings and its vocabulary.

    Raises:
        UserError: `path` is taken.
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
    """Compares the SavedModel, in a process of its own, with the model on texts made for it.

    Raises:
        ExportError: a text, a score, logits or a state differ.
    """
    cases = {**_text_cases(model), **_step_cases(model)}
    answers = call_alone(folder, {signature: inputs for signature, (inputs, _) in cases.items()})
    for signature, (_, outputs) in cases.items():
        for name, expected in outputs.items():
            found = answers[signature][name]
            same = _same_texts if found.dtype == object else _same_numbers
            if not same(found, np.asarray(expected)):
                raise ExportError(
                    f"The SavedModel's {signature} gives {name} {_short(found)} where the Python model gives "
                    f"{_short(expected)}. Nothing was written."
                )


def _text_cases(model) -> dict:
    """Inputs of the signatures for whole texts, and what the Python model makes of them."""
    letters = np.array(model.vocabulary.characters or ["a"])
    drawn = np.random.default_rng(0).choice(letters, 70)
    texts = ["", "".join(drawn[:1]), "".join(drawn), "".join(drawn[:9]) + "\u00e9\U0001f600\0\n"]
    prompts = texts * REPEATS
    cases = {}
    for signature, options in (("generate", {"top_p": 0.9}), ("serving_default", {"top_k": 9})):
        told = {"top_k": 0, "top_p": 1.0, "temperature": 0.8, "seed": 3, "count": 40} | options
        dtypes = {"top_p": np.float32, "temperature": np.float32, "seed": np.int64}
        inputs = {name: dtypes.get(name, np.int32)(value) for name, value in told.items()}
        expected = generate(model, prompts, 40, temperature=0.8, seed=3, **options)
        cases[signature] = (inputs | {"prompts": _strings(prompts)}, {"texts": _strings(expected)})
    nats = [_nats_per_character(model, text) for text in texts]
    counts = [len(text) for text in texts]
    cases["score"] = ({"texts": _strings(texts)}, {"nats": nats, "characters": counts})
    return cases


def _step_cases(model) -> dict:
    """Inputs of the signatures for tokens, and what the Python model makes of them."""
    tokens = np.arange(15, dtype=np.int32).reshape(3, 5) * 17 % len(model.vocabulary)
    zeros = model.get_initial_state(3)
    names = state_names(zeros)
    states = [
        np.tanh(tokens[:, :1] - np.arange(zero.shape[-1], dtype=np.float32), dtype=np.float32)
        for zero in tf.nest.flatten(zeros)
    ]
    given = dict(zip(names, states, strict=True))
    states, answers = nested(given), []
    for time in range(5):
        logits, states = model.step(tokens[:, time], states)
        answers.append((logits, dict(zip(names, tf.nest.flatten(states), strict=True))))
    return {
        "initial_state": ({"batch_size": np.int32(3)}, dict(zip(names, tf.nest.flatten(zeros), strict=True))),
        "step": ({"tokens": tokens[:, 0], **given}, {"logits": answers[0][0], **answers[0][1]}),
        "read": (
            {"tokens": tokens, **given},
            {"logits": np.stack([logits for logits, _ in answers], axis=1), **answers[-1][1]},
        ),
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


def _same_texts(found, expected):
    """Whether texts agree, each of which is there several times, with other random numbers."""
    # In a rare case rounding turns a draw, and all that follows it: most of each text's samples must agree.
    agree = (found == expected).reshape(REPEATS, -1).sum(axis=0)
    return bool(np.all(agree > REPEATS / 2))


def _same_numbers(found, expected):
    return found.shape == expected.shape and bool(np.all(np.abs(found - expected) <= TOLERANCE))


def _short(values):
    text = " ".join(str(np.asarray(values)).split())
    return text if len(text) < 200 else text[:200] + "..."
