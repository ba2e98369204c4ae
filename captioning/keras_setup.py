"""Imports Keras without the greetings that TensorFlow prints when it starts.

Everything that needs Keras takes it from here: `from captioning.keras_setup import keras`. A person
who made a mistake should read one sentence about it, not that sentence among notes on processors.
"""

import contextlib
import ctypes
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from captioning.cli import UserError

# 3 leaves errors that stop the program; set the variable to 0 to see everything.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Keras makes a tf.function of each network, all of one name: of several networks that are traced
# once each, TensorFlow warns as of one that is traced too often. In a notebook it sets the level of
# its logger itself, so that only a filter lasts.
if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
    logging.getLogger("tensorflow").addFilter(
        lambda record: "tf.function retracing" not in record.getMessage()
    )


# Engines of Keras that requirements.txt does not install.
_OPTIONAL = ("jax", "torch", "openvino")

# Options of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def _keep_freed_memory() -> None:
    """Has glibc keep the memory of freed tensors for the next ones.

    By default it returns large blocks to the kernel, which must clear them anew for every step: up
    to two fifths of the time of training. Other C libraries have no such option.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _settings_file() -> Path:
    """Returns where Keras keeps its settings."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"


# Memory that looks like a folder, which Linux has in a container that is read-only, too.
_SHARED_MEMORY = "/dev/shm"


def _find_temporary_folder() -> None:
    """Finds a folder for temporary files where the usual ones cannot be written to.

    TensorFlow asks for one when it is imported, and Keras makes empty ones when it saves and loads.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        is_there = os.access(_SHARED_MEMORY, os.W_OK)
        tempfile.tempdir = _SHARED_MEMORY if is_there else os.getcwd()


def _open_withheld() -> BinaryIO:
    try:
        return tempfile.TemporaryFile()
    except OSError:
        # No folder for temporary files can be written to, as in a container that is read-only.
        return open(os.devnull, "r+b")


@contextlib.contextmanager
def _standard_error_withheld():
    # The notes come from C++ code, which writes to the file descriptor, not to sys.stderr.
    sys.stderr.flush()
    original = os.dup(2)
    with _open_withheld() as withheld:
        os.dup2(withheld.fileno(), 2)
        try:
            yield
        except Exception:
            withheld.seek(0)
            os.write(original, withheld.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


_keep_freed_memory()
_find_temporary_folder()

try:
    with _standard_error_withheld():
        import keras
# What the settings of Keras can make it fail with, an engine that is not installed among it.
except (AttributeError, ModuleNotFoundError, TypeError, ValueError) as error:
    if isinstance(error, ModuleNotFoundError) and error.name not in _OPTIONAL:
        raise
    _reason = " ".join(str(error).split())
    raise UserError(
        f"Keras cannot start ({_reason}): set KERAS_BACKEND to an engine that is installed, "
        f"such as tensorflow, or remove {_settings_file()}"
    ) from error

# Whatever ~/.keras/keras.json says: photos are read, features compared and models saved this way.
keras.config.set_floatx("float32")
keras.config.set_dtype_policy("float32")
keras.config.set_image_data_format("channels_last")
keras.config.set_epsilon(1e-7)

__all__ = ["keras"]
