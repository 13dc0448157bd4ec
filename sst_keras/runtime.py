"""TensorFlow and Keras, imported with this package's threads and without start-up messages.

Every module that needs them takes them from here: `from sst_keras.runtime import keras, tf`. Keras
is imported only for those that ask for it.

This module sets `TF_NUM_INTEROP_THREADS` and `TF_NUM_INTRAOP_THREADS` to what `engines.local` has
for the cores of this process, unless the environment has them. TensorFlow reads them when it runs
its first operation. It may be imported before this package, and then shows its messages, but it
must not run before.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sst_keras.engines.local import cores, threads
from sst_keras.errors import InputError
from sst_keras.registration import check_backend


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discards what TensorFlow's C++ code writes to standard error before it reads its log level.

    Exceptions pass, so errors of the import are seen.
    """
    silence, stderr = os.open(os.devnull, os.O_WRONLY), os.dup(2)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)


# Keras would also look into a file of its own.
os.environ["KERAS_BACKEND"] = check_backend()  # before TensorFlow's own import loads Keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for _name, _number in threads(cores()).items():
    os.environ.setdefault(_name, _number)
with _silent_stderr():
    import tensorflow as tf

    tf.config.list_physical_devices()


def __getattr__(name: str) -> Any:
    """Imports Keras when it is asked for: an exported model needs only TensorFlow."""
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _silent_stderr():
        import keras

    globals()["keras"] = keras
    return keras


def uses_tensorflow() -> bool:
    """Returns whether Keras computes with TensorFlow, and not with JAX or PyTorch."""
    import keras

    return keras.backend.backend() == "tensorflow"


def read_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with its next two elements prepared while one is in use.

    TensorFlow's autotuning is off for the whole of it. Its thread sleeps for 10 ms, 20 ms, 40 ms,
    ... up to a minute, and the end of an iteration often waits until it wakes: an epoch could take
    up to twice its time.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def memory() -> float:
    """Returns the bytes of memory that this process may have, by the machine and its container.

    Where that is not known, as on Windows, it is infinite.
    """
    if not hasattr(os, "sysconf"):
        return math.inf
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroups 2 and 1
        with suppress(OSError, ValueError):
            found = min(found, int(Path("/sys/fs/cgroup", limit).read_text()))
    return found


def check_memory(parameters: int, setting: str) -> None:
    """Raises an `InputError` if float32 parameters, at least so many, do not fit into the memory.

    Training also takes room for the gradients and for what the optimizer keeps; this counts only
    the parameters themselves, so that nothing is refused that could run.
    """
    needed, there = 4 * parameters, memory()
    if needed > there:
        raise InputError(
            f"the model takes at least {needed / 1e9:,.0f} GB, and {there / 1e9:,.0f} GB of memory "
            f"are there. Choose a smaller one.",
            setting=setting,
        )


def is_bfloat16_slow(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns whether matrix products run on a CPU that lists its features, but not bfloat16."""
    if tf.config.list_physical_devices("GPU") or not cpu_info.is_file():
        return False
    features = re.findall(r"^(?:flags|Features)\s*:(.*)", cpu_info.read_text(), re.MULTILINE)
    known = {"avx512_bf16", "amx_bf16", "bf16"}
    return bool(features) and not known & set(features[0].split())


def signature_definitions(path: Path) -> Mapping[str, Any]:
    """Returns the signature definitions of a `saved_model.pb`, by name, without loading it.

    A file that is none raises protobuf's `DecodeError`.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    found = SavedModel()
    found.ParseFromString(path.read_bytes())
    return found.meta_graphs[0].signature_def
