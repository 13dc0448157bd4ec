"""Importing TensorFlow through `sst_keras.runtime`, each time in a new process."""

import os
import subprocess
import sys

import pytest

THREADS = ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS")


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs code in a process whose environment sets no threads and no log level itself."""
    kept = {k: v for k, v in os.environ.items() if k not in (*THREADS, "TF_CPP_MIN_LOG_LEVEL")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=kept | environment
    )


@pytest.mark.slow
def test_importing_training_prints_nothing_and_later_errors_are_seen():
    code = "import sys, sst_keras.training; print('seen', file=sys.stderr)"
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "seen\n")


@pytest.mark.slow
@pytest.mark.parametrize(("cores", "threads"), [(1, ["1", "1"]), (2, ["2", "1"]), (4, ["2", "2"])])
def test_threads(cores, threads):
    done = run(f"""
import os
os.sched_getaffinity = lambda pid: set(range({cores}))
from sst_keras.runtime import cores, tf
tf.constant(1) + 1
print(cores(), *(os.environ[name] for name in {THREADS}))
""")
    assert done.stdout.split() == [str(cores), *threads], done.stderr


@pytest.mark.slow
def test_variables_of_the_user_stay():
    code = f"import os, sst_keras.runtime; print(*(os.environ[n] for n in {THREADS}))"
    done = run(code, TF_NUM_INTEROP_THREADS="3", TF_NUM_INTRAOP_THREADS="5")
    assert done.stdout.split() == ["3", "5"], done.stderr


@pytest.mark.slow
def test_an_import_that_fails_says_why():
    code = "import sys; sys.modules['tensorflow'] = None; import sst_keras.runtime"
    done = run(code)
    assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr


def test_cores_without_affinity(monkeypatch):
    from sst_keras.runtime import cores

    assert cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
