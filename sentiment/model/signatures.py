"""The signatures of an exported sentiment model."""

import tensorflow as tf

from sentiment.text.graph import GraphKnownWords, GraphWords
from shared.export import concrete_function


def sentiment_signatures(model) -> tuple[dict, list]:
    """The signatures of an exported sentiment model.

    - `serving_default`: `texts` `(batch,)` string to `labels` `(batch,)` string, the most probable ones,
      `probabilities` `(batch, labels)` float32, calibrated by the model's temperature, and `label_names`
      `(labels,)` string, in the order of the probabilities. `withheld` `(batch,)` bool says which labels are
      withheld, that is, empty, and `reason` `(batch,)` string why, by `sentiment.text.known`.
    - `encode`: `texts` `(batch,)` string to `tokens` `(batch, time)` int32, the ids of start, words and end,
      padded on the right, and `mask` `(batch, time)` bool, False at padding.
    - `read`: `tokens` and `mask` to `logits` `(batch, labels)` float32, not yet divided by the temperature.

    A batch may be empty, and its texts may have any lengths; all are read in full. Bytes that are not UTF-8
    are read as spaces.

    Args:
        model: a `sentiment.model.SentimentClassifier`.

    Returns:
        Concrete functions by the names of their signatures; and the variables and the lookup table that they
        read, which the SavedModel has to contain.
    """
    words, known_words = GraphWords(model.vocabulary), GraphKnownWords(model.known_words)
    names = tf.constant(list(model.labels))
    temperature = model.temperature

    def encode(texts):
        return masked(words.look_up(words.split(texts)))

    def masked(ids):
        tokens, lengths = words.bounded(ids)
        return {"tokens": tokens, "mask": tf.sequence_mask(lengths, tf.shape(tokens)[1])}

    def read(tokens, mask):
        # The network may fail without any row or step: one of padding is added where there is none.
        rows = tf.shape(tokens)[0]
        more = [[0, tf.cast(rows < 1, tf.int32)], [0, tf.cast(tf.shape(tokens)[1] < 1, tf.int32)]]
        tokens, mask = tf.pad(tokens, more, constant_values=model.vocabulary.PAD), tf.pad(mask, more)
        return {"logits": model(tokens, mask=mask, training=False)[:rows]}

    def serving_default(texts):
        split = words.split(texts)
        ids = words.look_up(split)
        logits, reason = read(**masked(ids))["logits"], known_words.reasons(split, ids)
        withheld = reason != ""
        return {
            "labels": tf.where(withheld, "", tf.gather(names, tf.argmax(logits, axis=1))),
            "withheld": withheld,
            "reason": reason,
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
