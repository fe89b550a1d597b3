"""Makes a preset from a run: python -m captioning.preset RUN FOLDER.

A preset is a run folder in half the size: the same files, weights rounded to float16. The model card
(README.md) is written by hand.
"""

from captioning.app import APP
from shared.commands import preset_script
from shared.system.cli import run_script


def main(argv=None) -> int:
    return preset_script(APP, argv)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
