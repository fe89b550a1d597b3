"""All scores of a text: carried, windowed, dynamic evaluation, and an n-gram model for comparison."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from charlm.data.ids import encode_split
from charlm.data.text_data import TextData
from charlm.evaluation.dynamic import RATE, SGD_RATE, dynamic, gradient_rms
from charlm.evaluation.ngram import NGramModel, best_order
from charlm.model.char_lm import CharLM
from charlm.model.scoring import Score, Scorer, score_of
from shared.system.progress import progress_bar

# Characters of the longest text that the n-gram model counts; it takes up to 50 bytes for each, per order.
LARGEST_COUNTED = 10_000_000


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        kind: what was measured, for programs.
        name: the same for people.
        score: the result.
        settings: how it was measured.
    """

    kind: str
    name: str
    score: Score
    settings: dict[str, Any]


def measure(
    model: CharLM,
    data: TextData,
    split: str,
    *,
    window: int = 256,
    dynamic: Mapping[str, Any] | None = None,
    baseline: bool = True,
) -> tuple[list[Row], list[str]]:
    """Scores a split of a text in several ways.

    The n-gram model and the gradient statistics of dynamic evaluation come from the training part of the
    text, unless it overlaps the split.

    Args:
        model: a `charlm.model.CharLM`; without `dynamic`, also a `charlm.model.exported.ExportedCharLM`.
        data: the text.
        split: name of the split, or `"all"`.
        window: tokens that the windowed score predicts from each state of zeros.
        dynamic: `segment`, `learning_rate` and `decay` of dynamic evaluation; None to leave it out.
        baseline: whether to fit and score an n-gram model; its order is chosen on the training part too.

    Returns:
        The rows, and the reason for each row that could not be computed as asked.

    Raises:
        ValueError: the split has less than two characters, or a setting is out of range.

    Example:

    >>> from charlm.data import load_text
    >>> model, data = CharLM("helo", units=5, depth=1, embedding_size=3), load_text("hello")
    >>> rows, reasons = measure(model, data, "validation")
    >>> [row.kind for row in rows], [row.score.characters for row in rows]
    (['carried', 'windowed'], [4, 4])
    """
    scorer, ids, reasons = Scorer(model, window=window), encode_split(data, split, model.vocabulary), []
    with progress_bar(title="carried", unit="token", total=len(ids) - 1) as bar:
        rows = [Row("carried", "recurrent, carried", scorer.carried(ids, progress=bar.update), {})]
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
                "Dynamic evaluation used plain SGD, because this text has no separate training part."
            )
    if no_baseline:
        reasons.append(f"No n-gram model: {no_baseline}.")
    elif baseline:
        rows.append(_baseline(ids, train, len(model.vocabulary)))
    return rows, reasons


def overlaps_training(data: TextData, split: str) -> bool:
    """Whether a split shares characters with the training part."""
    if split == "all":
        return True
    (first, last), (start, stop) = data.ranges["train"], data.ranges[split]
    return first < stop and start < last


def _dynamic(model, ids, train, *, segment, learning_rate, decay) -> Row:
    """Dynamic evaluation; without training text, by plain SGD."""
    rule, usual = ("SGD", SGD_RATE) if train is None else ("RMS", RATE)
    rms = None if train is None else gradient_rms(model, train, segment=segment)
    learning_rate = usual if learning_rate is None else learning_rate
    settings = {"segment": segment, "learning_rate": learning_rate, "decay": decay}
    with progress_bar(title="dynamic", unit="token", total=len(ids) - 1) as bar:
        score = dynamic(model, ids, rms=rms, progress=bar.update, **settings)
    name = f"recurrent, dynamic, {rule} every {segment} tokens"
    return Row("dynamic", name, score, {"rule": rule, **settings})


def _no_baseline(data: TextData, split: str) -> str | None:
    """Why there is no n-gram model, or None where there can be one."""
    if overlaps_training(data, split):
        return "the training part, to which it would be fitted, overlaps the text that is measured"
    if (characters := max(data.characters("train"), data.characters(split))) > LARGEST_COUNTED:
        return f"{characters:,} characters are more than the {LARGEST_COUNTED:,} that it can count in memory"
    return None


def _baseline(ids, train, vocabulary_size) -> Row:
    order = best_order(train, vocabulary_size)
    nats = NGramModel.fit(train, vocabulary_size, order).nats(ids)
    # The first token is given, as for the recurrent model.
    score = score_of(float(nats[1:].sum()), ids)
    return Row("baseline", f"Kneser-Ney {order}-gram, carried", score, {"order": order})
