import os
import subprocess
import sys

import pytest


def test_on_one_core_one_operation_goes_on_at_a_time():
    code = """
import os
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
from sst_keras.cli.terminal import import_tensorflow
import_tensorflow()
print(os.environ["TF_NUM_INTEROP_THREADS"], os.environ["TF_NUM_INTRAOP_THREADS"])
"""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot keep a process to one core")
    environment = {key: value for key, value in os.environ.items() if "TF_NUM" not in key}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_tensorflow_starts_without_a_word_and_errors_are_seen_after():
    code = """
import sys
from sst_keras.cli.terminal import console, import_tensorflow
import_tensorflow()
assert "tensorflow" in sys.modules
console().print("seen")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "seen\n")
