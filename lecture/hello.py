"""The lecture's "hello": four letters, three units, and every matrix and vector on the way."""

import itertools
from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import heat_map

LETTERS = "helo"
WORD = "hello"
UNITS = 3


def one_hot(text: str) -> np.ndarray:
    """`(letters, 4)`: a row for each letter, with a single 1."""
    return np.eye(len(LETTERS), dtype="float32")[[LETTERS.index(letter) for letter in text]]


def train(steps: int) -> list[np.ndarray]:
    """W_xh, W_hh, b_h, W_hy, b_y of a network that has learned to continue the word."""
    import keras

    from shared.layers import SimpleRNN

    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, len(LETTERS)))
    states, _ = SimpleRNN(UNITS)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(len(LETTERS), activation="softmax")(states))
    model.compile(keras.optimizers.Adam(0.03), "categorical_crossentropy", jit_compile=False)
    x, target = one_hot(WORD[:-1])[None], one_hot(WORD[1:])[None]
    history = model.fit(
        np.repeat(x, steps, axis=0), np.repeat(target, steps, axis=0), batch_size=1, verbose=0
    )
    print(f"mean loss over {steps} steps {history.history['loss'][0]:.3f}, at the end", end=" ")
    print(f"{model.evaluate(x, target, verbose=0):.4f} nats a letter")
    return model.get_weights()


def step(x: np.ndarray, h: np.ndarray, weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One step by hand: the new state `(3,)` and the probabilities `(4,)` of the next letter."""
    W_xh, W_hh, b_h, W_hy, b_y = weights
    h = np.tanh(x @ W_xh + h @ W_hh + b_h)
    y = np.exp(h @ W_hy + b_y)
    return h, y / y.sum()


def write(weights: Sequence[np.ndarray], letter: str, count: int) -> str:
    """A letter and those that follow it, each the likeliest one, which is the next input."""
    text, h = letter, np.zeros(UNITS)
    for _ in range(count):
        h, p = step(one_hot(text[-1])[0], h, weights)
        text += LETTERS[int(np.argmax(p))]
    return text


def vector(values: np.ndarray) -> str:
    return "[" + " ".join(f"{value:6.2f}" for value in values) + "]"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("hello", __doc__), argv)
    import_tensorflow_quietly()
    weights = train(300 if arguments.quick else 600)
    for name, weight in zip(("W_xh", "W_hh", "b_h", "W_hy", "b_y"), weights, strict=True):
        print(f"{name} {weight.shape}")
        print("\n".join("  " + vector(row) for row in np.atleast_2d(weight)))
    h, table = np.zeros(UNITS), []
    for letter, expected in itertools.pairwise(WORD):
        x = one_hot(letter)[0]
        from_input, from_state = x @ weights[0], h @ weights[1]
        h, p = step(x, h, weights)
        table.append(p)
        print(f"\nread {letter!r}   x = {vector(x)}")
        print(f"  W_xh x = {vector(from_input)}   W_hh h = {vector(from_state)}")
        print(f"  h = {vector(h)}")
        likely = LETTERS[int(np.argmax(p))]
        print(f"  p({', '.join(LETTERS)}) = {vector(p)}   likeliest {likely!r}, expected {expected!r}")
    print(f"\nwritten from 'h': {write(weights, 'h', 4)}")
    chart = heat_map(
        np.transpose(table),
        title="Probability of the next letter",
        rows=list(LETTERS),
        columns=[f"after {WORD[: t + 1]!r}" for t in range(len(table))],
        numbers=True,
        size=(560, 280),
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
