"""Makes a preset from a run: python -m captioning.preset RUN DIR.

A preset is a run folder in half the size: the same files, weights rounded to float16. The model card
(README.md) is written by hand.
"""

import argparse
import shutil
from pathlib import Path

from shared.cli import UserError, run_script
from shared.runs import RunError, RunFolder, write_atomic

LARGEST_PRESET = 25 * 10**6  # bytes


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m captioning.preset", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="folder of the preset")
    arguments = parser.parse_args(argv)
    make_preset(RunFolder.open(arguments.run, "captioning"), arguments.out)
    size = sum(file.stat().st_size for file in arguments.out.iterdir() if file.is_file())
    print(f"Wrote {arguments.out}, {size / 1e6:.1f} MB.")
    if size > LARGEST_PRESET:
        raise UserError(f"A preset may have at most {LARGEST_PRESET / 1e6:.0f} MB; train a smaller model.")
    return 0


def make_preset(run: RunFolder, path: Path) -> None:
    """Writes config, vocabulary, history and half-precision weights of a run into a folder.

    Raises:
        RunError: the run has no checkpoint, or the folder cannot be written.
    """
    weights = run.require_best_weights()
    try:
        path.mkdir(parents=True, exist_ok=True)
        for file in (run.path / "config.json", run.vocabulary_file, run.history_file):
            shutil.copy(file, path / file.name)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error}.") from error
    write_atomic(path / weights.name, lambda file: store_half(weights, file))


def store_half(source: Path, target: Path) -> None:
    """Copies a Keras weights file with its float32 arrays as float16; Keras reads both alike."""
    import h5py
    import numpy as np

    with h5py.File(source) as original, h5py.File(target, "w") as copy:

        def visit(name, item):
            if isinstance(item, h5py.Group):
                group = copy.require_group(name)
                group.attrs.update(item.attrs)
                return
            array = item[()]
            if array.dtype == np.float32:
                array = np.clip(array, -65504.0, 65504.0).astype(np.float16)
            stored = copy.create_dataset(name, data=array, compression="gzip" if array.ndim else None)
            stored.attrs.update(item.attrs)

        copy.attrs.update(original.attrs)
        original.visititems(visit)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
