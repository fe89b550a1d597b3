"""Makes a preset from a run: python -m charlm.preset RUN DIR.

A preset is a run folder in half the size: the same files, weights rounded to float16. The model card
(README.md) is written by hand.
"""

import argparse
from pathlib import Path

from shared.cli import run_script
from shared.presets import make_preset
from shared.runs import RunFolder


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m charlm.preset", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="folder of the preset")
    arguments = parser.parse_args(argv)
    size = make_preset(RunFolder.open(arguments.run, "charlm"), arguments.out)
    print(f"Wrote {arguments.out}, {size / 1e6:.1f} MB.")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
