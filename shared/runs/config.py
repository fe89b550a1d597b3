"""The settings of a run: a frozen dataclass, each setting with its help text and bounds at the field.

Imports neither Keras nor TensorFlow.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Self

from shared.runs.folder import RunFolder
from shared.system.cli import UserError

CELLS = ("lstm", "gru", "simple")  # of a recurrent layer; `shared.layers.stack` has the layers
# A recurrent layer has about 8 * units**2 weights: together at most 2 billion, which are 8 GB.
MOST_RECURRENCE = 2**28  # units**2 * depth
PRECISIONS = ("auto", "float32", "mixed_bfloat16")  # `shared.training.precision` chooses for auto


def option(
    default: Any,
    help: str,  # noqa: A002 - argparse's own word
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    suited: bool = False,
) -> Any:
    """A field of a `RunConfig`, which is also an option of the command line.

    Args:
        default: the value where none is given.
        help: what `--help` says; the default is added there.
        least: the smallest value.
        most: the largest value.
        above: the value must be larger than this.
        below: the value must be smaller than this; without `least` and `above`, it is at least 0.
        choices: the only values there are.
        suited: whether None, the default, means a value that suits the amount of data, which is chosen when
            the data are read. On the command line, the word none then gives 0 or an empty string.
    """
    if below is not None and least is None and above is None:
        least = 0
    bounds = {"least": least, "most": most, "above": above, "below": below, "choices": choices}
    return dataclasses.field(default=default, metadata={"help": help, "suited": suited, **bounds})


class RunConfig:
    """Base of a frozen dataclass of settings, which a run folder keeps.

    A subclass that checks more has a `__post_init__` of its own, which calls this one first.
    """

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, name = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            if isinstance(value, list):  # as JSON gives a tuple back
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if not _has_type(value, hints[field.name]):
                raise ValueError(
                    f"{name} must be {_type_name(hints[field.name])}, not {_clipped(repr(value))}"
                )
            if value is not None and not _is_allowed(value, **_bounds(field)):
                expected = _expected(value, **_bounds(field))
                raise ValueError(f"{name} must {expected}, not {_clipped(value)}")
        self._check_size()

    def _check_size(self):
        units, depth = getattr(self, "units", 1), getattr(self, "depth", 1)
        if units**2 * depth > MOST_RECURRENCE:
            raise ValueError(
                f"--units {units} and --depth {depth} make a network of more than 2 billion weights; "
                "choose fewer"
            )

    def pick(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The settings of these names."""
        return {name: getattr(self, name) for name in names}

    def filled(self, values: Mapping[str, Any]) -> Self:
        """These settings with values for those that are None; all others stay.

        Raises:
            UserError: the values do not go with the other settings.
        """
        missing = {name: value for name, value in values.items() if getattr(self, name) is None}
        try:
            return dataclasses.replace(self, **missing)
        except ValueError as error:
            raise UserError(str(error)) from error

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        """The settings that a run folder keeps; those it does not name have their defaults.

        Raises:
            UserError: there are settings that this version does not know, or values that it refuses.
        """
        try:
            return cls(**run.config)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"The settings in {run.path}/config.json are not those of this version: {error}."
            ) from error


def _bounds(field: dataclasses.Field) -> dict[str, Any]:
    return {name: field.metadata.get(name) for name in ("least", "most", "above", "below", "choices")}


def _has_type(value: object, hint: Any) -> bool:
    """Whether a value is of the type of a field; whole numbers are numbers, but neither is a bool."""
    if isinstance(hint, types.UnionType):
        return any(_has_type(value, member) for member in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_has_type(part, item) for part in value)
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    return isinstance(value, hint)


def _type_name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    if isinstance(hint, types.UnionType):
        return " or ".join(map(_type_name, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return f"a list, of which each is {_type_name(typing.get_args(hint)[0])}"
    return names.get(hint, "none")


def _clipped(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _is_allowed(value, least, most, above, below, choices) -> bool:
    if choices is not None:
        return value in choices
    if least is None and most is None and above is None and below is None:
        return True
    # Comparisons with NaN are false.
    return (
        -math.inf < value < math.inf
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _expected(value, least, most, above, below, choices) -> str:
    if choices is not None:
        return f"be one of {', '.join(choices)}"
    if below is not None:
        opening = f"({above}" if above is not None else f"[{least}"
        return f"lie in {opening}, {below})"
    if above is not None:
        return f"be a number above {above}"
    if most is not None and value > most:
        return f"be at most {most}"
    return f"be {'a number of ' if isinstance(value, float) else ''}at least {least}"
