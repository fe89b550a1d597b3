"""Which cells tell quotations, lines, capitals or speakers apart, as Karpathy et al. 2015 found by eye."""

import re
from typing import NamedTuple

import numpy as np


class Property(NamedTuple):
    """A property of each character of a text.

    Attributes:
        name: of the property, for a reader.
        values: `(characters,)` float.
    """

    name: str
    values: np.ndarray


class Unit(NamedTuple):
    """A cell, and what it tells best.

    Attributes:
        index: of the cell, over all layers.
        property: the name of the property.
        correlation: with it, over the characters of the text; in [-1, 1].
    """

    index: int
    property: str
    correlation: float


def properties(text: str) -> list[Property]:
    """The properties of a text that differ between its characters.

    Example:

    >>> [prop.name for prop in properties('"No."\\nSo.')][:3]
    ['inside quotation marks', 'position in the line', 'position in the word']
    """
    all_properties = [
        Property("inside quotation marks", _inside(text, '"\u201c', '"\u201d')),
        Property("inside brackets", _inside(text, "([{", ")]}")),
        Property(
            "name of a speaker", _spans(text, r"(?m)^[ \t]*(?:[A-Z][A-Z' -]+[.:]?$|[A-Z][\w' ]{0,24}:)")
        ),
        Property("position in the line", _since(text, r"\n")),
        Property("position in the word", _since(text, r"\W")),
        Property("capital letter", np.array([character.isupper() for character in text], float)),
        Property("digit", np.array([character.isdigit() for character in text], float)),
        Property("end of a sentence", _spans(text, r"[.!?][\"'\u201d\u2019)]*\s?")),
    ]
    return [prop for prop in all_properties if prop.values.std() > 0]


def _inside(text: str, opening: str, closing: str) -> np.ndarray:
    """Whether each character is between marks; a mark that opens and closes does so in turn."""
    values, is_open = np.zeros(len(text)), False
    for index, character in enumerate(text):
        if is_open and character in closing:
            is_open = False
        elif character in opening:
            is_open = True
        values[index] = is_open
    return values


def _spans(text: str, pattern: str) -> np.ndarray:
    values = np.zeros(len(text))
    for match in re.finditer(pattern, text):
        values[match.start() : match.end()] = 1
    return values


def _since(text: str, pattern: str) -> np.ndarray:
    """The number of characters since the last match."""
    values = np.arange(len(text), dtype=float)
    for match in re.finditer(pattern, text):
        values[match.start() :] = np.arange(len(text) - match.start())
    return values


def sorted_units(cells: np.ndarray, text_properties: list[Property], count: int) -> list[Unit]:
    """The cells that tell properties best: the best of each property in turn, so that all are there.

    Args:
        cells: `(characters, cells)` activity.
        text_properties: from `properties`.
        count: how many cells to return, if there are so many.

    Returns:
        Cells by the size of their correlation, largest first. Without properties, the most active cells.
    """
    if not text_properties:
        order = np.argsort(-cells.std(axis=0))[:count]
        return [Unit(int(index), "varies most", 0.0) for index in order]
    values = np.stack([prop.values for prop in text_properties], axis=1)
    correlations = _standard(cells).T @ _standard(values) / len(cells)  # (cells, properties)
    order = np.argsort(-np.abs(correlations), axis=0)  # for each property the best cell first
    chosen = list(dict.fromkeys(order.reshape(-1).tolist()))[:count]
    best = np.abs(correlations).argmax(axis=1)
    units = [
        Unit(index, text_properties[best[index]].name, float(correlations[index, best[index]]))
        for index in chosen
    ]
    return sorted(units, key=lambda unit: -abs(unit.correlation))


def _standard(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1; a constant column is 0."""
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
