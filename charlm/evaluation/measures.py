"""All that a text costs a character model, side by side: carried, windowed, dynamic, and an n-gram model.

TensorFlow is imported when something is measured, so that a command line is understood without it.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from charlm.data.ids import encode_split
from charlm.data.text_data import TextData
from charlm.evaluation.ngram import NGramModel, best_order

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM
    from charlm.model.scoring import Score

# Characters up to which the n-gram model counts a text; it needs up to 50 bytes for each and each order.
LARGEST_COUNTED = 10_000_000


class Row(NamedTuple):
    """One line of the table: what was measured, for programs and for people, its score, and its settings."""

    kind: str
    name: str
    score: "Score"
    settings: dict[str, Any]


def measure(
    model: "CharLM",
    ids: np.ndarray,
    data: TextData,
    split: str,
    *,
    window: int = 256,
    dynamic: Mapping[str, Any] | None = None,
    baseline: bool = True,
) -> tuple[list[Row], list[str]]:
    """Scores a split of a text in several ways.

    The n-gram model, and dynamic evaluation for the usual size of its gradients, learn from the training part
    of the text, and only where that is no part of the split.

    Args:
        model: a `charlm.model.CharLM`, or without `dynamic`, a `charlm.model.exported.ExportedCharLM`.
        ids: the split's tokens.
        data: the text.
        split: name of the split, or `"all"`.
        window: tokens from one cold start of the windowed score.
        dynamic: `segment`, `learning_rate` and `decay` of `dynamic.dynamic`, or None not to do it.
        baseline: whether to fit and score an n-gram model, its order chosen by the training part too.

    Returns:
        The rows, and for what could not be done as asked, the reason.

    Raises:
        ValueError: the split has less than two characters, or a setting cannot be used.

    Example:

    >>> from charlm.data import load_text
    >>> from charlm.model.char_lm import CharLM
    >>> model, data = CharLM("helo", units=5, depth=1, embedding_size=3), load_text("hello")
    >>> rows, reasons = measure(model, model.vocabulary.encode("hello"), data, "validation")
    >>> [row.kind for row in rows], [row.score.characters for row in rows]
    (['carried', 'windowed'], [4, 4])
    """
    from charlm.model.scoring import Scorer

    scorer, reasons = Scorer(model, window=window), []
    with _progress("carried", len(ids) - 1) as advance:
        rows = [Row("carried", "recurrent, carried", scorer.carried(ids, progress=advance), {})]
    name = f"recurrent, windowed, cold every {window} tokens"
    rows.append(Row("windowed", name, scorer.windowed(ids), {"window": window}))
    no_baseline = _no_baseline(data, split) if baseline else None
    train = None
    if (dynamic is not None or (baseline and not no_baseline)) and not overlaps_training(data, split):
        train = encode_split(data, "train", model.vocabulary)
    if dynamic is not None:
        rows.append(_dynamic(model, ids, train, **dynamic))
        if train is None:
            reasons.append(
                "Dynamic evaluation had no training part apart from this text, so it used plain SGD."
            )
    if no_baseline:
        reasons.append(f"No n-gram model: {no_baseline}.")
    elif baseline:
        rows.append(_baseline(ids, train, len(model.vocabulary)))
    return rows, reasons


def overlaps_training(data: TextData, split: str) -> bool:
    """Whether a split holds characters of the training part."""
    if split == "all":
        return True
    (first, last), (start, stop) = data.ranges["train"], data.ranges[split]
    return first < stop and start < last


@contextlib.contextmanager
def _progress(title: str, tokens: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, where that is a terminal; gives the function that moves it on."""
    with tqdm(total=tokens, desc=title, unit="token", leave=False, disable=None) as bar:
        yield bar.update


def _dynamic(model, ids, train, *, segment, learning_rate, decay) -> Row:
    """Dynamic evaluation; without training text, by plain SGD."""
    from charlm.evaluation.dynamic import RATE, SGD_RATE, dynamic, gradient_rms

    rule, usual = ("SGD", SGD_RATE) if train is None else ("RMS", RATE)
    rms = None if train is None else gradient_rms(model, train, segment=segment)
    learning_rate = usual if learning_rate is None else learning_rate
    options = {"segment": segment, "learning_rate": learning_rate, "decay": decay}
    with _progress("dynamic", len(ids) - 1) as advance:
        score = dynamic(model, ids, rms=rms, progress=advance, **options)
    name = f"recurrent, dynamic, {rule} every {segment} tokens"
    return Row("dynamic", name, score, {"rule": rule, **options})


def _no_baseline(data: TextData, split: str) -> str | None:
    """Why there is no n-gram model, or None where there can be one."""
    if overlaps_training(data, split):
        return "the training part, to which it would be fitted, is in the text that is measured"
    if (characters := max(data.characters("train"), data.characters(split))) > LARGEST_COUNTED:
        return f"{characters:,} characters are more than the {LARGEST_COUNTED:,} that it counts in memory"
    return None


def _baseline(ids, train, vocabulary_size) -> Row:
    from charlm.model.scoring import score_of

    order = best_order(train, vocabulary_size)
    nats = NGramModel.fit(train, vocabulary_size, order).nats(ids)
    # The first token is given, as it is to the recurrent model.
    score = score_of(float(nats[1:].sum()), ids)
    return Row("baseline", f"Kneser-Ney {order}-gram, carried", score, {"order": order})


def table(rows: Sequence[Row]) -> str:
    """The scores as text for people, one a line."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  nats/char  bits/char  perplexity"]
    for row in rows:
        score = row.score
        figures = (
            f"{score.nats_per_character:9.4f}  {score.bits_per_character:9.4f}  {score.perplexity:10.4f}"
        )
        lines.append(f"{row.name:{width}}  {figures}")
    return "\n".join(lines)


def figures(row: Row) -> dict[str, Any]:
    """The score and settings of a row for JSON, which has no infinity and no NaN: None stands for both."""
    names = ("nats", "nats_per_character", "bits_per_character", "perplexity")
    found = {name: getattr(row.score, name) for name in names}
    found = {name: value if math.isfinite(value) else None for name, value in found.items()}
    return {**found, **row.settings}
