"""Packed files, and how large they may become: a few megabytes can unpack to terabytes."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sst_keras.errors import InputError

GZIP = b"\x1f\x8b"  # with which such files begin
_BUFFER = 1 << 20  # bytes
# Text packs to a third or a tenth. Deflate reaches 1,032, with equal bytes only.
_MOST_TIMES = 100
_HARMLESS = 1 << 28  # bytes that any file may unpack to


class _Bounded(io.RawIOBase):
    """A stream that ends with an `InputError` where it becomes absurdly large, or is damaged."""

    def __init__(self, stream: BinaryIO, path: Path, packed_size: int) -> None:
        self._stream, self._path, self._place = stream, path, 0
        self._most = max(_HARMLESS, _MOST_TIMES * packed_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        with intact(self._path):
            count = self._stream.readinto(buffer)
        self._place += count
        if self._place > self._most:
            raise too_large(self._path)
        return count

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._stream.close()
        super().close()


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Turns what reading a damaged file raises, which is nearly anything, into an `InputError`."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename:  # it is missing, or may not be read
            raise
        problem = str(error) or type(error).__name__
        raise InputError(
            f"{path}: expected an intact packed file, but {problem}. Fetch or pack it again."
        ) from None


def too_large(path: Path) -> InputError:
    """Returns the error about a file that unpacks to far more than text or numbers do."""
    return InputError(
        f"{path}: it unpacks to more than {_MOST_TIMES} times its size, as no text and no numbers "
        f"do. If it is what you expect, unpack it first."
    )


def bounded(stream: BinaryIO, path: Path, packed_size: int) -> BinaryIO:
    """Returns a buffered stream of what is unpacked from `packed_size` bytes of a file.

    Reading raises an `InputError` if it becomes absurdly large, or is damaged.
    """
    return io.BufferedReader(_Bounded(stream, path, packed_size), _BUFFER)


def open_gzip(path: Path) -> BinaryIO:
    """Opens what a `.gz` file holds. Reading raises the errors of `bounded`."""
    return bounded(gzip.open(path), path, path.stat().st_size)


def open_unpacked(path: Path) -> BinaryIO:
    """Opens a file, or what it holds if it begins as those of gzip do."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    return open_gzip(path) if is_packed else path.open("rb")


def check_zip(path: Path) -> None:
    """Checks the sizes in a zip's directory, before its files are read, which have no more.

    Raises:
        InputError: If one is absurdly large.
        zipfile.BadZipFile: If the zip is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    # The directory may lie about the packed sizes, so the zip's own is what counts.
    check_unpacked(path, sum(member.file_size for member in members))


def check_unpacked(path: Path, size: int) -> None:
    """Raises an `InputError` if a file says that it unpacks to absurdly many bytes."""
    if size > max(_HARMLESS, _MOST_TIMES * path.stat().st_size):
        raise too_large(path)
