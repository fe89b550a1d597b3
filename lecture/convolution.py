"""Why a CNN over time is not enough: a value has to be recalled from further and further back."""

from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from lecture.recall import recall
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import line_chart

STEPS, LONGEST = 64, 40  # length of a sequence; largest distance in training
KERNEL, DILATIONS = 3, (1, 2, 4)
FIELD = 1 + (KERNEL - 1) * sum(DILATIONS)  # steps that the last output of the CNN sees
SHOWN = (0, 5, 10, 14, 15, 20, 30, 40, 50, 60)


def make_cnn():
    """Causal convolutions over time; each looks twice as far apart as the one before."""
    import keras

    inputs = features = keras.Input((STEPS, 2))
    for dilation in DILATIONS:
        layer = keras.layers.Conv1D(24, KERNEL, padding="causal", dilation_rate=dilation, activation="relu")
        features = layer(features)
    return keras.Model(inputs, keras.layers.Dense(1)(features[:, -1]), name="CNN")


def make_rnn():
    """A recurrent stack of one GRU."""
    import keras

    from shared.layers import RecurrentStack

    inputs = keras.Input((STEPS, 2))
    outputs, _ = RecurrentStack(24, cell="gru")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(outputs[:, -1]), name="RNN")


def train(model, rounds: int) -> None:
    """Trains on sequences with distances from 0 to `LONGEST`, new ones in each round."""
    import keras

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), loss, jit_compile=False)
    rng = np.random.default_rng(1)
    for _ in range(rounds):
        distances = rng.integers(0, LONGEST + 1, 3200)
        model.fit(*recall(rng, 3200, STEPS, distances), batch_size=64, verbose=0)


def accuracies(model, distances: Sequence[int]) -> dict[int, float]:
    """The share of right answers at each distance."""
    each = 400
    inputs, answers = recall(
        np.random.default_rng(2), each * len(distances), STEPS, np.repeat(distances, each)
    )
    right = (model.predict(inputs, batch_size=2000, verbose=0) > 0) == answers
    return dict(zip(distances, right.reshape(-1, each).mean(axis=1).tolist(), strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("convolution", __doc__), argv)
    import_tensorflow_quietly()
    import keras

    keras.utils.set_random_seed(1)
    distances = sorted({*SHOWN, *range(0, STEPS, 10 if arguments.quick else 2)})
    lines = {}
    print(f"The CNN sees {FIELD} steps. Accuracy by distance:")
    print(f"{'':<24}" + "".join(f"{distance:6}" for distance in SHOWN))
    for make in (make_cnn, make_rnn):
        model = make()
        train(model, 6 if arguments.quick else 12)
        by_distance = accuracies(model, distances)
        title = f"{model.name} ({model.count_params():,} weights)"
        print(f"{title:<24}" + "".join(f"{by_distance[distance]:6.2f}" for distance in SHOWN))
        lines[model.name] = (list(by_distance), list(by_distance.values()))
    chart = line_chart(
        lines,
        title=f"A value marked some steps ago: a CNN that sees {FIELD} steps, and an RNN",
        x_label=f"distance in steps (training: 0 to {LONGEST})",
        y_label="accuracy",
        y_range=(0.4, 1.02),
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
