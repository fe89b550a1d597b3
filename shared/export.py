"""Writing a SavedModel that works without this project, and proving it before saying so."""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from shared.cli import UserError

# Run by a fresh interpreter (-I: no user paths, no environment) that knows TensorFlow and two file names.
# Strings travel in base64, as NumPy drops the zero bytes that a string ends with.
_CALL_ALONE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy, tensorflow as tf
model, signature, given, result = sys.argv[1:]
inputs = {}
for name, array in numpy.load(given).items():
    inputs[name] = tf.io.decode_base64(array) if array.dtype.kind == "S" else tf.constant(array)
outputs = tf.saved_model.load(model).signatures[signature](**inputs)
own = {"captioning", "charlm", "sentiment", "shared"} & set(sys.modules)
if own:
    sys.exit(f"the SavedModel imported {sorted(own)}")
arrays = {name: value.numpy() for name, value in outputs.items()}
numpy.savez(result, **{name: a.astype("S") if a.dtype == object else a for name, a in arrays.items()})
"""


class ExportError(UserError):
    """A SavedModel could not be written, or does not do what the Python model does."""


def export_saved_model(
    path: Path,
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction],
    variables: Sequence[tf.Variable],
    *,
    files: Mapping[str, str],
    check: Callable[[Path], None],
) -> None:
    """Writes a SavedModel beside `path`, checks it there, and only then gives it its name.

    Args:
        path: folder to make; must not exist, or be empty.
        signatures: concrete functions with flat inputs and a flat dict of outputs; `serving_default` among
            them.
        variables: every variable that the functions read.
        files: names and texts of small files to add to the folder.
        check: called with the written folder; raises `ExportError` where the SavedModel falls short.

    Raises:
        ExportError: `path` is taken or cannot be written, or the check failed. Nothing is left at `path`
            then.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ExportError(f"{path} exists already. Name a new folder with --out, or remove it first.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written: {error.strerror}. Name another folder with --out."
        ) from error
    try:
        module = tf.Module()
        module.held = list(variables)
        tf.saved_model.save(module, work, signatures=dict(signatures))
        for name, text in files.items():
            (work / name).write_text(text, encoding="utf-8")
        check(work)
        work.chmod(0o755)
        if path.exists():
            path.rmdir()
        work.rename(path)
    except OSError as error:
        raise ExportError(f"{path} could not be written: {error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def call_alone(path: Path, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Calls a signature of a SavedModel in a new process that has TensorFlow and not this project.

    Args:
        path: the SavedModel folder.
        signature: name of the signature.
        inputs: arrays by argument name; strings as NumPy arrays of `bytes` objects.

    Returns:
        The outputs by name; strings as NumPy byte strings.

    Raises:
        ExportError: the process failed; the message ends with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(given, **{name: _in_base64(array) for name, array in inputs.items()})
        # The process works in another folder, so a relative path must not reach it.
        model = str(Path(path).resolve())
        command = [sys.executable, "-I", "-c", _CALL_ALONE, model, signature, str(given), str(result)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode != 0:
            raise ExportError(f"The SavedModel does not run with TensorFlow alone:\n{done.stderr[-2000:]}")
        with np.load(result) as arrays:
            return dict(arrays)


def _in_base64(array: np.ndarray) -> np.ndarray:
    if array.dtype != object:
        return array
    return np.array([base64.urlsafe_b64encode(value) for value in array.ravel()]).reshape(array.shape)


def read_settings(path: Path, name: str) -> dict:
    """The JSON file that an export put into its folder.

    Raises:
        ExportError: the file is missing or no JSON.
    """
    try:
        return json.loads((path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path} has no readable {name} ({error}): it was not written by this suite's export."
        ) from error
