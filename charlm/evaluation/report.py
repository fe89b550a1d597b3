"""What `charlm.evaluate` measures on, and how it reports: heading, table, notes and JSON record.

Imports neither Keras nor TensorFlow.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from charlm.config import SPLITTING, CharLMConfig
from charlm.data.text_data import TextData
from shared.system.cli import UserError

if TYPE_CHECKING:
    from charlm.evaluation.measures import Row
    from charlm.model.char_lm import CharLM

FIGURES = {
    "nats_per_character": "nats/char",
    "bits_per_character": "bits/char",
    "perplexity": "perplexity",
}


def data_settings(name: str, trained: CharLMConfig | None, options: Mapping[str, Any]) -> CharLMConfig:
    """The settings of the text to measure: those of training, replaced by the options that were given.

    Args:
        name: the model.
        trained: the settings that it was trained with; None for an exported model.
        options: `data`, `pattern`, `encoding`, `validation_fraction` and `test_fraction`; None where not
            given.

    Raises:
        UserError: no text is named, and that of training is unknown or cannot be read again.
    """
    if options["data"] is None and (trained is None or "-" in trained.data):
        reason = "does not say what it was trained on" if trained is None else "was trained on standard input"
        raise UserError(f"{name} {reason}. Name a text with --data.")
    given = {option: value for option, value in options.items() if value is not None}
    if trained is not None and given.get("data", trained.data) != trained.data:
        given = {"encoding": "", **given}  # another text may have another one
    return dataclasses.replace(trained or CharLMConfig(), **given)


def check_split(data: TextData, split: str) -> None:
    """Raises a `UserError` if a split is missing, or too short to predict anything."""
    characters = data.characters(split)
    if characters < 2:
        raise UserError(
            f"The split {split!r} of {data.name} has {characters} character. Expected at least 2, because "
            "the first one is not predicted. Give more text, or name another --split."
        )


def training_notes(split: str, config: CharLMConfig, trained: CharLMConfig | None) -> list[str]:
    """Warnings for a model that may have been trained on the text it is measured on."""
    if trained is None or (config.data, config.pattern) != (trained.data, trained.pattern):
        return []
    if config != trained:
        return [
            "The text was split differently during training: the model may have seen parts of this split."
        ]
    return ["The model was trained on this text, or on most of it."] if split in ("train", "all") else []


def heading(name: str, model: "CharLM", data: TextData, split: str) -> str:
    """Model, text and split in words."""
    settings = model.settings
    network = f"{settings['cell']}, {settings['depth']} x {settings['units']}"
    return (
        f"model  {name}: {network}, {len(model.vocabulary.characters)} characters and 256 bytes\n"
        f"data   {data.name}: {data.rule}\n"
        f"split  {split}: {data.characters(split):,} characters; all but the first are predicted"
    )


def table(rows: Sequence["Row"]) -> str:
    """The scores as text for people, one a line."""
    grid = Table("", box=None, pad_edge=False)
    for title in FIGURES.values():
        grid.add_column(title, justify="right")
    for row in rows:
        grid.add_row(row.name, *(f"{getattr(row.score, figure):.4f}" for figure in FIGURES))
    console = Console(width=200, color_system=None)  # never narrower than the table, whatever the terminal
    with console.capture() as capture:
        console.print(grid)
    return capture.get()


def record(
    name: str,
    model: "CharLM",
    data: TextData,
    split: str,
    config: CharLMConfig,
    rows: Sequence["Row"],
    notes: Sequence[str],
) -> dict[str, Any]:
    """All figures and settings, for JSON."""
    return {
        "model": name,
        "network": dict(model.settings),
        **config.pick(("data", *SPLITTING)),
        "rule": data.rule,
        "split": split,
        "predicted_characters": rows[0].score.characters,
        "predicted_tokens": rows[0].score.tokens,
        "scores": {row.kind: _figures(row) for row in rows},
        "notes": list(notes),
    }


def _figures(row: "Row") -> dict[str, Any]:
    """Score and settings of a row. JSON has no infinity and no NaN: both become None."""
    values = {figure: getattr(row.score, figure) for figure in ("nats", *FIGURES)}
    values = {figure: value if math.isfinite(value) else None for figure, value in values.items()}
    return {**values, **row.settings}
