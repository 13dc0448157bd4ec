"""What reaches the user's terminal beside the results: progress on standard error, and silence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Returns the console for progress: standard error."""
    from rich.console import Console

    return Console(stderr=True)


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines it writes about its own start-up.

    They come from C++, before its log level is read, so that only the file descriptor can be
    silenced. An error of the import itself is an exception, and is seen.
    """
    silence = os.open(os.devnull, os.O_WRONLY)
    stderr = os.dup(2)
    try:
        os.dup2(silence, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
