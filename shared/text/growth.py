"""A vocabulary and its weights, grown by the new tokens of new data."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from shared.system.cli import UserError
from shared.text.tokens import GLUE

NOISE = 0.1  # of a new row, as a share of the spread of the known ones
_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2013\u2014", "''\"\"---")


def check_growth(name: str, known: int, new: int) -> None:
    """Checks that new tokens would not double a vocabulary.

    Args:
        name: of the model, for the message.
        known: tokens that it has.
        new: tokens that it lacks.

    Raises:
        UserError: they would: little of what the model knows is of use then.
    """
    if new >= known:
        raise UserError(
            f"The data have {new:,} words or characters that {name} lacks, and {name} knows {known:,}: its "
            "vocabulary would double. Start from nothing with --init-from none, or leave out rare ones with "
            "a larger --min-count."
        )


def parts_of(token: str, known: Collection[str]) -> list[str]:
    """Known tokens that a new one resembles: without accent, capital or `##`, or the parts of a compound.

    Example:

    >>> parts_of("Caf\u00e9-bar", {"cafe", "bar"}), parts_of("E", {"e"}), parts_of("xylophone", {"e"})
    (['cafe', 'bar'], ['e'], [])
    """
    simple = unicodedata.normalize("NFKD", token.translate(_PLAIN))
    simple = "".join(letter for letter in simple if not unicodedata.combining(letter))
    for form in (token.removeprefix(GLUE), GLUE + token, token.lower(), simple, simple.lower()):
        if form != token and form in known:
            return [form]
    pieces = simple.lower().removeprefix(GLUE).split("-")
    return pieces if len(pieces) > 1 and all(piece in known for piece in pieces) else []


def describe_growth(name: str, wanted: int, new: Sequence[str], known: Collection[str]) -> str:
    """A sentence about the tokens of the data: how many a model knows, and how many are new."""
    alike = sum(bool(parts_of(token, known)) for token in new)
    return (
        f"Starts from {name}, which knows {wanted - len(new):,} of {wanted:,} words or characters in the "
        f"data. {len(new):,} are new, {alike:,} of them like known ones."
    )


def grow(
    array: np.ndarray,
    new: Iterable[str],
    ids: Mapping[str, int],
    random: np.random.Generator,
    axis: int = 0,
) -> np.ndarray:
    """Weights with a row more for each new token.

    The row is the mean of the rows of what the token resembles (`parts_of`), or of all rows; and in either
    case a little noise, so that no two are the same.

    Args:
        array: weights with a row for each known token along `axis`.
        new: the new tokens.
        ids: the known tokens with their rows.
        random: source of the noise.
        axis: the axis of tokens.

    Example:

    >>> weights = np.array([[1.0, 2.0], [3.0, 6.0]])
    >>> grow(weights, ["A"], {"a": 1, "b": 0}, np.random.default_rng(1)).round().tolist()
    [[1.0, 2.0], [3.0, 6.0], [3.0, 6.0]]
    """
    rows = np.moveaxis(array, axis, 0)
    alike = [[ids[part] for part in parts_of(token, ids)] for token in new]
    means = [rows[indices].mean(0) if indices else rows[list(ids.values())].mean(0) for indices in alike]
    spread = NOISE * rows.std(0)
    added = [mean + spread * random.standard_normal(np.shape(mean)) for mean in means]
    return np.moveaxis(np.stack([*rows, *added]).astype(array.dtype), 0, axis)
