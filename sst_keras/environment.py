"""What a run was made with: versions, machine and commit, for `environment.json`."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import sst_keras
from sst_keras.runtime import keras, tf


def describe_environment() -> dict[str, Any]:
    """Returns the versions of what computes, the machine, and the commit of a checkout."""
    return {
        "versions": {
            "sst_keras": sst_keras.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        },
        "git_commit": _git_commit(),
    }


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
