"""Deeper and bidirectional, on negation: what an adjective means is decided before it, after it, or both.

"never dull" is praise, and so is "dull ? hardly .", which a network that only reads forwards cannot know yet
when it reads "dull".
"""

from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import bar_chart

GOOD = ("good", "funny", "clever", "moving", "fresh")
BAD = ("bad", "dull", "silly", "boring", "stale")
KINDS = ("none", "before", "after", "both")
FREQUENCIES = (0.5, 0.2, 0.2, 0.1)
NETWORKS = {  # depth, bidirectional
    "1 layer, forwards": (1, False),
    "2 layers, forwards": (2, False),
    "1 layer, both ways": (1, True),
    "2 layers, both ways": (2, True),
}
UNITS, LENGTH = 16, 26


def sentence(rng: np.random.Generator) -> tuple[list[str], dict[int, tuple[bool, str]]]:
    """Words, and for the index of each adjective whether it praises and where its negation is."""
    words, adjectives = [], {}
    for clause in range(rng.integers(1, 3)):
        kind = rng.choice(KINDS, p=FREQUENCIES)
        words += ["but"] * clause + [rng.choice(("the", "this")), rng.choice(("film", "plot", "cast")), "is"]
        if kind in ("before", "both"):
            words.append(rng.choice(("not", "never")))
        if rng.random() < 0.5:
            words.append(rng.choice(("very", "really")))
        praises = bool(rng.random() < 0.5)
        adjectives[len(words)] = (praises ^ (kind in ("before", "after")), str(kind))
        words.append(rng.choice(GOOD if praises else BAD))
        words += ["they", "say"] if rng.random() < 0.5 else []
        words += ["?", rng.choice(("no", "hardly")), "."] if kind in ("after", "both") else ["."]
    return [str(word) for word in words], adjectives


WORDS = ("the", "this", "film", "plot", "cast", "is", "not", "never", "very", "really", "they", "say", "but")
VOCABULARY = {word: index for index, word in enumerate(("", *WORDS, *GOOD, *BAD, "?", "no", "hardly", "."))}


def make_data(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(count, LENGTH)`: ids, 0 at padding; 1 where an adjective praises; the kind of its negation or -1."""
    rng = np.random.default_rng(seed)
    ids, praise = np.zeros((count, LENGTH), np.int32), np.zeros((count, LENGTH), np.float32)
    kinds = np.full((count, LENGTH), -1)
    for row in range(count):
        words, adjectives = sentence(rng)
        ids[row, : len(words)] = [VOCABULARY[word] for word in words]
        for index, (is_praise, kind) in adjectives.items():
            praise[row, index], kinds[row, index] = is_praise, KINDS.index(kind)
    return ids, praise, kinds


def make_model(depth: int, bidirectional: bool):
    """From ids to a logit for each word, `(batch, LENGTH, 1)`."""
    import keras

    from shared.layers import RecurrentStack

    inputs = keras.Input((LENGTH,), dtype="int32")
    embedded = keras.layers.Embedding(len(VOCABULARY), 8)(inputs)
    stack = RecurrentStack(UNITS, cell="gru", depth=depth, bidirectional=bidirectional)
    outputs, _ = stack(embedded, mask=inputs > 0)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), loss, jit_compile=False)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("negation", __doc__), argv)
    import_tensorflow_quietly()
    import keras

    ids, praise, kinds = make_data(1, 3000)
    epochs = 4 if arguments.quick else 8
    test_ids, test_praise, test_kinds = make_data(2, 1000)
    print("for example: " + " ".join(sentence(np.random.default_rng(8))[0]))
    print("right about an adjective, by where its negation is")
    print(f"{'':<22}" + "".join(f"{kind:>8}" for kind in KINDS))
    bars = {}
    for name, (depth, bidirectional) in NETWORKS.items():
        keras.utils.set_random_seed(1)
        model = make_model(depth, bidirectional)
        counts = (kinds >= 0).astype(np.float32)
        model.fit(ids, praise[..., None], sample_weight=counts, batch_size=50, epochs=epochs, verbose=0)
        right = (model.predict(test_ids, batch_size=500, verbose=0)[..., 0] > 0) == test_praise
        bars[name] = [float(right[test_kinds == kind].mean()) for kind in range(len(KINDS))]
        print(f"{name:<22}" + "".join(f"{share:8.2f}" for share in bars[name]))
    chart = bar_chart(
        KINDS,
        bars,
        title="Right about an adjective, by where its negation is",
        x_label="negation",
        y_label="accuracy",
        y_range=(0, 1),
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
