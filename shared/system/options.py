"""Options of the command line: those of a settings dataclass, and the types of single ones.

Imports neither Keras nor TensorFlow, so that `--help` and a mistyped option answer at once.
"""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path

from shared.system.cli import UserError

PARSED_TYPES = (str, int, float, Path)


def add_config_arguments(
    parser: argparse.ArgumentParser, config_class: type, skip: tuple[str, ...] = ()
) -> None:
    """Adds one option for each field of a dataclass.

    `learning_rate: float` becomes `--learning-rate`, a `bool` becomes `--mirror` / `--no-mirror`,
    `tuple[T, ...]` takes one or more values, and `T | None` takes the word `none`. Field metadata: `help`,
    `choices`, `suited` (None means a value that suits the data, and `none` gives 0 or an empty string). A
    field without a default becomes a required option.

    Args:
        parser: gets the options. Those that the user does not give leave no trace in the namespace.
        config_class: a dataclass with fields of type `str`, `int`, `float`, `Path`, `bool`, one of them or
            `None`, or a tuple of one of them.
        skip: names of fields that get no option.

    Raises:
        TypeError: a field has a type that no option can express.

    Example:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     learning_rate: float = dataclasses.field(default=0.001, metadata={"help": "highest rate"})
    ...     mirror: bool = True
    >>> parser = argparse.ArgumentParser()
    >>> add_config_arguments(parser, Config)
    >>> config_from_arguments(Config, parser.parse_args(["--no-mirror"]))
    Config(learning_rate=0.001, mirror=False)
    """
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.name in skip:
            continue
        required = _default(field) is dataclasses.MISSING
        options = {
            "dest": field.name,
            "help": _help(field),
            "default": argparse.SUPPRESS,
            "required": required,
        }
        hint = hints[field.name]
        if hint is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(hint) is tuple:
            kind = _parser_of(field, typing.get_args(hint)[0])
            options |= {"nargs": "+", "type": kind, "metavar": field.name.upper()}
        else:
            options["type"] = _parser_of(field, hint)
            options["choices"] = field.metadata.get("choices")
            if options["choices"] is None:  # otherwise argparse shows the choices themselves
                options["metavar"] = field.name.upper()
        parser.add_argument("--" + field.name.replace("_", "-"), **options)


def config_from_arguments(
    config_class: type, namespace: argparse.Namespace, base: object | None = None
) -> typing.Any:
    """Builds the dataclass from parsed options.

    Args:
        config_class: the dataclass that was given to `add_config_arguments`.
        namespace: what the parser returned; other options in it are ignored.
        base: an instance whose values hold where no option was given; by default those of the class.

    Returns:
        An instance of `config_class`.

    Raises:
        UserError: the dataclass itself refuses the values with a `ValueError`.
    """
    given = {
        field.name: getattr(namespace, field.name)
        for field in dataclasses.fields(config_class)
        if hasattr(namespace, field.name)
    }
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return config_class(**given) if base is None else dataclasses.replace(base, **given)
    except ValueError as error:
        raise UserError(str(error)) from error


def whole_number(text: str, least: int = 1, most: float = math.inf) -> int:
    """The `type` of an option that counts something.

    Raises:
        argparse.ArgumentTypeError: `text` is no whole number from `least` to `most`.

    Example:

    >>> whole_number("3")
    3
    """
    # Python refuses to read numbers of more than 4,300 digits.
    if not text.isdecimal() or len(text) > 19 or not least <= int(text) <= most:
        limit = "" if most == math.inf else f" and at most {most}"
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}{limit}, got {text!r}")
    return int(text)


def finite_number(text: str) -> float:
    """The `type` of an option that takes 0 or any finite number above.

    Raises:
        argparse.ArgumentTypeError: `text` is no such number.

    Example:

    >>> finite_number("0.5")
    0.5
    """
    number = _number(text)
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected 0 or a number above, got {text!r}")
    return number


def positive_number(text: str, most: float = math.inf) -> float:
    """The `type` of an option that takes a finite number above 0.

    Raises:
        argparse.ArgumentTypeError: `text` is no such number, or is above `most`.

    Example:

    >>> positive_number("0.5")
    0.5
    """
    number = _number(text)
    if not 0.0 < number <= most or number == math.inf:
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise argparse.ArgumentTypeError(f"expected a number above 0{limit}, got {text!r}")
    return number


def share(text: str) -> float:
    """The `type` of an option that takes a number from 0 to 1, such as a probability.

    Raises:
        argparse.ArgumentTypeError: `text` is no such number.

    Example:

    >>> share("0.25")
    0.25
    """
    number = finite_number(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return number


def _number(text: str) -> float:
    """NaN, which is within no bounds, where the text is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _default(field: dataclasses.Field) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _help(field: dataclasses.Field) -> str:
    default = _default(field)
    if default is dataclasses.MISSING:
        shown = "required"
    elif field.metadata.get("suited"):
        shown = "default: what suits the amount of data"
    elif isinstance(default, bool):
        shown = "default: on" if default else "default: off"
    elif isinstance(default, tuple):
        shown = "default: " + (" ".join(str(value) or "''" for value in default) or "none")
    else:
        shown = f"default: {'none' if default in (None, '') else default}"
    text = field.metadata.get("help", "")
    return f"{text} ({shown})".strip().replace("%", "%%")  # argparse formats its help with %


def _parser_of(field: dataclasses.Field, hint: object) -> Callable[[str], object]:
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        hint = members[0] if len(members) == 1 else hint
    if hint not in PARSED_TYPES:
        raise TypeError(
            f"field {field.name!r} has type {hint}; "
            "an option can be str, int, float, Path, bool or one | None"
        )

    none = hint() if field.metadata.get("suited") else None

    def parse(text: str) -> object:
        return none if optional and text.lower() == "none" else hint(text)

    parse.__name__ = hint.__name__  # argparse names it in "invalid int value: ..."
    return parse
