"""What the applications of the suite have in common; it knows none of them.

Read `layers` first (the recurrence), then `decoding` (search and sampling over a step function) and
`training` (the one loop). `runs` keeps a run on disk, `text` and `data` feed it, `export` writes a
SavedModel, `system` is the command line and the file system; `application` and `commands` tie them together
for scripts.

Importing `shared` is cheap: Keras and TensorFlow come in with the modules that need them.
"""

import importlib.util
import sys

__version__ = "0.1.0"
REQUIRED = ("keras", "tensorflow", "numpy", "tqdm")


def _check_requirements() -> None:
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    message = (
        f"This Python ({sys.executable}) lacks {', '.join(missing)}. Activate the environment that has them "
        "(`. .venv/bin/activate` after `make caption`), or install them with `pip install .` in the folder "
        "of the project."
    )
    # Python names a script so while it imports the package around it: a sentence is enough there.
    if sys.argv[:1] == ["-m"]:
        raise SystemExit(f"error: {message}")
    raise ModuleNotFoundError(message, name=missing[0])


_check_requirements()
