"""The signatures of an exported character model."""

import tensorflow as tf

from charlm.text.graph import GraphText, as_utf8
from shared.decoding import sample_stream
from shared.export import concrete_function

WINDOW = 512  # tokens that are read at once: texts of any length need no more memory for it
# Ends of a text that later bytes would make a character of are at most so many U+FFFD.
UNSETTLED = 3


def charlm_signatures(model) -> dict:
    """The signatures of an exported character model.

    - `generate`, and the same as `serving_default`: `prompts` `(batch,)` string and the scalars `count` int32
      (characters to write), `temperature` float32, `top_k` int32 (0 or less: no limit), `top_p` float32 (1:
      no limit) and `seed` int64, to `texts` `(batch,)` string: what follows each prompt, as
      `charlm.generate.generate` gives it for these prompts.
    - `score`: `texts` `(batch,)` string to `nats` `(batch,)` float32, the negative log-probability of each
      text per character, and `characters` `(batch,)` int32. The first character is predicted too, from the
      vocabulary's start. A text without characters has 0 nats.
    - `initial_state`: `batch_size` int32 to the states `state_0_0`, `state_0_1`, ... (layer and number), each
      `(rows, units)`.
    - `step`: `tokens` `(rows,)` int32 and states to `logits` `(rows, vocabulary)` and new states.
    - `read`: `tokens` `(rows, time)` int32, at least one a row, and states to `logits` `(rows, time,
      vocabulary)` and new states.

    Bytes of a text that are not UTF-8 are read as U+FFFD. A `count` below 0 and a `temperature` or `top_p`
    that is not above 0 fail the call.

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
        hidden, states = model.hidden(tokens, nested(states))
        return flat(states, logits=model.score(hidden))

    write = _generate_signature(model)
    return {
        "serving_default": write,
        "generate": write,
        "score": _score_signature(model),
        "initial_state": concrete_function(initial_state, batch_size=((), tf.int32)),
        "step": concrete_function(step, tokens=((None,), tf.int32), **specs),
        "read": concrete_function(read, tokens=((None, None), tf.int32), **specs),
    }


def state_names(states) -> list[str]:
    """The flat names of states, a list over layers of lists."""
    return [f"state_{layer}_{part}" for layer, parts in enumerate(states) for part in range(len(parts))]


def nested(states: dict) -> list[list]:
    """States by their flat names as a list over layers of lists."""
    layers: dict[int, dict[int, object]] = {}
    for name, state in states.items():
        _, layer, part = name.split("_")
        layers.setdefault(int(layer), {})[int(part)] = state
    return [[layers[layer][part] for part in sorted(layers[layer])] for layer in sorted(layers)]


def _generate_signature(model):
    text = GraphText(model.vocabulary)

    def generate(prompts, count, **options):
        _check(count, **options)
        tokens, lengths, _ = text.encode(prompts)
        lengths = tf.maximum(lengths, 1)  # what follows an empty prompt in `tokens` is the start
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
    # A negation, so that a number that is none fails too.
    tf.debugging.Assert(count >= 0, ["count must be at least 0, received", count])
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        tf.debugging.Assert(value > 0.0, [f"{name} must be above 0, received", value])


def _windows(model, tokens, lengths, totals, measure):
    """Runs the model over the first `lengths` tokens of each row, a window at a time.

    Args:
        tokens: `(batch, time)`.
        lengths: `(batch,)`, at most time.
        totals: `(batch,)`, what is added up.
        measure: `measure(hidden, first, valid)` of the outputs `(batch, window, units)` from place `first`
            on, to be added to the totals.

    Returns:
        The states after them, and the totals.
    """

    def read(first, states, totals):
        window = tokens[:, first : first + WINDOW]
        valid = first + tf.range(tf.shape(window)[1]) < lengths[:, None]
        embedded = model.embed(window)  # (batch, window, embedding)
        hidden, states = model.stack(embedded, initial_state=states, mask=valid, training=False)
        return first + WINDOW, states, totals + measure(hidden, first, valid)

    longest = tf.reduce_max(lengths)
    loop = (0, model.get_initial_state(tf.shape(tokens)[0]), totals)
    _, states, totals = tf.while_loop(lambda first, *_: first < longest, read, loop)
    return states, totals


def _read(model, tokens, lengths):
    """The states after the first `lengths` tokens of each row."""
    return _windows(model, tokens, lengths, 0, lambda *_: 0)[0]


def _nats(model, tokens, targets, lengths):
    """The negative log-probability of the first `lengths` targets of each row, `(batch,)` float32."""

    def measure(hidden, first, valid):
        logits = tf.cast(model.score(hidden), tf.float32)
        wanted = targets[:, first : first + WINDOW]
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        return tf.reduce_sum(tf.where(valid, tf.cast(nats, tf.float64), 0.0), axis=1)

    _, totals = _windows(model, tokens, lengths, tf.zeros(tf.shape(lengths), tf.float64), measure)
    return tf.cast(totals, tf.float32)


def _write(model, text, tokens, states, count, options):
    """Texts `(rows,)` of `count` characters after the tokens `(rows,)`."""

    def missing(texts):
        settled = tf.strings.length(as_utf8(texts), unit="UTF8_CHAR") - UNSETTLED
        return count - tf.reduce_min(settled)

    def go_on(texts, position, tokens, states):
        more = missing(texts)
        written, tokens, states = sample_stream(
            model.step, states, tokens, count=more, position=position, **options
        )
        return tf.strings.join([texts, text.decode(written)]), position + more, tokens, states

    # A token is a character or a part of one: more tokens may be needed than characters are missing.
    loop = (tf.fill(tf.shape(tokens), ""), tf.constant(0), tokens, states)
    texts, *_ = tf.while_loop(lambda texts, *_: missing(texts) > 0, go_on, loop)
    return tf.strings.substr(as_utf8(texts), 0, count, unit="UTF8_CHAR")
