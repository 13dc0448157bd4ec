"""Encoders of other installed packages, as further values of `model.name`.

A package offers one by an entry point of the group `sst_keras.encoders`:

    [project.entry-points."sst_keras.encoders"]
    gru = "my_package:gru"

`gru(model: ModelConfig, x) -> features` is a function as those of `sst_keras.models`: from word
vectors float32[batch, time, dim], with a mask of the padding, to float32[batch, features]. Layers
of its own are registered with `keras.saving.register_keras_serializable`, so that runs can be read.
Only packages that are installed are asked: a pipeline's file cannot name code.
"""

import functools
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from sst_keras.errors import UsageError, in_one_line

GROUP = "sst_keras.encoders"


@functools.cache
def encoders() -> dict[str, EntryPoint]:
    """Returns the entry points of the installed encoders by name."""
    return {each.name: each for each in entry_points(group=GROUP)}


def load_encoder(name: str) -> Callable:
    """Imports an installed encoder.

    Raises:
        UsageError: If it cannot be imported, for whatever reason.
    """
    offered = encoders()[name]
    try:
        return offered.load()
    except Exception as error:  # whatever another package's code raises
        reason = f"{type(error).__name__}: {in_one_line(error)}"
        raise UsageError(
            f"expected {offered.value} to be importable. {reason}",
            setting="model.name",
        ) from error
