"""TensorFlow's chatter is held back, all else on the standard error stream is not."""

import os
import signal
import subprocess
import sys

import pytest

from shared.system.quiet import is_chatter

CHATTER = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795480043.966557   14122 port.cc:153] oneDNN custom operations are on.",
    "W0000 00:00:1795480043.966906       7 cudart_stub.cc:31] Could not find cuda drivers on your machine.",
    "2025-11-24 00:34:35.071903: I tensorflow/core/platform/cpu_feature_guard.cc:227] This binary is fast.",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the flags.",
    "E0000 00:00:1795480048.155564   14122 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: "
    "Failed call to cuInit: UNKNOWN ERROR (303)",
)
NEWS = (
    "E0000 00:00:1795480048.233839   14122 gpu_device.cc:131] out of memory",
    "F0000 00:00:1795480048.233839   14122 cpu_feature_guard.cc:17] not made for this processor",
    "E0000 00:00:1795480048.155564   14122 cuda_platform.cc:52] failed call to cuInit: DRIVER_MISMATCH",
    "module.py:7: UserWarning: I0000 is a strange name",
    "Traceback (most recent call last):",
    "",
)


def python(code, tmp_path, **environment):
    names = "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT"
    kept = {name: os.environ[name] for name in names if name in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**kept, **environment}, timeout=120
    )


def fake_tensorflow(tmp_path, code=""):
    """Modules in place of the real ones, which write `CHATTER` and `NEWS` to descriptor 2."""
    lines = "".join(f"{line}\n" for pair in zip(CHATTER, NEWS, strict=True) for line in pair)
    (tmp_path / "keras.py").write_text("")
    (tmp_path / "tensorflow.py").write_text(
        f"import os, contextlib, logging\nos.write(2, {lines.encode()!r})\n"
        "device = lambda name: contextlib.nullcontext()\n"
        "get_logger = lambda: logging.getLogger('tensorflow')\n"
        f"zeros = lambda shape: os.write(2, b'first op\\n')\n{code}"
    )


CALL = "from shared.system.quiet import import_tensorflow_quietly; import_tensorflow_quietly()"
SEEN = "".join(f"{line}\n" for line in NEWS)
ALL = "".join(f"{line}\n" for pair in zip(CHATTER, NEWS, strict=True) for line in pair)


@pytest.mark.parametrize("line", CHATTER)
def test_chatter(line):
    assert is_chatter(line.encode() + b"\n")


@pytest.mark.parametrize("line", NEWS)
def test_news(line):
    assert not is_chatter(line.encode() + b"\n")


def test_the_real_tensorflow_says_nothing(tmp_path):
    code = f"{CALL}\nimport sys\nassert 'tensorflow' in sys.modules and 'keras' in sys.modules\n"
    code += "import tensorflow as tf\nprint(float(tf.function(lambda x: 2 * x)(tf.constant(3.5))))"
    ran = python(code, tmp_path, TF_CPP_MIN_LOG_LEVEL="2")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("7.0\n", "", 0)


def test_news_are_repeated_in_order_and_the_stream_is_back_afterwards(tmp_path):
    fake_tensorflow(tmp_path, "import warnings; warnings.warn('old')")
    ran = python(f"{CALL}\nimport os, sys; os.write(2, b'I0000 0 1 a.cc:7] x\\n')", tmp_path)
    warning, _, rest = ran.stderr.removeprefix(SEEN).partition("\n")
    assert ran.stderr.startswith(SEEN)
    assert warning.endswith("UserWarning: old")
    assert rest.endswith("first op\nI0000 0 1 a.cc:7] x\n")


def test_exceptions_pass_with_all_that_was_said(tmp_path):
    fake_tensorflow(tmp_path, "raise ImportError('libfoo is missing')")
    ran = python(CALL, tmp_path)
    assert ran.stderr.startswith(SEEN + "Traceback")
    assert ran.stderr.endswith("ImportError: libfoo is missing\n")
    assert ran.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to die of")
def test_a_process_that_dies_says_where(tmp_path):
    fake_tensorflow(tmp_path, "os.abort()")
    ran = python(CALL, tmp_path)
    assert ran.returncode == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in ran.stderr
    assert "tensorflow.py" in ran.stderr


def test_nothing_is_held_back_where_the_user_asked_for_all(tmp_path):
    fake_tensorflow(tmp_path)
    assert python(CALL, tmp_path, TF_CPP_MIN_LOG_LEVEL="0").stderr == ALL + "first op\n"


@pytest.mark.parametrize(
    "before", ["os.close(2)", "sys.stderr = None", "sys.stderr.close()", "sys.stderr = io.StringIO()"]
)
def test_a_missing_stream_is_no_error(tmp_path, before):
    fake_tensorflow(tmp_path)
    # Files opened later would get the closed descriptor; the fake writes to whatever has it.
    code = f"import io, os, sys; {before}; os.write = lambda *_: None; {CALL}"
    ran = python(f"{code}; print('tensorflow' in sys.modules)", tmp_path)
    assert (ran.stdout, ran.returncode) == ("True\n", 0)


def test_an_imported_tensorflow_is_left_alone(tmp_path):
    fake_tensorflow(tmp_path)
    assert python(f"import keras, tensorflow; {CALL}", tmp_path).stderr == ALL


def test_no_operation_runs_before_several_machines_are_set_up(tmp_path):
    fake_tensorflow(tmp_path)
    assert "first op" not in python(CALL, tmp_path, TF_CONFIG="{}").stderr
