"""Shakespeare at six points of training: what a small character model writes after 0 to 1,000 steps."""

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.data.load import SHAKESPEARE, load_text
from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import line_chart

POINTS = (0, 10, 50, 200, 500, 1000)
BATCH, WINDOW, UNITS = 32, 64, 128
CHARACTERS = 2_000_000  # of the text that are read, at most
PROMPT = "KING HENRY:\n"


def training(model, ids: np.ndarray, steps: int) -> Iterator[tuple[int, float]]:
    """Trains with carried state; yields the number of steps done and the loss of the last one in nats."""
    import keras

    from charlm.training.run import language_loss
    from shared.training.step import TrainStep
    from shared.training.windows import TextWindows

    windows = TextWindows(ids, BATCH, WINDOW, steps_between=steps, seed=1)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, steps, alpha=0.1)
    carry = model.get_initial_state(windows.batch_size)
    step = TrainStep(
        model, keras.optimizers.Adam(schedule), language_loss, clip_norm=1.0, initial_carry=carry
    )
    for number, batch in enumerate(windows(1), 1):
        yield number, step(batch)[0]


def show(model, scorer, number: int, validation: np.ndarray, length: int) -> float:
    """Prints the cost of the validation text and a sample; returns the cost in bits a character."""
    from charlm.model.generate import generate

    bits = scorer.windowed(validation).nats_per_character / np.log(2)
    text = generate(model, PROMPT, length, temperature=0.7, seed=3)
    print(f"--- after {number:,} steps, {number * BATCH * WINDOW:,} characters: {bits:.2f} bits a character")
    print(PROMPT + readable(text).rstrip(), flush=True)
    return bits


def readable(text: str) -> str:
    """The text with a dot for each control character and each byte that is no character."""
    return "".join(c if c == "\n" or (c.isprintable() and c != "\ufffd") else "\u00b7" for c in text)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    parser = page_parser("shakespeare", __doc__)
    parser.add_argument(
        "--data",
        default=SHAKESPEARE,
        help="a text file in place of the plays, which come from a package (default: %(default)s)",
    )
    arguments = parse(parser, argv)
    data = load_text(arguments.data)
    import_tensorflow_quietly()
    import keras

    from charlm.data.ids import encode_split
    from charlm.model.char_lm import CharLM
    from charlm.model.scoring import Scorer
    from charlm.text.characters import CharacterVocabulary

    keras.utils.set_random_seed(1)
    vocabulary = CharacterVocabulary.build(data.chunks("train"))
    ids, validation = (encode_split(data, split, vocabulary) for split in ("train", "validation"))
    model = CharLM(vocabulary, cell="gru", units=UNITS, depth=1, embedding_size=32, seed=1)
    points = POINTS[:4] if arguments.quick else POINTS
    length, scorer, validation = 50 if arguments.quick else 160, Scorer(model), validation[:16384]
    curve = {0: show(model, scorer, 0, validation, length)}
    for number, _ in training(model, ids[:CHARACTERS], points[-1]):
        if number in points:
            curve[number] = show(model, scorer, number, validation, length)
    chart = line_chart(
        {"validation": ([number * BATCH * WINDOW / 1000 for number in curve], list(curve.values()))},
        title="Cost of a text that training does not see",
        x_label="thousand characters read",
        y_label="bits a character",
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
