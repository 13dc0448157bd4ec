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

    Its threads are set as the LSTM layer wants them: two operations at a time, each with half of
    the cores; on one core, one. The environment's `TF_NUM_INTEROP_THREADS` and
    `TF_NUM_INTRAOP_THREADS` go first.
    """
    # Of the cores that this process may use, where the system tells; a container may have few.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(min(2, cores)))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores // 2)))
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
