"""Self-training: models label texts that have no labels, and a new model is trained on those, too."""

import gzip
import json
from collections.abc import Mapping, Sequence

import numpy as np

from sentiment.app import APP
from sentiment.config import FORMAT, SentimentConfig
from sentiment.data.load import load_texts
from sentiment.data.reviews import Review, ReviewData
from sentiment.evaluation.baseline import NBSVM
from sentiment.training.preparation import split_all
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError
from shared.system.files import write_atomic
from shared.system.progress import progress_bar

TAUGHT_FILE = "taught.jsonl.gz"
BASELINE = "nb-svm"  # the teacher that is fitted to the training reviews


def taught_texts(
    config: SentimentConfig,
    run: RunFolder,
    data: ReviewData,
    words: Mapping[str, Sequence[Sequence[str]]],
    labels: Sequence[str],
    resume: bool,
) -> tuple[list[Sequence[str]], np.ndarray]:
    """The texts that the teachers label, each once and none that is labelled already.

    Args:
        config: settings of the run.
        run: its folder; texts and labels are saved there.
        data: the labelled reviews.
        words: the words of each review, by the names of the splits.
        labels: the names of the labels.
        resume: whether to read what the folder holds.

    Returns:
        The words of each text, and their probabilities `(texts, labels)`; nothing without teachers.

    Raises:
        UserError: there are no such texts, or a teacher cannot be used.
    """
    if not config.teachers:
        return [], np.zeros((0, len(labels)), np.float32)
    if resume and (run.path / TAUGHT_FILE).exists():
        texts, probabilities = load_taught(run)
        return split_all(texts), probabilities
    texts = load_texts(config.unlabelled, **config.pick(("text_column", *FORMAT)))
    first: dict[tuple[str, ...], str] = {}  # the first text of these words
    for words_of_text, text in zip(split_all(texts), texts, strict=True):
        first.setdefault(tuple(words_of_text), text)
    for reviews in words.values():
        for words_of_text in reviews:
            first.pop(tuple(words_of_text), None)
    if not first:
        raise UserError(
            "--unlabelled contains only texts that are already labelled: name other texts, or omit the option"
        )
    texts = list(first.values())
    probabilities = teach(config.teachers, texts, data.split("train"), labels)
    save_taught(run, texts, probabilities)
    return list(first), probabilities


def teach(
    teachers: Sequence[str], texts: Sequence[str], reviews: Sequence[Review], labels: Sequence[str]
) -> np.ndarray:
    """The mean of the teachers' probabilities.

    Sources: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network"; Xie et al. 2020,
    "Self-training with Noisy Student improves ImageNet classification".

    Args:
        teachers: presets, run folders or exported models; or `"nb-svm"`, which is fitted to the reviews.
        texts: the texts to label.
        reviews: the labelled training reviews.
        labels: the names of the labels, in the order of the result.

    Returns:
        Probabilities `(texts, labels)` float32.

    Raises:
        UserError: there is no such teacher, or it has other labels.
    """
    sums = np.zeros((len(texts), len(labels)))
    for name in teachers:
        with progress_bar(title=f"taught by {name}", unit="text", total=len(texts)) as bar:
            sums += _columns(_teacher(name, reviews), name, labels, texts, bar.update)
    return (sums / len(teachers)).astype(np.float32)


def _teacher(name, reviews):
    if name == BASELINE:
        return NBSVM().fit(reviews)
    return APP.load(name)


def _columns(teacher, name, labels, texts, advance):
    if sorted(teacher.labels) != sorted(labels):
        raise UserError(
            f"The teacher {name} knows the labels {', '.join(teacher.labels)}; those of the reviews are "
            f"{', '.join(labels)}. Name a teacher with the same labels."
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
            f"The teachers' labels in {path} cannot be read ({error}). Start a new run in another folder."
        ) from error
