"""A reading as one HTML page that opens from disk."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charlm.model.char_lm import CharLM
from charlm.pages.cells import properties, sorted_units
from charlm.pages.reading import GATES, Reading, read
from charlm.pages.weights import size_in_int8, weights_of
from charlm.text.characters import BYTES
from shared import __version__
from shared.system.cli import UserError
from shared.visual.pages import LARGEST, TEXT_OF_BYTES, command_line, packed, page_environment

LONGEST = 20_000  # tokens of a text that a page shows
FIXED = 120_000  # bytes of a page without its arrays, generously
MOST_BITS = 65.535


class Plan(NamedTuple):
    """How much of a reading fits on a page.

    Attributes:
        tokens: from the start of the text.
        top: expected tokens at each token.
        distances: tokens back of the memory.
        units: cells of the first model.
        writes: whether the weights of the first model fit, too.
    """

    tokens: int
    top: int
    distances: int
    units: int
    writes: bool


def plan(models: Sequence[CharLM], tokens: int) -> Plan:
    """What fits on a page of `LARGEST` bytes for a text of so many tokens.

    Example:

    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> plan([model], 1000)
    Plan(tokens=1000, top=5, distances=64, units=96, writes=True)
    """
    room = (LARGEST - FIXED) / TEXT_OF_BYTES
    each_unit = 1 + sum(map(bool, GATES[models[0].stack.cell]))  # bytes at each token
    least = 2 + len(models) * (2 + 4 * 3 + 8) + each_unit
    tokens = min(tokens, LONGEST, int(room / least))
    weights = size_in_int8(models[0])
    writes = models[0].stack.cell == "lstm" and weights + least * tokens <= room
    each = (room - writes * weights) / tokens - 2
    top = 5 if each > 200 * len(models) else 3
    distances = int(np.clip(each / 4 / len(models), 8, 64))
    left = each - len(models) * (2 + 4 * top + distances)
    return Plan(tokens, top, distances, int(np.clip(left / each_unit, 1, 96)), writes)


def make_page(
    models: Mapping[str, CharLM], text: str, source: str, progress: Callable[[int], object] | None = None
) -> str:
    """The page of a text, which some models read.

    Args:
        models: by name; the cells of the first one are shown.
        text: at least one character; of a long one, only the beginning is shown.
        source: where the text comes from, for the reader.
        progress: called with the number of tokens that a model has read since its last call.

    Returns:
        HTML text.

    Raises:
        UserError: the models spell the text with different tokens.
    """
    ids = [model.vocabulary.encode(text) for model in models.values()]
    if len({len(tokens) for tokens in ids}) > 1:
        raise UserError(
            "The models cannot be compared on this text: some spell a character in bytes, others know it. "
            "Give a text of characters that all of them know."
        )
    fits = plan(list(models.values()), len(ids[0]))
    note = ""
    if fits.tokens < len(ids[0]):
        note = f"It has {len(ids[0]):,} characters; the first {fits.tokens:,} are shown."
    ids = [tokens[: fits.tokens] for tokens in ids]
    readings = [
        read(model, tokens, top=fits.top, distances=fits.distances, progress=progress)
        for model, tokens in zip(models.values(), ids, strict=True)
    ]
    return render(_short_names(models), readings, ids[0], fits, source, note)


def _short_names(models: Mapping[str, CharLM]) -> dict[str, CharLM]:
    """The models by the last part of their names, where those differ."""
    short = {Path(name).name: model for name, model in models.items()}
    return short if len(short) == len(models) else dict(models)


def render(
    models: dict[str, CharLM],
    readings: Sequence[Reading],
    ids: np.ndarray,
    fits: Plan,
    source: str,
    note: str = "",
) -> str:
    """The page of a text that some models have read.

    Args:
        models: by name; the cells of the first one are shown.
        readings: of each model.
        ids: `(time,)` the tokens of the text for the first model; all have as many.
        fits: what to show, see `plan`.
        source: where the text comes from, for the reader.
        note: what was left out, for the reader.

    Returns:
        HTML text.
    """
    first = next(iter(models.values()))
    tokens = [_shown(first, token) for token in ids]
    # A token that is one byte of a character counts as a character of its own.
    text = "".join(token if len(token) == 1 else "\ufffd" for token in tokens)
    units = sorted_units(readings[0].cells, properties(text), fits.units)
    data = {
        "tokens": tokens,
        "models": [
            _model(name, model, reading)
            for (name, model), reading in zip(models.items(), readings, strict=True)
        ],
        "units": _units(first, readings[0], units),
        "weights": weights_of(first) if fits.writes else None,
    }
    template = page_environment("charlm", "pages").get_template("page.html.j2")
    return template.render(
        title=f"How {next(iter(models))} reads",
        data=data,
        source=source,
        note=note,
        cell=first.stack.cell,
        why_not=_why_not(first),
        command=command_line(),
        version=__version__,
    )


def _why_not(model: CharLM) -> str:
    """Why the page does not write on, if it does not."""
    if model.stack.cell != "lstm":
        return f"Pages write with an LSTM; this model is a {model.stack.cell.upper()} network."
    return "The weights of this model do not fit on a page beside this text."


def _shown(model: CharLM, token: int) -> str:
    """A token as a reader sees it: its character, or a byte as a number."""
    return f"<{token:02X}>" if token < BYTES else model.vocabulary.characters[token - BYTES]


def _model(name: str, model: CharLM, reading: Reading) -> dict[str, Any]:
    # Of each row, the largest norm is 255; the root makes weak connections visible.
    memory = np.sqrt(reading.memory / np.maximum(reading.memory.max(axis=1, keepdims=True), 1e-30))
    return {
        "name": name,
        "cell": model.stack.cell,
        "vocabulary": [_shown(model, token) for token in range(len(model.vocabulary))],
        "bits": packed(np.round(1000 * np.minimum(reading.bits, MOST_BITS)).astype(np.uint16)),
        "expected": packed(reading.expected.astype(np.uint16)),
        "probabilities": packed(np.round(65535 * reading.probabilities).astype(np.uint16)),
        "top": reading.expected.shape[1],
        "memory": packed(np.round(255 * memory).astype(np.uint8)),
        "distances": reading.memory.shape[1],
        "mean_bits": round(float(reading.bits.mean()), 3),
    }


def _units(model: CharLM, reading: Reading, units) -> dict[str, Any]:
    """The chosen cells, cell by cell: names, what they tell, activity and gates."""
    indices = [unit.index for unit in units]
    width = model.stack.units

    def name(index: int) -> str:
        return f"{index % width}" if model.stack.depth == 1 else f"{index // width + 1}.{index % width}"

    return {
        "list": [
            {"name": name(unit.index), "property": unit.property, "correlation": round(unit.correlation, 3)}
            for unit in units
        ],
        "cells": packed(np.round(127 * reading.cells[:, indices].T).astype(np.int8)),
        "gates": {
            gate: packed(np.round(255 * values[:, indices].T).astype(np.uint8))
            for gate, values in reading.gates.items()
        },
    }
