"""What the scripts `train`, `export` and `preset` of all applications have in common."""

import argparse
import ast
import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.application import Application
from shared.runs.config import RunConfig
from shared.runs.folder import RunFolder, check_free, make_run_folder
from shared.runs.lock import sole_writer
from shared.runs.names import run_name
from shared.runs.presets import make_preset
from shared.system.cli import Parser
from shared.system.cluster import Task
from shared.system.files import PARTIAL, remove_partial_files
from shared.system.options import add_config_arguments, config_from_arguments, positive_number, whole_number
from shared.system.output import check_free as check_output_free
from shared.system.output import check_output, open_output
from shared.system.quiet import import_tensorflow_quietly, without_chatter


def training_parser(app: Application, description: str) -> Parser:
    """The parser of `APP.train`: an option for each setting, `--out`, `--resume` and `--save-every`."""
    parser = Parser(
        f"{app.name}.train",
        description=description,
        epilog="Ctrl-C saves and stops; the same --out with --resume continues, also after a crash. Exit "
        "status: 0; 2 if the run could not be done; 3 if it is saved but learned nothing; 130 after Ctrl-C.",
    )
    add_config_arguments(parser, app.config)
    parser.add_argument("--out", type=Path, help="run folder (default: runs/ and the name of the data)")
    parser.add_argument(
        "--resume", action="store_true", help="continue the stopped run in --out, with its settings"
    )
    parser.add_argument(
        "--save-every",
        type=positive_number,
        default=10.0,
        metavar="MINUTES",
        help="time between two checkpoints within an epoch; one is written after each epoch, too "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--no-diagnostics",
        dest="diagnostics",
        action="store_false",
        help="draw no curves, and measure neither gradients over time nor recurrent matrices",
    )
    parser.add_argument(
        "--strategy",
        choices=("mirrored", "multi-worker"),
        help="share each batch: mirrored among the GPUs of this computer, multi-worker among the processes "
        "that TF_CONFIG names (default: one device)",
    )
    parser.add_argument(
        "--replicas",
        type=whole_number,
        help="GPUs for mirrored, or without a GPU, logical devices of the processor (default: all GPUs)",
    )
    return parser


def parse_training(
    app: Application, parser: Parser, argv: Sequence[str] | None, recipe: Callable[[Any], RunConfig]
) -> tuple[argparse.Namespace, RunConfig]:
    """The arguments of `APP.train` and the settings of the run.

    Args:
        app: the application.
        parser: from `training_parser`.
        argv: the arguments; None: those of the process.
        recipe: the settings that hold for a source of data where the command line says nothing else.

    Raises:
        UserError: a setting has a value that it cannot have, or there is no run to resume.
    """
    arguments = parser.parse_args(argv)
    data = tuple(getattr(arguments, "data", app.config().data))
    arguments.out = arguments.out or Path("runs") / run_name(data[0])
    base = app.config.from_run(RunFolder.open(arguments.out, app.name)) if arguments.resume else recipe(data)
    return arguments, config_from_arguments(app.config, arguments, base=base)


@contextlib.contextmanager
def open_run(app: Application, arguments: argparse.Namespace, config: RunConfig) -> Iterator[RunFolder]:
    """The run folder of `APP.train`; a new run that fails before its first step leaves none.

    No other process can write in the folder meanwhile.

    Raises:
        RunError: the folder is in use, holds something else, or with `--resume`, no run with these settings.
        FileError: it cannot be made.
    """
    if arguments.strategy == "multi-worker" and not Task.of(os.environ).is_chief:
        with _private_copy(arguments) as copy, open_run(app, copy, config) as run:
            yield run
        return
    path, existed = arguments.out, arguments.out.exists()
    # What can be refused is refused before anything is written.
    if arguments.resume:
        _resumed(app, path, config)
    else:
        check_free(path, app.name)
    make_run_folder(path)
    with sole_writer(path):
        remove_partial_files(path)
        try:
            if arguments.resume:
                run = _resumed(app, path, config)
                run.begin_anew()
            else:
                run = RunFolder.create(path, dataclasses.asdict(config), app.name)
            yield run
        except BaseException:
            if not existed and not RunFolder(path, {}).holds_work:
                _remove(path)
            raise


@contextlib.contextmanager
def _private_copy(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """The arguments of a worker that is not the chief: it writes a folder of its own, and prints nothing."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="worker-"))
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        out = Path(folder) / "run"
        if arguments.resume:
            ignored = shutil.ignore_patterns("tensorboard", ".*")
            shutil.copytree(arguments.out, out, ignore=ignored, copy_function=_copy_if_there)
        yield argparse.Namespace(**{**vars(arguments), "out": out, "strategy": None})


def _copy_if_there(source, target):
    with contextlib.suppress(FileNotFoundError):  # the chief may tidy up at the same time
        shutil.copy2(source, target)


def start_replicas(arguments: argparse.Namespace) -> Any:
    """The `shared.training.replicas.Replicas` of `--strategy`; None without. Imports TensorFlow.

    Must be called before anything else uses TensorFlow. With multi-worker, waits until all workers are there.

    Raises:
        UserError: there are not so many devices, or `TF_CONFIG` is missing or wrong.
    """
    if arguments.strategy is None:
        return None
    task = Task.of(os.environ) if arguments.strategy == "multi-worker" else None
    if task:
        print(
            f"worker {task.index} of {len(task.addresses)} waits for the others", file=sys.stderr, flush=True
        )
    with without_chatter():
        from shared.training.replicas import Replicas

        return Replicas.multi_worker(task) if task else Replicas.mirrored(arguments.replicas)


def _resumed(app: Application, path: Path, config: RunConfig) -> RunFolder:
    """The folder of a run to continue with these settings; an earlier version may have named fewer."""
    run = RunFolder.open(path, app.name)
    run.config = dataclasses.asdict(app.config.from_run(run))
    run.check_settings(dataclasses.asdict(config))
    return run


def _remove(path: Path) -> None:
    """Removes the folder of a run; if the process is killed meanwhile, no half of a run is in its place."""
    removed = path.with_name(f"{PARTIAL}{os.getpid()}.{path.name}")
    with contextlib.suppress(OSError):
        path.rename(removed)
        shutil.rmtree(removed)


def add_training_page_option(parser: Parser) -> None:
    """Adds `--training`."""
    parser.add_argument(
        "--training",
        type=Path,
        metavar="RUN",
        help="show how this run was trained, in place of what a model does",
    )


def write_training_page(app: Application, run: Path, out: Path) -> int:
    """Writes the page of a run; returns the exit status.

    Raises:
        UserError: there is no such run, it has no epoch yet, or the page cannot be written.
    """
    folder = RunFolder.open(run, app.name)
    check_output(out)
    import_tensorflow_quietly()
    from shared.training.page import training_page

    write_page(out, training_page(folder))
    return 0


def write_page(out: Path, page: str) -> None:
    """Writes an HTML page, and says so."""
    with open_output(out) as write:
        write(page)
    print(f"Wrote {out}, {len(page.encode()) / 1e6:.1f} MB. Open it in a browser.")


def export_parser(app: Application, description: str) -> Parser:
    """The parser of `APP.export`: `--model` and `--out`."""
    parser = Parser(
        f"{app.name}.export",
        description=description,
        epilog="Exit status: 0; 2 if the model could not be exported.",
    )
    app.add_model_option(parser, trainable=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    return parser


def load_to_export(app: Application, arguments: argparse.Namespace) -> Any:
    """The model that `APP.export` writes; what can be known beforehand is checked before it is loaded.

    Raises:
        UserError: there is no such model, it is an exported one, or `--out` is taken.
    """
    app.find(arguments.model, trainable=True)
    check_output_free(arguments.out)
    # Where Keras sees a GPU, it writes operations into the graph that a computer without one does not have.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return app.load(arguments.model, trainable=True)


def preset_script(app: Application, argv: Sequence[str] | None = None) -> int:
    """The script `python -m APP.preset RUN FOLDER`; returns its exit status."""
    parser = Parser(
        f"{app.name}.preset", description="Make a preset, a run folder in half the size, of a run."
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="folder of the preset")
    arguments = parser.parse_args(argv)
    run = RunFolder.open(arguments.run, app.name)
    run.require_best_weights()
    import_tensorflow_quietly()
    model = app.load_run(run)
    size = make_preset(run, model, arguments.out, app.preset_files, app.optional_files)
    print(f"Wrote {arguments.out}, {size / 1e6:.1f} MB.")
    return 0


def commands_script(application: ModuleType) -> int:
    """The script `python -m APP`, which lists the commands of an application; returns its exit status."""
    print(f"{application.__doc__.strip()}\n\nCommands (each has --help):\n")
    print(list_commands(Path(application.__file__).parent))
    return 0


def list_commands(package: Path) -> str:
    """The commands of an application, a line each, from the first lines of its scripts.

    Args:
        package: the folder of the application.
    """
    files = [*sorted(package.glob("[!_]*.py")), package / "data" / "__main__.py"]
    lines = []
    for file in files:
        summary = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        what, is_script, usage = summary.partition(": python -m ")
        if is_script:
            lines.append(f"  python -m {usage.rstrip('.')}\n      {what}")
    return "\n".join(lines)
