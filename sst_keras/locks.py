"""Locks on folders and files, which keep other processes from writing into them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sst_keras.errors import UsageError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None


@contextmanager
def locked(folder: str | Path, setting: str = "") -> Iterator[None]:
    """Makes a folder, and keeps other processes from locking it meanwhile.

    The lock is the system's, on the folder itself: it leaves no file, and ends with the process,
    even a killed one. Where there are no such locks, as on Windows, nothing is locked. A folder
    that is still empty at the end is removed.

    Raises:
        UsageError: If another process has locked the folder; `setting` is the one that names it.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder. Received a file: {str(folder)!r}", setting=setting)
    handle = _lock(folder, setting)
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


def _lock(path: Path, setting: str, is_file: bool = False) -> int | None:
    """Makes and locks a folder or file; returns it opened, or None if there are no locks."""
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
