"""Registers the package's layers with Keras, so that `keras.models.load_model` knows them.

`import sst_keras` is enough, before or after `import keras`, and does not load Keras: the layers
are imported as soon as Keras is there. Keras itself imports no module that a model's file names.
"""

import importlib
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from sst_keras.errors import UsageError

BACKENDS = ("tensorflow", "jax", "torch")  # what Keras may compute with
_AWAITED = ("keras", "sst_keras.runtime")


class _Finder:
    """Finds the awaited modules as Python does, and registers the layers after one has loaded."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Returns the specification of an awaited module; None for any other."""
        spec = PathFinder.find_spec(name, path) if name in _AWAITED else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                register()

            spec.loader.exec_module = load_and_register
        return spec


def register() -> None:
    """Imports the layers, if Keras is loaded, with a backend that they work with."""
    keras, runtime = (sys.modules.get(name) for name in _AWAITED)
    if runtime is not None and not hasattr(runtime, "keras"):
        return  # The runtime itself is importing Keras; this runs again after it.
    if keras is not None and keras.config.backend() in BACKENDS:
        importlib.import_module("sst_keras.layers")
        importlib.import_module("sst_keras.recurrent")


def check_backend() -> str:
    """Returns what Keras is to compute with by `KERAS_BACKEND`; TensorFlow if that is not set.

    Raises:
        UsageError: If it is unknown here, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if name not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name}: expected one of {', '.join(BACKENDS)}.")
    if name != BACKENDS[0] and importlib.util.find_spec(name) is None:
        raise UsageError(
            f"KERAS_BACKEND={name}: {name} is not installed. Install it with `pip install "
            f"'sst-keras[{name}]'`."
        )
    return name


def await_keras() -> None:
    """Registers the layers now or when Keras is imported."""
    register()
    sys.meta_path.insert(0, _Finder)
