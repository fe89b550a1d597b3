"""Self-training: models label texts that have no labels, and a new model learns from those, too."""

import gzip
import json
from collections.abc import Sequence

import numpy as np

from sentiment.data.reviews import Review
from sentiment.evaluation.baseline import NBSVM
from sentiment.evaluation.comparison import progress_bar
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError
from shared.system.files import write_atomic

TAUGHT_FILE = "taught.jsonl.gz"
BASELINE = "nb-svm"  # the name of the teacher that is fitted on the spot


def teach(
    teachers: Sequence[str], texts: Sequence[str], reviews: Sequence[Review], labels: Sequence[str]
) -> np.ndarray:
    """What the teachers think of texts: the mean of their probabilities.

    Sources: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network"; Xie et al. 2020,
    "Self-training with Noisy Student improves ImageNet classification".

    Args:
        teachers: presets, run folders or exported models; or `"nb-svm"`, which is fitted to the reviews.
        texts: the texts to label.
        reviews: the labelled reviews of the training part.
        labels: the names of the labels, in the wanted order.

    Returns:
        Probabilities `(texts, labels)` float32.

    Raises:
        UserError: there is no such teacher, or its labels are others.
    """
    sums = np.zeros((len(texts), len(labels)))
    for name in teachers:
        with progress_bar(f"taught by {name}", len(texts)) as advance:
            sums += _columns(_teacher(name, reviews), name, labels, texts, advance)
    return (sums / len(teachers)).astype(np.float32)


def _teacher(name, reviews):
    if name == BASELINE:
        return NBSVM().fit(reviews)
    from sentiment.model.classifier import SentimentClassifier

    return SentimentClassifier.from_any(name)


def _columns(teacher, name, labels, texts, advance):
    if sorted(teacher.labels) != sorted(labels):
        raise UserError(
            f"The teacher {name} knows the labels {', '.join(teacher.labels)}; those of the reviews are "
            f"{', '.join(labels)}. Name a teacher that was trained with the same labels."
        )
    order = [teacher.labels.index(label) for label in labels]
    return teacher.probabilities(texts, advance)[:, order]


def save_taught(run: RunFolder, texts: Sequence[str], probabilities: np.ndarray) -> None:
    """Writes texts and their probabilities `(texts, labels)`, an object a line.

    Raises:
        RunError: the file cannot be written.
    """

    def write(path):
        with gzip.open(path, "wt", encoding="utf-8", errors="surrogatepass") as file:
            for text, row in zip(texts, probabilities.tolist(), strict=True):
                file.write(json.dumps({"text": text, "probabilities": row}) + "\n")

    write_atomic(run.path / TAUGHT_FILE, write)


def load_taught(run: RunFolder) -> tuple[list[str], np.ndarray]:
    """The texts and their probabilities `(texts, labels)` float32, exactly as they were saved.

    Raises:
        RunError: the file cannot be read.
    """
    path = run.path / TAUGHT_FILE
    try:
        with gzip.open(path, "rt", encoding="utf-8", errors="surrogatepass") as file:
            rows = [json.loads(line) for line in file]
        return [row["text"] for row in rows], np.array([row["probabilities"] for row in rows], np.float32)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"What the teachers said cannot be read from {path} ({error}). Start a new run in another folder."
        ) from error
