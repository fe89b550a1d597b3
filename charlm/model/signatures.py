"""The signatures of an exported character model."""

import tensorflow as tf

from charlm.model.exported import nested, state_names
from charlm.text.graph import GraphText, as_utf8
from shared.decoding import sample_stream
from shared.export import concrete_function

CHUNK = 512  # tokens read at a time, so that memory does not grow with the text
# Bytes at the end of a text that later ones may complete to a character: at most this many U+FFFD.
UNSETTLED = 3


def charlm_signatures(model) -> dict:
    """The signatures of an exported character model.

    - `generate`, also as `serving_default`: `prompts` `(batch,)` string and the scalars `count` int32
      (characters to write), `temperature` float32, `top_k` int32 (0 or less: no limit), `top_p` float32 (1:
      no limit) and `seed` int64, to `texts` `(batch,)` string: what follows each prompt, as
      `charlm.model.generate` gives it for these prompts.
    - `score`: `texts` `(batch,)` string to `nats` `(batch,)` float32, the negative log-probability of each
      text per character, and `characters` `(batch,)` int32. The first character is predicted too, from the
      vocabulary's start token. An empty text has 0 nats.
    - `initial_state`: `batch_size` int32 to the states `state_0_0`, `state_0_1`, ... (layer and number), each
      `(rows, units)`.
    - `step`: `tokens` `(rows,)` int32 and states to `logits` `(rows, vocabulary)` and new states.
    - `read`: `tokens` `(rows, time)` int32, at least one a row, and states to `logits` `(rows, time,
      vocabulary)` and new states.

    Bytes that are not UTF-8 are read as U+FFFD. The call fails if `count` is below 0, or `temperature` or
    `top_p` is not above 0.

    Args:
        model: a `charlm.model.CharLM`.

    Returns:
        Concrete functions by the names of their signatures.
    """
    start = model.get_initial_state(1)
    names = state_names(start)
    specs = {
        name: ((None, state.shape[-1]), state.dtype)
        for name, state in zip(names, tf.nest.flatten(start), strict=True)
    }

    def flat(states, **others):
        return others | dict(zip(names, tf.nest.flatten(states), strict=True))

    def initial_state(batch_size):
        return flat(model.get_initial_state(batch_size))

    def step(tokens, **states):
        logits, states = model.step(tokens, nested(states))
        return flat(states, logits=logits)

    def read(tokens, **states):
        logits, states = model.logits(tokens, nested(states))
        return flat(states, logits=logits)

    generate = _generate_signature(model)
    return {
        "serving_default": generate,
        "generate": generate,
        "score": _score_signature(model),
        "initial_state": concrete_function(initial_state, batch_size=((), tf.int32)),
        "step": concrete_function(step, tokens=((None,), tf.int32), **specs),
        "read": concrete_function(read, tokens=((None, None), tf.int32), **specs),
    }


def _generate_signature(model):
    text = GraphText(model.vocabulary)

    def generate(prompts, count, **options):
        _check(count, **options)
        tokens, lengths, _ = text.encode(prompts)
        lengths = tf.maximum(lengths, 1)  # after an empty prompt, `tokens` has the start token
        states = _read(model, tokens, lengths - 1)
        last = tf.gather(tokens, lengths - 1, batch_dims=1)
        return {"texts": _write(model, text, last, states, count, options)}

    return concrete_function(
        generate,
        prompts=((None,), tf.string),
        count=((), tf.int32),
        temperature=((), tf.float32),
        top_k=((), tf.int32),
        top_p=((), tf.float32),
        seed=((), tf.int64),
    )


def _score_signature(model):
    text = GraphText(model.vocabulary)

    def score(texts):
        tokens, lengths, characters = text.encode(texts)
        start = tf.fill([tf.shape(tokens)[0], 1], text.start)
        nats = _nats(model, tf.concat([start, tokens[:, :-1]], axis=1), tokens, lengths)
        return {"nats": nats / tf.cast(tf.maximum(characters, 1), tf.float32), "characters": characters}

    return concrete_function(score, texts=((None,), tf.string))


def _check(count, temperature, top_p, **_):
    # Comparisons with NaN are false, so it fails too.
    tf.debugging.Assert(count >= 0, ["count must be at least 0, received", count])
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        tf.debugging.Assert(value > 0.0, [f"{name} must be above 0, received", value])


def _read_chunks(model, tokens, lengths, totals, measure):
    """Runs the model over the first `lengths` tokens of each row, a chunk at a time.

    Args:
        model: the model.
        tokens: `(batch, time)`.
        lengths: `(batch,)`, at most time.
        totals: `(batch,)`, the sums to start from.
        measure: `measure(logits, first, valid)` of the logits `(batch, chunk, vocabulary)` from index `first`
            on is added to the totals; `valid` `(batch, chunk)` bool.

    Returns:
        The states after these tokens, and the totals.
    """

    def read(first, states, totals):
        chunk = tokens[:, first : first + CHUNK]
        valid = first + tf.range(tf.shape(chunk)[1]) < lengths[:, None]
        logits, states = model.logits(chunk, states, mask=valid)
        return first + CHUNK, states, totals + measure(logits, first, valid)

    longest = tf.reduce_max(lengths)
    loop = (0, model.get_initial_state(tf.shape(tokens)[0]), totals)
    _, states, totals = tf.while_loop(lambda first, *_: first < longest, read, loop)
    return states, totals


def _read(model, tokens, lengths):
    """The states after the first `lengths` tokens of each row."""
    return _read_chunks(model, tokens, lengths, 0, lambda *_: 0)[0]


def _nats(model, tokens, targets, lengths):
    """The negative log-probability of the first `lengths` targets of each row, `(batch,)` float32."""

    def measure(logits, first, valid):
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(
            targets[:, first : first + CHUNK], tf.cast(logits, tf.float32)
        )
        return tf.reduce_sum(tf.where(valid, tf.cast(nats, tf.float64), 0.0), axis=1)

    _, totals = _read_chunks(model, tokens, lengths, tf.zeros(tf.shape(lengths), tf.float64), measure)
    return tf.cast(totals, tf.float32)


def _write(model, text, tokens, states, count, options):
    """Texts `(rows,)` of `count` characters after the tokens `(rows,)`."""

    def missing(texts):
        settled = tf.strings.length(as_utf8(texts), unit="UTF8_CHAR") - UNSETTLED
        return count - tf.reduce_min(settled)

    def extend(texts, position, tokens, states):
        more = missing(texts)
        written, tokens, states = sample_stream(
            model.step, states, tokens, count=more, position=position, **options
        )
        return tf.strings.join([texts, text.decode(written)]), position + more, tokens, states

    # A token may be one byte of a character: more tokens may be needed than characters are missing.
    loop = (tf.fill(tf.shape(tokens), ""), tf.constant(0), tokens, states)
    texts, *_ = tf.while_loop(lambda texts, *_: missing(texts) > 0, extend, loop)
    return tf.strings.substr(as_utf8(texts), 0, count, unit="UTF8_CHAR")
