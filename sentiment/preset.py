"""Makes a preset from a run: python -m sentiment.preset RUN DIR.

A preset is a run folder in half the size: the same files, weights rounded to float16. The model card
(README.md) is written by hand.
"""

from sentiment.data.labels import LABELS_FILE
from shared.runs.presets import preset_script
from shared.system.cli import run_script


def main(argv=None) -> int:
    return preset_script("sentiment", __doc__.split("\n")[0], argv, files=(LABELS_FILE,))


if __name__ == "__main__":
    raise SystemExit(run_script(main))
