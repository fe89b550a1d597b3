"""Trains a character model: python -m charlm.train --data FILE --out runs/NAME.

With no arguments, it learns from Shakespeare's plays; `--data hello` is the lecture's example, in seconds.
"""

import argparse
import dataclasses
from pathlib import Path

from charlm.config import CharLMConfig, recipe
from shared.runs.folder import RunFolder, run_name
from shared.system.cli import add_config_arguments, config_from_arguments, run_script
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> tuple[argparse.Namespace, CharLMConfig]:
    parser = argparse.ArgumentParser(
        prog="python -m charlm.train",
        description="Train a language model over characters. What it writes as it learns is in samples.txt "
        "of the run folder. The plays and hello have settings of their own (charlm.config.recipe); the "
        "defaults below are those for any other text.",
        epilog="Ctrl-C saves and stops; the same --out with --resume goes on. Exit status: 0; 2 if the run "
        "could not be done; 130 after Ctrl-C.",
    )
    add_config_arguments(parser, CharLMConfig)
    parser.add_argument("--out", type=Path, help="run folder (default: runs/ and the name of the data)")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the stopped run in --out; its settings hold"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder for a text too long for memory (default: that of temporary files)"
    )
    arguments = parser.parse_args(argv)
    data = tuple(getattr(arguments, "data", ("shakespeare",)))
    arguments.out = arguments.out or Path("runs") / (
        "standard-input" if data[0] == "-" else run_name(data[0])
    )
    base = _started_with(arguments.out) if arguments.resume else _recipe(data)
    return arguments, config_from_arguments(CharLMConfig, arguments, base=base)


def _recipe(data: tuple[str, ...]) -> CharLMConfig:
    # As in the data, a path that exists wins over a name.
    return CharLMConfig(data=data) if Path(data[0]).exists() else recipe(data)


def _started_with(path: Path) -> CharLMConfig:
    return CharLMConfig.from_run(RunFolder.open(path, "charlm"))


def main(argv=None) -> int:
    arguments, config = parse_arguments(argv)
    import_tensorflow_quietly()
    from charlm.training.run import train_charlm

    run = RunFolder.create(arguments.out, dataclasses.asdict(config), "charlm", resume=arguments.resume)
    result = train_charlm(config, run, resume=arguments.resume, cache_dir=arguments.cache)
    nats = result.best_metrics["val_nats"]
    print(f"Best epoch {result.best_epoch}: {nats:.4f} nats per character of the validation text, windowed.")
    wrote = f"; what it wrote on the way: {run.samples_file}" if config.sample_length else ""
    print(f"Kept in {run.path}{wrote}.")
    print(f"Let it write: python -m charlm.generate --model {run.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
