import subprocess
import sys

import pytest

from sst_keras import locks
from sst_keras.errors import UsageError
from sst_keras.locks import locked


def test_a_locked_folder_is_for_one_process(tmp_path):
    folder = tmp_path / "a" / "run"
    code = f"""
import sys
from sst_keras.locks import locked
with locked({str(folder)!r}):
    print("locked", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(UsageError, match="run_dir: another process is writing into .*run"):
        with locked(folder, "run_dir"):
            raise AssertionError
    assert folder.is_dir()  # still the other's, though it is empty
    with pytest.raises(UsageError):
        with locked(folder):
            raise AssertionError
    other.kill()
    other.communicate()
    with locked(folder):  # the lock ends with its process
        (folder / "a.txt").write_text("", "utf-8")
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    (folder / "a.txt").unlink()
    with locked(folder):
        pass
    assert not folder.exists()  # nothing was written into it


def test_a_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with locked(tmp_path / "run"), locked(tmp_path / "run"):
        pass
