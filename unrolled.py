"""The console command `unrolled`: the scripts of all applications under one name.

    unrolled caption IMAGE ...           python -m captioning.predict
    unrolled write PROMPT                python -m charlm.generate
    unrolled read TEXT ...               python -m sentiment.predict
    unrolled VERB APPLICATION ...        python -m APPLICATION.VERB
    unrolled demo                        one page on which to try all three applications
    unrolled models                      the models that ship with it
    unrolled --version

APPLICATION is captioning, charlm or sentiment; VERB is train, evaluate, visualize, demo, export, preset or
data.
Options are those of the scripts: `unrolled caption --help`.
"""

import importlib
import sys
from collections.abc import Sequence
from functools import partial

import captioning.app
import charlm.app
import sentiment.app
from shared import __version__ as __version__
from shared.runs.presets import preset_names
from shared.system.cli import Parser, UserError, did_you_mean, run_script
from shared.visual.demo import add_server_options, serve

APPS = {app.name: app for app in (captioning.app.APP, charlm.app.APP, sentiment.app.APP)}
SHORT = {"caption": "captioning.predict", "write": "charlm.generate", "read": "sentiment.predict"}
VERBS = ("train", "evaluate", "visualize", "demo", "export", "preset", "data")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("--help", "-h", "help"):
        print(__doc__.strip())
    elif command in ("--version", "version"):
        print(f"unrolled {__version__}")
    elif command == "models":
        print(_models())
    elif command == "demo" and (not rest or rest[0].startswith("-")):
        return _demo(rest)
    else:
        module, arguments = _script(command, rest)
        return importlib.import_module(module).main(arguments)
    return 0


def _script(command: str, rest: list[str]) -> tuple[str, list[str]]:
    """The module of a command and the arguments that are left for it.

    Raises:
        UserError: there is no such command or application.
    """
    if command in SHORT:
        return SHORT[command], rest
    if command not in VERBS:
        known = (*SHORT, *VERBS, "models")
        hint = did_you_mean(command, known)
        raise UserError(f"There is no command {command!r}. Expected one of {', '.join(known)}.{hint}")
    if not rest or rest[0] not in APPS:
        given = f"not {rest[0]!r}" if rest else "and none is named"
        hint = did_you_mean(rest[0], APPS) if rest else ""
        raise UserError(f"unrolled {command} wants an application, one of {', '.join(APPS)}, {given}.{hint}")
    module = "data.__main__" if command == "data" else command
    return f"{rest[0]}.{module}", rest[1:]


def _demo(argv: Sequence[str]) -> int:
    """Serves the page of all applications, with their default models."""
    parser = Parser("unrolled demo", description="Serve one page on which to try all three applications.")
    add_server_options(parser)
    apps = {verb.title(): APPS[script.partition(".")[0]] for verb, script in SHORT.items()}
    arguments = parser.parse_args(argv)
    return serve({title: partial(_add_tab, app) for title, app in apps.items()}, arguments)


def _add_tab(app) -> None:
    model = app.load(app.default_model, trainable=True)
    importlib.import_module(f"{app.name}.pages.demo").add_tab(model, app.default_model)


def _models() -> str:
    lines = []
    for app in APPS.values():
        for name in preset_names(app.presets):
            size = sum(file.stat().st_size for file in (app.presets / name).iterdir())
            lines.append(f"{app.name:<12}{name:<14}{size / 1e6:5.1f} MB   {app.presets / name / 'README.md'}")
    return "\n".join(lines)


def run() -> int:
    """The entry point: errors become a line and an exit status."""
    return run_script(main)


if __name__ == "__main__":
    raise SystemExit(run())
