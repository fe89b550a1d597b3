"""What a sentiment model learns from few reviews, beside NB-SVM on the same reviews.

    python -m benchmarks.few_reviews --task renamed --sizes 20 200 400 --json renamed.json
    python -m benchmarks.few_reviews --task products --sizes 60 300
    python -m benchmarks.few_reviews --task renamed --sizes 20 200 400 --init-from none --held-out 500
    python -m benchmarks.few_reviews --data sentences.csv --sizes 2000 9000 --init-from none

Each size is trained as `python -m sentiment.train` would, with as many reviews of each label, drawn anew for
each seed; a tenth of them is the run's own validation part. Tasks:

- `imdb`: training reviews of `imdb`, measured on its validation reviews.
- `renamed`: the same with the labels gut and schlecht, so that the output layer starts at zero.
- `products`: three labels, short reviews of products in tests/fixtures; those not drawn are held out.

`--data` takes a table in place of a task; the rows that are not drawn are held out.

The preset `imdb` has learned from the training reviews of `imdb` with their labels. Only `products`, other
tables and runs with `--init-from none` show what it does for reviews that it has never seen.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from sentiment.data.load import load_reviews
from sentiment.data.parts import cut_validation
from sentiment.data.reviews import Review, ReviewData
from sentiment.evaluation.baseline import NBSVM
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number

PRODUCTS = Path(__file__).parents[1] / "tests" / "fixtures" / "product_reviews.csv"
RENAMED = {"negative": "schlecht", "positive": "gut"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.few_reviews", description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=("imdb", "renamed", "products"), default="products")
    parser.add_argument("--data", type=Path, help="table of texts and labels, in place of a task")
    parser.add_argument("--sizes", type=whole_number, nargs="+", default=[300], help="reviews (default: 300)")
    parser.add_argument("--seeds", type=whole_number, default=5, help="draws of reviews (default: 5)")
    parser.add_argument("--init-from", help="model to start from, or none (default: what suits the data)")
    parser.add_argument("--layers", choices=("all", "output"), help="default: what suits the data")
    parser.add_argument(
        "--held-out", type=whole_number, help="most held-out reviews to measure (default: all)"
    )
    parser.add_argument("--json", type=Path, help="write the figures of each run there")
    arguments = parser.parse_args(argv)
    arguments.task = arguments.data.stem if arguments.data else arguments.task
    print(describe_machine())
    rows = []
    for size in arguments.sizes:
        of_size = [_measure(arguments, size, seed) for seed in range(1, arguments.seeds + 1)]
        print(f"{arguments.task}, {size} reviews: {_summary(of_size)}", flush=True)
        rows += of_size
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _summary(rows) -> str:
    seconds = statistics.mean(row["seconds"] for row in rows)
    shown = [f"{len(rows)} runs of {seconds:.0f} s"]
    for name in ("network", "nb_svm"):
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        shown.append(f"{name} {statistics.mean(values):.2%} (standard deviation {spread:.2%})")
    return "; ".join(shown)


def _measure(arguments, size: int, seed: int) -> dict[str, object]:
    """The accuracy of the network and of NB-SVM on the held-out reviews, and the settings of the run."""
    drawn, held_out = _draw(arguments.task, arguments.data, size, seed)
    if arguments.held_out:  # evenly spread, as sources may be sorted by label
        held_out = held_out[:: -(-len(held_out) // arguments.held_out)]
    right = np.array([review.label for review in held_out])
    began = time.perf_counter()
    model, config = _train(arguments, drawn, seed)
    seconds = time.perf_counter() - began
    texts = [review.text for review in held_out]
    predicted = np.array(model.labels)[_logits(model, texts, config).argmax(axis=1)]
    baseline = NBSVM().fit(drawn)
    guessed = np.array(baseline.labels)[baseline.probabilities(texts).argmax(axis=1)]
    settings = ("init_from", "layers", "batch_size", "epochs", "learning_rate", "saved_epoch")
    return {
        "task": arguments.task,
        "reviews": size,
        "seed": seed,
        "network": float((predicted == right).mean()),
        "nb_svm": float((guessed == right).mean()),
        "held_out": len(held_out),
        "seconds": round(seconds, 1),
        **config.pick(settings),
    }


def _draw(task: str, table: Path | None, size: int, seed: int) -> tuple[list[Review], list[Review]]:
    """As many reviews of each label, and those to measure on."""
    table = PRODUCTS if task == "products" else table
    data = load_reviews(table, validation_fraction=0.0) if table else load_reviews("imdb")
    chosen = np.random.default_rng(seed)
    drawn, rest = [], []
    for label in data.labels:
        reviews = [review for review in data.split("train") if review.label == label]
        order = [reviews[index] for index in chosen.permutation(len(reviews))]
        drawn += order[: size // len(data.labels)]
        rest += order[size // len(data.labels) :]
    held_out = rest if table else list(data.split("validation"))
    if task == "renamed":
        drawn, held_out = (list(_renamed(part)) for part in (drawn, held_out))
    return drawn, held_out


def _renamed(reviews: Sequence[Review]) -> Iterator[Review]:
    return (Review(review.text, RENAMED[review.label], review.place) for review in reviews)


def _train(arguments, drawn: list[Review], seed: int):
    """The model that a run learns from the drawn reviews, and the run's settings."""
    from sentiment.app import APP
    from sentiment.config import SentimentConfig
    from sentiment.train import suit
    from sentiment.training.run import train_sentiment
    from shared.runs.folder import RunFolder

    train, validation = cut_validation(drawn, 0.1, seed)
    splits = {"train": tuple(train), "validation": tuple(validation)}
    data = ReviewData(arguments.task, "drawn", splits)
    start = "" if arguments.init_from == "none" else arguments.init_from
    config = SentimentConfig(data=(arguments.task,), seed=seed, init_from=start, layers=arguments.layers)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", vars(config), APP.name)
        config = suit(run, config, data, given=())
        train_sentiment(config, run, data)
        return APP.load(run.path), config


_POOLED: dict[bytes, np.ndarray] = {}


def _logits(model, texts: Sequence[str], config) -> np.ndarray:
    """Logits `(texts, labels)`. Where only the output layer was trained, what the network makes of a text
    without new words is the same in all runs: it is read once."""
    from sentiment.app import APP
    from sentiment.training.head import read_pooled
    from shared.runs.folder import RunFolder
    from shared.text.vocabulary import Vocabulary

    ids = [model.encode(text) for text in texts]
    if config.layers != "output":
        return model.logits(ids)
    known = len(Vocabulary.load(RunFolder.open(APP.find(config.init_from), APP.name).vocabulary_file))
    fresh = [one for one in ids if one.max() >= known or one.tobytes() not in _POOLED]
    rows = {one.tobytes(): row for one, row in zip(fresh, read_pooled(model, fresh), strict=True)}
    _POOLED.update((one.tobytes(), rows[one.tobytes()]) for one in fresh if one.max() < known)
    rows = {**_POOLED, **rows}
    pooled = np.stack([rows[one.tobytes()] for one in ids])
    return np.asarray(model.output_layer(model.normalization(pooled, training=False)))


if __name__ == "__main__":
    raise SystemExit(run_script(main))
