import os
import subprocess
import sys

import pytest

from sst_keras import locks
from sst_keras.errors import UsageError
from sst_keras.locks import locked, scratch_folder


def test_a_locked_folder_is_for_one_process(tmp_path):
    folder = tmp_path / "a" / "run"
    code = f"""
import sys
from sst_keras.locks import locked, scratch_folder
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


KILLED = """
import os, signal, sys
from sst_keras.locks import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "run").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_scratch_that_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path])
    (left,) = tmp_path.iterdir()
    with scratch_folder(tmp_path) as folder:
        assert left.is_dir()  # whoever made it may be about to lock it
        assert folder.stat().st_mode & 0o777 == 0o700
        for old in (left, folder):
            os.utime(old, (1, 1))
        for name in ("sst-keras-main", "sst-keras-scratch-of mine", "sst-keras-scratch-file.txt"):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (1, 1))
        with scratch_folder(tmp_path) as other:
            assert not left.exists() and folder.is_dir() and other != folder
    assert len([path.name for path in tmp_path.iterdir()]) == 3  # those that people made
    with monkeypatch.context() as patch:
        patch.setattr(locks, "fcntl", None)
        left.mkdir()
        os.utime(left, (1, 1))
        with scratch_folder(tmp_path):
            assert left.is_dir()  # nobody knows whether it is in use
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path) as folder:
        raise KeyboardInterrupt
    assert not folder.exists()
