import subprocess
import sys


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
