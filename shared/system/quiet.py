"""Imports TensorFlow without its start-up log lines. Importing this module is cheap."""

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Lines that tell the users of a script nothing: log lines of level information and warning, in the two
# formats that TensorFlow uses, what belongs to them, and that there is no driver for, or no, graphics card.
_CHATTER = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IW] \S+:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|To enable the following instructions: .* rebuild TensorFlow"
    rb"|.*failed call to cuInit: .*(UNKNOWN ERROR \(303\)|CUDA_ERROR_NO_DEVICE)"
)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow and Keras without the lines they log when all is well.

    TensorFlow writes some lines to the standard error stream before `TF_CPP_MIN_LOG_LEVEL` counts: when it is
    imported, and when it runs its first operation. Here the stream goes to a file while both happen; all but
    those lines then appear as usual, also after an error. `TF_CPP_MIN_LOG_LEVEL=0` turns this off.

    Scripts call it once the command line is understood, `Application.load` in a notebook. Where TensorFlow is
    imported already, it does nothing.

    Raises:
        ImportError: TensorFlow or Keras is not installed, or does not load.
    """
    if {"tensorflow", "keras"} <= sys.modules.keys():
        return
    # TensorFlow reads this when it is first imported; what a user chose stays.
    wanted = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0"
    with contextlib.nullcontext() if wanted else without_chatter():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.get_logger().setLevel("WARNING")  # in a notebook, it is lower
        # Several machines must be set up before the first operation.
        if "TF_CONFIG" not in os.environ:
            with tf.device("CPU"):
                tf.zeros(())


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Captures what any thread writes to descriptor 2, and repeats it afterwards without chatter.

    Does nothing if there is no usable standard error stream.
    """
    try:
        sys.stderr.flush()
        real = os.dup(2)  # in a notebook `sys.stderr` is no file, but TensorFlow writes here all the same
    except (AttributeError, OSError, ValueError):  # no stream, or a closed one
        yield
        return
    with os.fdopen(real, "wb") as stream, tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with _last_words(stream):
                yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            stream.writelines(line for line in held if not is_chatter(line))


def is_chatter(line: bytes) -> bool:
    """Whether a line of the standard error stream tells a user nothing.

    Example:

    >>> is_chatter(b"I0000 00:00:1795480043.966557   14122 port.cc:153] oneDNN custom operations are on.")
    True
    >>> is_chatter(b"E0000 00:00:1795480043.966557   14122 gpu.cc:7] the card is on fire")
    False
    """
    return _CHATTER.match(line) is not None


@contextlib.contextmanager
def _last_words(stream) -> Iterator[None]:
    """If the process crashes, as on a processor that TensorFlow does not support, prints where."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(stream)
    try:
        yield
    finally:
        faulthandler.disable()
