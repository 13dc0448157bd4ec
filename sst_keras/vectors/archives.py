"""Files that may be packed: plain, `.gz`, the only text of a `.zip`, or a named member of one.

The path of a member is that of its zip, then its name in it: `glove.6B.zip/glove.6B.300d.txt`.
"""

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sst_keras.errors import InputError, UsageError
from sst_keras.packed import bounded, intact, open_gzip

_BUFFER = 1 << 20  # bytes


def split_member(path: Path) -> tuple[Path, str] | None:
    """Returns the zip and the member that a path names; None for the path of another file."""
    for archive in path.parents:
        if archive.suffix.lower() == ".zip" and archive.is_file():
            return archive, path.relative_to(archive).as_posix()
    return None


def is_file(path: Path) -> bool:
    """Returns whether there is such a file.

    Raises:
        UsageError: If the path names a member of a zip, and the zip has no such member.
        InputError: If the zip is damaged.
    """
    if path.is_file():
        return True
    found = split_member(path)
    return bool(found) and bool(_member(*found))


def size(path: Path) -> int:
    """Returns the size of a file, or of an unpacked member, in bytes."""
    found = split_member(path)
    return _member(*found).file_size if found else path.stat().st_size


def open_file(path: Path) -> BinaryIO:
    """Opens a file's content. Reading raises an `InputError`, too, if the file is packed.

    Raises:
        UsageError: If the zip has no such member.
        InputError: If a zip is damaged, or has several files and the path names none.
    """
    found = split_member(path)
    if found is None and path.suffix.lower() == ".zip":
        found = path, _only_member(path)
    if found is None:
        is_packed = path.name.endswith(".gz")
        return open_gzip(path) if is_packed else path.open("rb", buffering=_BUFFER)
    archive, name = found
    member = _member(archive, name)
    with _opened(archive) as opened:
        file = opened.open(member)  # which keeps the zip open
    stream = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
    return bounded(stream, path, min(member.compress_size, archive.stat().st_size))


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    with intact(archive), zipfile.ZipFile(archive) as opened:
        yield opened


def _members(archive: Path) -> list[str]:
    with _opened(archive) as opened:
        names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    return [name for name in names if not name.startswith("__MACOSX/")]


def _member(archive: Path, name: str) -> zipfile.ZipInfo:
    with _opened(archive) as opened:
        if name in opened.namelist() and not opened.getinfo(name).is_dir():
            return opened.getinfo(name)
    raise UsageError(
        f"{archive}: there is no {name!r} in the zip. Expected one of "
        f"{', '.join(_members(archive)[:10]) or 'none'}.",
        setting="embedding.vectors",
    )


def _only_member(archive: Path) -> str:
    """Returns the only file of a zip, or its only text."""
    names = _members(archive)
    texts = [name for name in names if name.endswith((".txt", ".vec"))] or names
    if len(texts) != 1:
        largest = max(texts, key=lambda name: _member(archive, name).file_size, default="")
        example = f" Name one by its path, such as {archive / largest}" if texts else ""
        raise InputError(
            f"{archive}: expected one file of vectors in the zip. Received {len(texts)}: "
            f"{', '.join(texts[:5])}.{example}"
        )
    return texts[0]
