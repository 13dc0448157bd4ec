"""Locks on folders and files, which keep other processes from writing into them."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sst_keras.errors import UsageError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

_POLL = 0.1  # seconds between attempts to lock
_SCRATCH = "sst-keras-scratch-"
_MADE = re.compile(re.escape(_SCRATCH) + "[a-z0-9_]{8}")  # the names that `mkdtemp` gives
_NEW = 60.0  # seconds within which whoever makes a scratch folder has locked it


@contextmanager
def locked(folder: str | Path, setting: str = "", seconds: float = 0.0) -> Iterator[None]:
    """Makes a folder, and keeps other processes from locking it meanwhile.

    It waits at most `seconds` for another process that has locked it.

    The lock is the system's, on the folder itself: it leaves no file, and ends with the process,
    even a killed one. Where there are no such locks, as on Windows, nothing is locked. A folder
    that is still empty at the end is removed.

    Raises:
        UsageError: If another process has locked the folder; `setting` is the one that names it.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder. Received a file: {str(folder)!r}", setting=setting)
    handle = _lock(folder, setting, seconds=seconds)
    try:
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()  # only if it is empty, and while it is locked
        if handle is not None:
            os.close(handle)


@contextmanager
def locked_file(path: str | Path, setting: str = "") -> Iterator[None]:
    """Makes a file if there is none, and locks it as `locked` locks a folder.

    A file that is still empty at the end is removed. `path` may be renamed meanwhile.

    Raises:
        UsageError: If another process has locked the file; `setting` is the one that names it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _lock(path, setting, is_file=True)
    try:
        yield
    finally:
        with suppress(OSError):
            if not path.stat().st_size and (handle is None or _is_open(path, handle)):
                path.unlink()
        if handle is not None:
            os.close(handle)


@contextmanager
def scratch_folder(parent: str | Path | None = None) -> Iterator[Path]:
    """Yields a new folder in `parent`, by default the system's for temporary files.

    It is removed at the end. What killed processes have left there is removed at the start: a
    process locks its folder as long as it lives. Where there are no locks, it stays.
    """
    parent = Path(parent or tempfile.gettempdir())
    for left in parent.glob(f"{_SCRATCH}*") if fcntl else ():
        with suppress(OSError):  # it is in use, or has just been removed
            about = left.stat()
            is_old = about.st_uid == os.getuid() and time.time() - about.st_mtime > _NEW
            if _MADE.fullmatch(left.name) and is_old:
                _remove_unlocked(left)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
    handle = _lock(folder, "")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _remove_unlocked(folder: Path) -> None:
    """Removes a folder; if a process has locked it, or there are no locks: `OSError`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(handle)


def _lock(path: Path, setting: str, is_file: bool = False, seconds: float = 0.0) -> int | None:
    """Makes and locks a folder or file; returns it opened, or None if there are no locks."""
    end = time.monotonic() + seconds
    while True:
        if is_file:
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
        if not fcntl:
            return None
        try:
            handle = os.open(path, os.O_RDWR if is_file else os.O_RDONLY)
        except FileNotFoundError:  # another process has just removed it
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() < end:
                time.sleep(_POLL)
                continue
            raise UsageError(
                f"another process is writing into {str(path)!r}. Wait for it, or choose another "
                f"{'file' if is_file else 'folder'}.",
                setting=setting,
            ) from None
        except OSError:  # a file system without locks
            return handle
        if _is_open(path, handle):
            return handle
        os.close(handle)  # it was removed, and perhaps made again, before it was locked


def _is_open(path: Path, handle: int) -> bool:
    """Whether a path is still that of an open file or folder."""
    return path.exists() and os.path.samestat(os.fstat(handle), os.stat(path))
