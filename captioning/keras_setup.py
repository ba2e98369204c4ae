"""Imports Keras, set up for this project, without the greetings that TensorFlow prints.

Everything that needs Keras takes it from here: `from captioning.keras_setup import keras`. A person
who made a mistake should read one sentence about it, not that sentence among notes on processors.
"""

import contextlib
import ctypes
import gc
import logging
import os
import sys

from captioning.cli import UserError

# 3 leaves errors that stop the program; set the variable to 0 to see more.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# TensorFlow takes several networks that are traced once each for one that is traced too often.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

# Whoever waits for seconds should see why; like the bars, it is for a terminal, not for a log file.
if sys.stderr.isatty():
    print("loading Keras …", file=sys.stderr, flush=True)

# Options of glibc's mallopt(3). By default it returns the memory of freed tensors to the kernel,
# which must clear it anew for every step: up to two fifths of the time of training. Other C
# libraries have no such option.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
with contextlib.suppress(AttributeError, OSError, TypeError):
    _library = ctypes.CDLL(None)
    _library.mallopt(_M_MMAP_MAX, 0)
    _library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


# What Keras brings stays to the end: looking for rubbish in it, again and again, takes a second.
gc.disable()
# Keras and TensorFlow import these where they are installed, for what is not used here: a second.
_unneeded = {"matplotlib", "pandas"}.difference(sys.modules)
sys.modules.update(dict.fromkeys(_unneeded))

# Some notes come from C++ code that no variable silences, and that writes to the descriptor.
_standard_error = os.dup(2)
with open(os.devnull, "wb") as _nowhere:
    os.dup2(_nowhere.fileno(), 2)
try:
    import keras
# What the settings of Keras can make it fail with, an engine that is not installed among it.
except (AttributeError, ImportError, TypeError, ValueError) as error:
    remedy = "set KERAS_BACKEND to an engine that is installed, or remove ~/.keras/keras.json"
    raise UserError(f"Keras cannot start ({' '.join(str(error).split())}): {remedy}") from error
finally:
    os.dup2(_standard_error, 2)
    os.close(_standard_error)
    for _name in _unneeded:
        del sys.modules[_name]
    gc.freeze()
    gc.enable()

# Whatever ~/.keras/keras.json says: photos are read, features compared and models saved this way.
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
keras.config.set_epsilon(1e-7)
