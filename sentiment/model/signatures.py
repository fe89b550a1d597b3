"""What an exported sentiment model answers to, and the proof that it answers as the Python model does."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from sentiment.model.batching import pad, softmax
from sentiment.text.graph import GraphWords, encode_texts
from shared.export import ExportError, call_alone, concrete_function

TOLERANCE = 1e-4  # by which a number may differ in the check

# Texts that the check reads, besides some made of the vocabulary's words.
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


def sentiment_signatures(model) -> tuple[dict, list]:
    """The signatures of an exported sentiment model.

    - `serving_default`: `texts` `(batch,)` string to `labels` `(batch,)` string, the most probable ones,
      `probabilities` `(batch, labels)` float32, calibrated by the model's temperature, and `label_names`
      `(labels,)` string, in the order of the probabilities.
    - `encode`: `texts` `(batch,)` string to `tokens` `(batch, time)` int32, the ids of start, words and end,
      filled up on the right, and `mask` `(batch, time)` bool, false at what is filled up.
    - `read`: `tokens` and `mask` to `logits` `(batch, labels)` float32, not yet divided by the temperature.

    A batch may be empty, and texts of any lengths may stand in one; all are read in full. Bytes of a text
    that are not UTF-8 are read as blanks.

    Args:
        model: a `sentiment.model.SentimentClassifier`.

    Returns:
        Concrete functions by the names of their signatures; and what they read, which the SavedModel has to
        hold: the variables and the lookup table.
    """
    words = GraphWords(model.vocabulary)
    names = tf.constant(list(model.labels))
    temperature = model.temperature

    def encode(texts):
        tokens, lengths = words.encode(texts)
        return {"tokens": tokens, "mask": tf.sequence_mask(lengths, tf.shape(tokens)[1])}

    def read(tokens, mask):
        # A model may not know what to do with no rows or no steps at all: one of padding stands at the end.
        rows = tf.shape(tokens)[0]
        more = [[0, tf.cast(rows < 1, tf.int32)], [0, tf.cast(tf.shape(tokens)[1] < 1, tf.int32)]]
        tokens, mask = tf.pad(tokens, more, constant_values=model.vocabulary.PAD), tf.pad(mask, more)
        return {"logits": model(tokens, mask=mask, training=False)[:rows]}

    def serving_default(texts):
        logits = read(**encode(texts))["logits"]
        return {
            "labels": tf.gather(names, tf.argmax(logits, axis=1)),
            "probabilities": tf.nn.softmax(logits / temperature),
            "label_names": tf.identity(names),
        }

    texts = {"texts": ((None,), tf.string)}
    tokens = {"tokens": ((None, None), tf.int32), "mask": ((None, None), tf.bool)}
    functions = {
        "serving_default": concrete_function(serving_default, **texts),
        "encode": concrete_function(encode, **texts),
        "read": concrete_function(read, **tokens),
    }
    return functions, [*(weight.value for weight in model.weights), words.table]


def check_export(folder: Path, model) -> None:
    """Compares the SavedModel, in a process of its own, with the model on texts made for it.

    The texts are of very different lengths, some longer than the model's window, and go in one batch; the
    Python model reads those it can one by one.

    Raises:
        ExportError: a token, a label, a probability or a logit differs.
    """
    texts = [*_TEXTS, *_drawn(model)]
    encoded = np.array(encode_texts(texts).numpy(), dtype=object)
    tokens, mask = pad([model.encode(text) for text in texts])
    answers = call_alone(
        folder,
        {
            "serving_default": {"texts": encoded},
            "encode": {"texts": encoded},
            "read": {"tokens": tokens, "mask": mask},
        },
    )
    logits = np.concatenate([model.logits([model.encode(text)]) for text in texts])
    expected = {
        ("encode", "tokens"): tokens,
        ("encode", "mask"): mask,
        ("read", "logits"): logits,
        ("serving_default", "probabilities"): softmax(logits / model.temperature),
        ("serving_default", "label_names"): np.array([name.encode() for name in model.labels], object),
    }
    for (signature, name), wanted in expected.items():
        _compare(signature, name, answers[signature][name], wanted)
    answer = answers["serving_default"]
    likeliest = answer["label_names"][answer["probabilities"].argmax(axis=1)]
    _compare("serving_default", "labels", answer["labels"], likeliest)


def _drawn(model) -> list[str]:
    """Texts of words that the model knows: one of one word, some short ones, one of several windows."""
    known = np.array(model.vocabulary.tokens[len(model.vocabulary.SPECIALS) :] or ["a"])
    drawn = np.random.default_rng(0).choice(known, 2 * model.window + 7)
    return [" ".join(drawn[:count]) for count in (1, 9, 70, len(drawn))]


def _compare(signature, name, found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape == wanted.shape:
        exact = wanted.dtype.kind != "f"
        same = found == wanted if exact else np.isclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)
        if np.all(same):
            return
    raise ExportError(
        f"The SavedModel's {signature} gives {name} {_short(found)} where the Python model gives "
        f"{_short(wanted)}. Nothing was written."
    )


def _short(values):
    text = " ".join(str(values).split())
    return text if len(text) < 200 else text[:200] + "..."
