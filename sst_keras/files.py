"""Files that appear complete or not at all, and JSON."""

import contextlib
import errno
import glob
import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sst_keras.controls import in_json
from sst_keras.errors import InputError, UsageError
from sst_keras.packed import check_zip

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)

_POLL = 0.1  # seconds between attempts to lock
# What a full disk is called by the system and by NumPy, which does not say where.
_FULL = (os.strerror(errno.ENOSPC), "Not enough free space to write")
_NUMPY_FULL = re.compile(r"^\d+ requested and \d+ written$")
_TEMPORARY = ".temporary-"
_HEX = "[0-9a-f]" * 8  # the pattern of `secrets.token_hex(4)`
_ABANDONED = 86_400.0  # seconds
_CHECKSUMS_FORMAT = 1
_SEAL = "sha256"  # of the rest of a JSON object


@contextmanager
def whole_file(path: str | Path, on_disk: bool = False) -> Iterator[Path]:
    """Yields a temporary path in the same folder, and renames it to `path` on success.

    Readers see the old file or the new one, never a part of it, even if the writer is killed. With
    `on_disk`, that also holds after a loss of power. It waits for the disk, which takes longer than
    writing a small file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Many writers look at the extension.
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        with named_errors(path, partial):
            yield partial
            if on_disk:
                with partial.open("rb+") as file:
                    os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(path: str | Path) -> None:
    """Removes what killed writers of a file, or of those of a pattern, left beside it."""
    path = Path(path)
    for left in path.parent.glob(f".{path.stem}.{_HEX}{path.suffix}"):
        left.unlink(missing_ok=True)


def remove_abandoned(parent: Path, pattern: str) -> None:
    """Removes the folders of a pattern that killed processes left, if nobody touched them today."""
    for left in parent.glob(pattern):
        with contextlib.suppress(OSError):  # another process removes it
            newest = max(path.stat().st_mtime for path in (left, *left.iterdir()))
            if time.time() - newest > _ABANDONED:
                shutil.rmtree(left)


@contextmanager
def temporary_folder(parent: str | Path) -> Iterator[Path]:
    """Yields a new folder in `parent` and removes it at the end, whatever happens.

    What killed processes have left there is removed too, once nobody has touched it for a day.
    """
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, f"{_TEMPORARY}{_HEX}")
    folder = parent / f"{_TEMPORARY}{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        with named_errors(parent):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, and renames it to `path` on success.

    If another process has made `path` meanwhile, that one stays.
    """
    path = Path(path)
    with temporary_folder(path.parent) as partial:
        yield partial
        try:
            os.rename(partial, path)
        except OSError:
            if not path.is_dir():
                raise


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yields a new folder beside `path`, which takes the place of `path` on success.

    What killed processes have left of this is removed too, once nobody has touched it for a day.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for pattern in _left_of(path):
        remove_abandoned(path.parent, pattern)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with named_errors(path):
            partial.mkdir()
            yield partial
            replace_folder(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(folder: Path, made: Collection[str]) -> None:
    """Raises a `UsageError` unless a folder holds nothing but what is `made` there, or is missing.

    `made` are names within the folder; that of a folder stands for all that is in it.
    """
    others = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder / name) for name in made)
    )
    if others or folder.is_symlink() or folder.is_file():
        kind = "link" if folder.is_symlink() else "file"
        what = f"{others[0]} is not of an export" if others else f"{folder} is a {kind}"
        raise UsageError(f"{what}, and {folder} would be replaced. Move it away.", setting="out")


def folders_with(name: str, folder: str | Path) -> Iterator[Path]:
    """Yields the folders below a folder that have a file of a name, sorted.

    Hidden folders, such as those of writers that were killed, are passed over.
    """
    for file in sorted(Path(folder).rglob(name)):
        if not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file.parent


def bring_back(folder: Path) -> None:
    """Brings back the folder that `replace_folder` has put aside, if it was killed just then."""
    if not os.path.lexists(folder):
        *_, aside = _left_of(folder)
        for old in sorted(folder.parent.glob(aside), key=os.path.getctime)[-1:]:
            old.rename(folder)


def _left_of(folder: Path) -> tuple[str, str]:
    """Returns the patterns of what writers of a folder may leave: a new one, and the old one."""
    new = f".{glob.escape(folder.name)}.{_HEX}"
    return new, f"{new}.old"


def replace_folder(new: Path, folder: Path) -> None:
    """Renames a folder to `folder`. What is there goes once that has worked, or comes back."""
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    old.rename(new)  # so that no half of it is ever brought back
    shutil.rmtree(new, ignore_errors=True)


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


# TensorFlow's names of errors of the system.
_TENSORFLOW = ("PermissionDeniedError", "FailedPreconditionError", "NotFoundError")


@contextmanager
def named_errors(path: str | Path, written: Path | None = None) -> Iterator[None]:
    """Names `path` in errors that do not say where they happened, as those of a full disk.

    Such an error says how much room there is, and how large the file `written` was by then, by
    default `path` itself. Errors of TensorFlow and others about a full disk become an `OSError`.
    """
    path = Path(path)
    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        is_full = code == errno.ENOSPC or any(text in str(error) for text in _FULL)
        if is_full or (code is None and _NUMPY_FULL.search(str(error))):
            about = os.strerror(errno.ENOSPC) + _room(path, written or path)
            raise OSError(errno.ENOSPC, about, str(path)) from error
        if type(error).__name__ in _TENSORFLOW:  # a folder that may not be written to
            reason = (str(error).splitlines() or [""])[0]
            raise OSError(errno.EACCES, f"it cannot be written: {reason}", str(path)) from error
        if code is None or error.filename:
            raise
        raise OSError(code, error.strerror, str(path)) from error


@contextmanager
def optional_cache(folder: str | Path) -> Iterator[None]:
    """Lets work go on if what it could use again cannot be kept, with a warning."""
    try:
        yield
    except OSError as error:
        log.warning(f"{folder}: {error.strerror}. What was read is not kept for the next time.")


def _room(path: Path, written: Path) -> str:
    """Returns what a full disk has left, and how much of a file was written when it was full."""
    with suppress(OSError):
        free = f"{shutil.disk_usage(path.parent).free:,} bytes are free"
        size = written.stat().st_size if written.is_file() else 0
        return f"; {free}, and {size:,} were written" if size else f"; {free}"
    return ""


def read_arrays(path: str | Path) -> dict[str, Any]:
    """Reads NumPy's arrays from an `.npz` file. If it is missing or damaged: `InputError`."""
    import numpy as np

    try:
        check_zip(Path(path))
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except InputError:
        raise
    except Exception as error:  # the readers of zip files, of streams and of arrays raise many
        raise InputError(f"{path}: expected a file of arrays. {error}") from None


def read_array(path: str | Path, memory_map: bool = False) -> Any:
    """Reads a NumPy array from an `.npy` file. If it is missing or damaged: `InputError`.

    With `memory_map`, it stays on disk.
    """
    import numpy as np

    try:
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python
        raise InputError(f"{path}: expected an array of numbers ({error}).") from None


def write_array(path: str | Path, array: Any) -> None:
    """Writes a NumPy array as an `.npy` file with `whole_file`."""
    import numpy as np

    with whole_file(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def sha256(path: str | Path) -> str:
    """Returns the sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(path: str | Path, folder: Path, names: Sequence[str]) -> None:
    """Writes the sha256 of files in a folder as JSON, for `verify_checksums`."""
    digests = {name: sha256(folder / name) for name in names}
    write_json(path, {"format": _CHECKSUMS_FORMAT, "sha256": digests})


def verify_checksums(
    path: str | Path, folder: Path, needed: Sequence[str], names: Sequence[str] | None = None
) -> None:
    """Checks that files of a folder are those of `write_checksums`, if there are such checksums.

    Those of the `needed` files must be among them. Only `names` are checked, if they are given and
    have a checksum.

    Raises:
        InputError: If one of them is missing or has changed since, or the checksums are damaged,
            lack one, or name a file outside of the folder.
    """
    if not Path(path).is_file():  # of an earlier version
        return
    found = read_json(path)
    digests = found.get("sha256")
    if found.get("format") != _CHECKSUMS_FORMAT or not isinstance(digests, dict):
        raise InputError(f"{path}: expected checksums in format {_CHECKSUMS_FORMAT}.")
    advice = "Copy the original here. If you changed it yourself, delete it."
    if missing := [name for name in needed if name not in digests]:
        raise InputError(f"{path}: expected checksums. It has none of {missing[0]}. {advice}")
    for name, expected in digests.items():
        if Path(name).anchor or ".." in Path(name).parts:
            raise InputError(
                f"{path}: expected names of files within {folder}. Received: {name!r}. {advice}"
            )
        if names is not None and name not in names:
            continue
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file}: it is missing. Copy it from where the others are from.")
        if sha256(file) != expected:
            raise InputError(
                f"{file}: it has changed since it was written: its sha256 is not that in {path}. "
                f"Copy the original here. If you changed it yourself, delete the checksums."
            )


def write_text(path: str | Path, text: str, on_disk: bool = False) -> None:
    """Writes a UTF-8 text file with `whole_file`."""
    with whole_file(path, on_disk) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Returns `value` as JSON. NaN and infinities, which JSON lacks, become null.

    Control characters are escaped, so that the JSON can be printed.
    """
    content = _finite(value)
    return in_json(
        json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False, default=str)
    )


def _finite(value: Any) -> Any:
    """Returns `value` with plain Python numbers, and None for each float that is not finite."""
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | Path, value: Any, indent: int | None = 2) -> None:
    """Writes a JSON file with `whole_file`, as `to_json` formats it."""
    write_text(path, to_json(value, indent) + "\n")


def write_sealed_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object with a checksum of its content, for `read_sealed_json`."""
    plain = json.loads(to_json(value))
    write_json(path, plain | {_SEAL: _seal(plain)})


def read_sealed_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object, without its checksum. Without one, as of an earlier version, it is read.

    Raises:
        InputError: If the file is missing, holds no object, or has changed since it was written.
    """
    found = read_json(path)
    seal = found.pop(_SEAL, None)
    if seal is not None and seal != _seal(found):
        raise InputError(
            f"{path}: it has changed since it was written: its content is not that of its own "
            f"checksum. Copy the original here. If you changed it yourself, delete {_SEAL} in it."
        )
    return found


def _seal(value: Mapping[str, Any]) -> str | None:
    """Returns the checksum of what was read from JSON; None if no writer of ours could write it."""
    try:
        return hashlib.sha256(to_json(value).encode("utf-8")).hexdigest()
    except (ValueError, RecursionError):
        return None


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object from a file. If the file is missing or holds none: `InputError`."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON file. {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object. Received: {str(found)[:40]}")
    return found
