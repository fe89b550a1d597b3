"""Writing a SavedModel that works without this project, and proving it before saying so."""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from shared.system.cli import UserError
from shared.system.output import check_free

# Run by a fresh interpreter (-I: no user paths, no environment) that knows TensorFlow and three file names.
# Arrays are named signature/argument. Strings travel in base64, as NumPy drops the zero bytes that a string
# ends with. The call runs on the CPU: this process may hold all memory of the GPU.
_CALL_ALONE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import numpy, tensorflow as tf
model, given, result = sys.argv[1:]
signatures = tf.saved_model.load(model).signatures
calls, results = {}, {}
for name, array in numpy.load(given).items():
    signature, argument = name.split("/", 1)
    value = tf.io.decode_base64(array) if array.dtype.kind == "S" else tf.constant(array)
    calls.setdefault(signature, {})[argument] = value
for signature, inputs in calls.items():
    for name, value in signatures[signature](**inputs).items():
        value = tf.io.encode_base64(value) if value.dtype == tf.string else value
        array = numpy.asarray(value.numpy())
        results[f"{signature}/{name}"] = array.astype("S") if array.dtype.kind == "O" else array
own = {"captioning", "charlm", "sentiment", "shared"} & set(sys.modules)
if own:
    sys.exit(f"the SavedModel imported {sorted(own)}")
numpy.savez(result, **results)
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
        UserError: `path` is taken.
        ExportError: it cannot be written, or the check failed. Nothing is left at `path` then.
    """
    try:
        check_free(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}-", ignore_cleanup_errors=True
        ) as outer:
            work = Path(outer) / path.name
            _write(work, signatures, variables, files)
            check(work)
            if path.exists():
                path.rmdir()
            work.rename(path)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(
            f"{path} cannot be written: {reason}. Name another folder with --out, with enough room."
        ) from error


def concrete_function(function: Callable, **specs: tuple) -> tf.types.experimental.ConcreteFunction:
    """A function of tensors as a signature: `concrete_function(f, texts=((None,), tf.string))`.

    Args:
        function: takes the arguments by name.
        specs: shape and dtype of each argument.
    """
    specs = {name: tf.TensorSpec(*spec, name=name) for name, spec in specs.items()}
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _write(folder, signatures, variables, files):
    module = tf.Module()
    module.held = list(variables)
    tf.saved_model.save(module, str(folder), signatures=dict(signatures))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def call_alone(path: Path, calls: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Calls signatures of a SavedModel in a new process that has TensorFlow and not this project.

    Args:
        path: the SavedModel folder.
        calls: inputs for each signature to call, arrays by argument name; strings as arrays of `bytes`
            objects (dtype object).

    Returns:
        The outputs of each signature by name; strings as arrays of `bytes` objects.

    Raises:
        ExportError: the process failed; the message ends with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(
            given,
            **{
                f"{signature}/{name}": _in_base64(a)
                for signature, args in calls.items()
                for name, a in args.items()
            },
        )
        command = [sys.executable, "-I", "-c", _CALL_ALONE, str(path.absolute()), str(given), str(result)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode != 0:
            raise ExportError(f"The SavedModel does not run with TensorFlow alone:\n{done.stderr[-2000:]}")
        outputs: dict[str, dict[str, np.ndarray]] = {}
        with np.load(result) as arrays:
            for key, array in arrays.items():
                signature, name = key.split("/", 1)
                outputs.setdefault(signature, {})[name] = _from_base64(array)
    return outputs


def _in_base64(array: np.ndarray) -> np.ndarray:
    if array.dtype != object:
        return array
    codes = [base64.urlsafe_b64encode(value) for value in array.ravel()]
    return np.array(codes, dtype=np.bytes_).reshape(array.shape)


def _from_base64(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "S":
        return array
    # TensorFlow leaves out the = signs at the end.
    values = [base64.urlsafe_b64decode(code + b"=" * (-len(code) % 4)) for code in array.ravel()]
    strings = np.empty(array.shape, dtype=object)
    strings.ravel()[:] = values
    return strings


class OpenExport(NamedTuple):
    """A SavedModel that an export wrote.

    Attributes:
        settings: the JSON object beside it.
        signatures: its functions by name.
        loaded: what TensorFlow loaded; the functions live as long as it does.
    """

    settings: dict
    signatures: dict[str, Callable]
    loaded: Any


def open_export(path: Path, settings_file: str, signatures: Sequence[str]) -> OpenExport:
    """Loads a SavedModel folder that an export of this suite wrote.

    Args:
        path: the folder.
        settings_file: the file of settings that the export put into it.
        signatures: names of the functions that are needed.

    Raises:
        ExportError: the folder was not written by that export, or does not load.
    """
    settings = read_settings(path, settings_file)
    try:
        loaded = tf.saved_model.load(str(path))
        functions = {name: loaded.signatures[name] for name in signatures}
    except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise ExportError(f"{path} does not load as an exported model ({error}). Export it again.") from error
    return OpenExport(settings, functions, loaded)


def read_settings(path: Path, name: str) -> dict:
    """The JSON object in a file that an export put into its folder.

    Raises:
        ExportError: the file is missing or holds no JSON object.
    """
    try:
        return dict(json.loads((path / name).read_text(encoding="utf-8")))
    except (OSError, RecursionError, ValueError, TypeError) as error:
        raise ExportError(
            f"{path} has no readable {name} ({error}): it was not written by this suite's export."
        ) from error
