"""Files of word vectors: word2vec binary and text, GloVe text, gensim's `.kv`.

Files are streamed: memory holds only the words that are kept, however large the file is.
"""

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from sst_keras import locations
from sst_keras.errors import InputError

# A word and its numbers, or a bad row and None. The numbers of text are not parsed yet.
Rows: TypeAlias = Iterator[tuple[bytes, bytes | np.ndarray | None]]
_BUFFER = 1 << 20  # bytes
_BLOCK = 1 << 24  # bytes read at a time from a binary file
_LONGEST = 1 << 22  # bytes that a first line, or a word of a binary file, may have
_MOST_WORDS = 10**10 - 1  # that a file may have
_WIDEST = 100_000  # numbers that a vector may have
_NUMBER_CHARACTERS = b"0123456789+-.eE \t"
_CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\v\f\r"))


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: The words in the file's order, which is by frequency in most files.
        vectors: float32[words, dim].
        words_in_file: Number of words in the file, kept or not.
        undecodable: Number of the file's words that are not UTF-8. U+FFFD marks the bad bytes.
        matches: Token → its match. `matching.match` fills it.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    name: str = "vectors"
    words_in_file: int = 0
    undecodable: int = 0
    matches: dict[str, tuple[str, list[int]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return self.vectors.shape[1]

    @cached_property
    def index(self) -> dict[str, int]:
        """Word → its first row."""
        rows: dict[str, int] = {}
        for row, word in enumerate(self.words):
            rows.setdefault(word, row)
        return rows


def read_vectors(
    path: str | Path, wanted: Collection[str] | None = None, most_frequent: int = 0
) -> WordVectors:
    """Reads a file of word vectors. The words keep the file's order.

    Formats: word2vec binary; word2vec text, whose first line is `words dim`; GloVe text, which has
    no such line. Each may be plain, `.gz` or in a `.zip`. Also gensim's `.kv`, which is a pickle:
    loading one may run code, so load only files you trust. All rows are checked, but the numbers of
    text are parsed only if the word is kept.

    Args:
        path: The file.
        wanted: The words to keep; None keeps all. If a word is repeated, its first row is kept.
        most_frequent: Number of the file's first rows to keep in addition.

    Raises:
        InputError: If the file is cut off or damaged, a row has another width, or a word contains
            a line break. The message names the row. Row 1 is the first word.
    """
    path = Path(path)
    keep = None if wanted is None else {word.encode("utf-8") for word in wanted}
    kept: dict[bytes, np.ndarray] = {}
    found = undecodable = 0
    try:
        with _open(path) as file:
            count, dim, rows = _rows(file, path)
            for found, (word, numbers) in enumerate(rows, start=1):
                is_bad = numbers is None or b"\r" in word or b"\n" in word
                is_kept = keep is None or word in keep or found <= most_frequent
                if is_kept and not is_bad and word not in kept:
                    kept[word] = vector = _vector(numbers)
                    is_bad = vector.shape != (dim,) or not np.isfinite(vector).all()
                if is_bad:
                    row = word + numbers if isinstance(numbers, bytes) else word
                    raise InputError(
                        f"{path}, row {found:,}: expected a word without line breaks and {dim} "
                        f"finite numbers. Received {len(row.split())} fields: "
                        f"{row[:60].decode('utf-8', 'replace')!r}. The file is damaged, or has "
                        f"vectors of several widths."
                    )
                if not word.isascii():
                    undecodable += word.decode("utf-8", "ignore").encode("utf-8") != word
    # zipfile raises RuntimeError for a password or an unknown compression.
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
        raise InputError(f"{path}: expected an intact compressed file, but {error}.") from None
    if count not in (None, found):
        raise InputError(
            f"{path}: expected {count:,} words, as in its first line. Received {found:,}: the file "
            f"is cut off or damaged. Fetch it again."
        )
    words = tuple(word.decode("utf-8", "replace") for word in kept)
    vectors = np.stack(list(kept.values())) if kept else np.empty((0, dim), np.float32)
    return WordVectors(words, vectors, set_name(path), found, undecodable)


def set_name(path: Path) -> str:
    """Returns the name of a file's set of vectors: the file's name without its extensions."""
    if path == locations.bundled("sample") / "vectors.txt":
        return "sample"
    name = path.name
    for ending in (".gz", ".zip", ".txt", ".vec", ".bin", ".kv"):
        name = name.removesuffix(ending)
    return name


def file_format(path: Path) -> str:
    """Returns `gensim`, `binary` or `text`, by the file's name or else by its first bytes.

    The name is not enough: word2vec-google-news-300.gz of gensim's downloader is binary.
    """
    if path.suffix == ".kv":
        return "gensim"
    if path.name.removesuffix(".gz").removesuffix(".zip").endswith(".bin"):
        return "binary"
    with _open(path) as file:
        first, _, rows = file.read(4096).partition(b"\n")
    has_controls = rows != rows.translate(None, _CONTROL_CHARACTERS)
    return "binary" if has_controls and _header(first) else "text"


def _header(line: bytes) -> tuple[int, int] | None:
    """Returns number of words and width, if a first line consists of them, as in word2vec."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0][:11]), int(fields[1][:11])  # 11 digits are enough to refuse a number


def _open(path: Path) -> BinaryIO:
    """Opens a plain file, the content of a `.gz`, or the only file or text of a `.zip`."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path), _BUFFER)
    if path.suffix != ".zip":
        return path.open("rb", buffering=_BUFFER)
    archive = zipfile.ZipFile(path)
    files = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    files = [name for name in files if not name.startswith("__MACOSX/")]
    members = [name for name in files if name.endswith((".txt", ".vec"))] or files
    if len(members) != 1:
        raise InputError(
            f"{path}: expected one file of vectors in the zip. Received {len(members)}: "
            f"{', '.join(members[:5])}. Unpack it and name the file that you want."
        )
    return io.BufferedReader(archive.open(members[0]), _BUFFER)


def _rows(file: BinaryIO, path: Path) -> tuple[int | None, int, Rows]:
    """Returns the number of words if the file states it, their width, and the rows."""
    kind = file_format(path)
    if kind == "gensim":
        return _keyed_rows(path)
    first = file.readline(_LONGEST).removeprefix(codecs.BOM_UTF8)
    count, dim = _header(first) or (None, len(first.split()) - 1)
    is_possible = 1 <= dim <= _WIDEST and (count or 0) <= _MOST_WORDS
    if not is_possible or (kind == "binary" and count is None):
        raise InputError(
            f"{path}, line 1: expected the number of words (at most {_MOST_WORDS:,}) and their "
            f"width (1 to {_WIDEST:,}), or, in text, a word and its numbers. Received: "
            f"{first[:60].decode('utf-8', 'replace')!r}"
        )
    if kind == "binary":
        return count, dim, _binary_rows(file, dim)
    return count, dim, _text_rows(file if count is not None else chain((first,), file), dim)


def _text_rows(lines: Iterable[bytes], dim: int) -> Rows:
    for line in lines:
        line = line.rstrip()
        # Most rows have one space after the word and one between numbers. Some words have spaces.
        if line.count(b" ") == dim:
            end = line.find(b" ")
        else:
            parts = line.rsplit(None, dim)
            end = len(parts[0]) if len(parts) == dim + 1 else 0
        numbers = line[end:]
        is_bad = end < 1 or numbers.translate(None, _NUMBER_CHARACTERS)
        yield (line, None) if is_bad else (line[:end], numbers)


def _binary_rows(file: BinaryIO, dim: int) -> Rows:
    """Yields the rows of word2vec binary: a word, a space, float32[dim], maybe a line break."""
    width = 4 * dim
    block, place = b"", 0
    while True:
        end = block.find(b" ", place)
        if end >= 0 and end + 1 + width <= len(block):
            row = np.frombuffer(block, "<f4", dim, end + 1)
            yield block[place:end].lstrip(b"\n"), row if np.isfinite(row).all() else None
            place = end + 1 + width
            continue
        # The block ends within a row. A broken download may continue with gigabytes of zeros.
        more = file.read(_BLOCK) if end >= 0 or len(block) - place < _LONGEST else b""
        if not more:
            break
        block, place = block[place:] + more, 0
    if rest := block[place : place + _LONGEST].strip(b"\n"):
        yield rest, None


def _keyed_rows(path: Path) -> tuple[int, int, Rows]:
    """Returns number of words, width and rows of a `.kv`, whose matrix stays on disk."""
    from gensim.models import KeyedVectors

    try:
        keyed = KeyedVectors.load(str(path), mmap="r")
        words = [word.encode("utf-8", "replace") for word in keyed.index_to_key]
        vectors = np.asarray(keyed.vectors)
        return len(words), vectors.shape[1], zip(words, vectors, strict=True)
    except Exception as error:  # Unpickling a damaged file may raise anything.
        problem = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: expected gensim's KeyedVectors ({problem}).") from error


def _vector(numbers: bytes | np.ndarray) -> np.ndarray:
    """Returns float32[dim], or NaN if the text does not consist of numbers."""
    try:
        return np.array(numbers.split() if isinstance(numbers, bytes) else numbers, np.float32)
    except ValueError:
        return np.array(np.nan)
