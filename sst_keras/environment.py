"""What a run was made with: versions, machine and commit, for `environment.json`."""

import logging
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import sst_keras
from sst_keras.runtime import is_bfloat16_slow, keras, tf, uses_tensorflow

log = logging.getLogger(__name__)


def describe_environment() -> dict[str, Any]:
    """Returns the versions of what computes, the machine, and the commit of a checkout."""
    backend = keras.backend.backend()
    return {
        "versions": {
            "sst_keras": sst_keras.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            backend: sys.modules[backend].__version__,
        },
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        },
        "git_commit": _git_commit(),
    }


def warn_of_slow_bfloat16(matmul_dtype: str) -> None:
    """Logs a warning if matrix products in `bfloat16` are slow on this machine, or do not exist."""
    if matmul_dtype == "bfloat16" and not uses_tensorflow():
        backend = keras.backend.backend()
        log.warning(f"model.matmul_dtype = bfloat16 has no effect with KERAS_BACKEND={backend}.")
    elif matmul_dtype == "bfloat16" and is_bfloat16_slow():
        log.warning(
            "This CPU has no bfloat16 instructions, so they are emulated, and float32 is much "
            "faster. Set matmul_dtype to float32."
        )


def _git_commit() -> str | None:
    """Returns the checkout's commit; None for an installed wheel."""
    package = Path(sst_keras.__file__).resolve().parent
    if not (package.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=package,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
