"""Files of word vectors: word2vec binary and text, GloVe text, CSV, gensim's models.

Files are streamed: memory holds only the words that are kept, however large the file is.
"""

import codecs
import gzip
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from sst_keras import locations
from sst_keras.errors import InputError
from sst_keras.vectors.archives import open_file
from sst_keras.vectors.keys import PLAIN, compile_pattern
from sst_keras.vectors.pickles import read_keyed

# A word and its numbers, or a bad row and None. The numbers of text are not parsed yet.
Rows: TypeAlias = Iterator[tuple[bytes, bytes | np.ndarray | None]]
_BLOCK = 1 << 24  # bytes read at a time from a binary file
_LONGEST = 1 << 22  # bytes that a first line, or a word of a binary file, may have
_MOST_WORDS = 10**10 - 1  # that a file may have
_WIDEST = 100_000  # numbers that a vector may have
_NUMBER_CHARACTERS = b"0123456789+-.eE \t"
_SEPARATORS = (b"\t", b",", b";")  # of columns; GloVe and word2vec have spaces
# What a row of column names may call the words. Columns of numbers are often called 0, 1, 2 ...
_NAMES_OF_WORDS = {b"", b"word", b"words", b"token", b"tokens", b"key", b"keys", b"vocab", b"index"}
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_FASTTEXT = (793712314).to_bytes(4, "little")
_HEADER = re.compile(rb"\s*(\d+)[\s,;]+(\d+)[\s,;]*")
_CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\v\f\r"))


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: The words in the file's order, which is by frequency in most files.
        vectors: float32[words, dim].
        words_in_file: Number of words in the file, kept or not.
        undecodable: Number of the file's words that are not UTF-8. U+FFFD marks the bad bytes.
        blank: Number of the file's rows whose word is empty or white space. They are passed over.
        other_keys: Number of the file's words that do not have the key pattern, passed over too.
        matches: Token → its match. `matching.match` fills it.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    name: str = "vectors"
    words_in_file: int = 0
    undecodable: int = 0
    blank: int = 0
    other_keys: int = 0
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
    path: str | Path,
    wanted: Collection[str] | None = None,
    most_frequent: int = 0,
    key_pattern: str = PLAIN,
) -> WordVectors:
    """Reads a file of word vectors. The words keep the file's order.

    Formats: word2vec binary; word2vec text, whose first line is `words dim`; GloVe text, which has
    no such line; the same with tabs, commas or semicolons between columns, and perhaps a row of
    column names. Each may be plain, `.gz` or in a `.zip`. Also what gensim's `save` writes; see
    `vectors.pickles`. All rows are checked, but the numbers of text are parsed only if the word is
    kept.

    Args:
        path: The file, or the member of a zip: `glove.6B.zip/glove.6B.300d.txt`.
        wanted: The words to keep; None keeps all. If a word is repeated, its first row is kept.
        most_frequent: Number of the file's first words to keep in addition.
        key_pattern: How the file writes a word; see `vectors.keys`. Other rows are passed over.

    Raises:
        UsageError: If `key_pattern` is not a pattern, or the zip has no such member.
        InputError: If the file is cut off or damaged, a row has another width, or a word contains
            a line break. The message names the row. Row 1 is the first word.
    """
    path, pattern = Path(path), compile_pattern(key_pattern)
    keep = None if wanted is None else {word.encode("utf-8") for word in wanted}
    kept: dict[bytes, np.ndarray] = {}
    found = undecodable = blank = others = 0
    with _opened(path) as (count, dim, rows):
        for found, (word, numbers) in enumerate(rows, start=1):
            _check_row(path, found, dim, word, numbers)
            text = None
            if not word.isascii():
                text = word.decode("utf-8", "ignore")
                undecodable += text.encode("utf-8") != word
            if not word or word.isspace() or (text is not None and text.isspace()):
                blank += 1
                continue
            if pattern is not None:
                matched = pattern.fullmatch(word)
                if matched is None:
                    others += 1
                    continue
                word = matched["word"]
            if word in kept:
                continue
            if keep is None or word in keep or found - blank - others <= most_frequent:
                kept[word] = vector = _vector(numbers)
                if vector.shape != (dim,) or not np.isfinite(vector).all():
                    raise _bad_row(path, found, dim, word, numbers)
    if count not in (None, found):
        raise InputError(
            f"{path}: expected {count:,} words, as in its first line. Received {found:,}: the file "
            f"is cut off or damaged. Fetch it again."
        )
    words = tuple(word.decode("utf-8", "replace") for word in kept)
    vectors = np.stack(list(kept.values())) if kept else np.empty((0, dim), np.float32)
    return WordVectors(words, vectors, set_name(path), found, undecodable, blank, others)


def write_vectors(
    path: str | Path, words: Iterable[str], vectors: np.ndarray, name: str | None = None
) -> None:
    """Writes words and float32[words, dim] in word2vec's format. Equal input gives equal bytes.

    The ending of `name`, by default the path's own, says how: `.bin` is binary, all else text, and
    `.gz` is compressed.
    """
    name = name or str(path)
    is_binary = name.removesuffix(".gz").endswith(".bin")
    with Path(path).open("wb") as raw:
        # By default, gzip would write the time and the temporary name.
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if name.endswith(".gz") else raw
        with packed as file:
            file.write(f"{len(vectors)} {vectors.shape[1]}\n".encode())
            for word, row in zip(words, vectors, strict=True):
                if is_binary:
                    file.write(word.encode() + b" " + row.astype("<f4").tobytes())
                else:
                    # `str` gives the shortest numbers that read back as the same float32.
                    file.write(f"{word} {' '.join(row.astype(str).tolist())}\n".encode())


def read_keys(path: str | Path) -> Iterator[bytes]:
    """Yields the words of a file as it writes them; errors are those of `read_vectors`."""
    path = Path(path)
    with _opened(path) as (_, dim, rows):
        for number, (word, numbers) in enumerate(rows, start=1):
            _check_row(path, number, dim, word, numbers)
            yield word


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int | None, int, Rows]]:
    """Yields the number of words if the file states it, their width, and the rows."""
    with open_file(path) as file:
        yield _rows(file, path)


def _check_row(
    path: Path, number: int, dim: int, word: bytes, numbers: bytes | np.ndarray | None
) -> None:
    if numbers is None or b"\r" in word or b"\n" in word:
        raise _bad_row(path, number, dim, word, numbers)


def _bad_row(
    path: Path, number: int, dim: int, word: bytes, numbers: bytes | np.ndarray | None
) -> InputError:
    row = word + numbers if isinstance(numbers, bytes) else word
    return InputError(
        f"{path}, row {number:,}: expected a word without line breaks and {dim} finite numbers. "
        f"Received {len(row.split())} fields: {row[:60].decode('utf-8', 'replace')!r}. The file is "
        f"damaged, has vectors of several widths, or writes numbers in another way than 0.25."
    )


def set_name(path: Path) -> str:
    """Returns the name of a file's set of vectors: the file's name without its extensions.

    The name of a zip's member is that of the member.
    """
    if path == locations.bundled("sample") / "vectors.txt":
        return "sample"
    name = path.name
    for ending in (".gz", ".zip", ".txt", ".vec", ".csv", ".tsv", ".bin", ".kv"):
        name = name.removesuffix(ending)
    return name


def file_format(path: Path) -> str:
    """Returns `gensim`, `binary` or `text`, by the file's first bytes or else by its name.

    The name is not enough: word2vec-google-news-300.gz of gensim's downloader is binary, and
    gensim's `save` takes any name.
    """
    with open_file(path) as file:
        start = file.read(4096)
    if path.suffix == ".kv" or start.startswith(_PICKLES):
        return "gensim"
    if path.name.removesuffix(".gz").removesuffix(".zip").endswith(".bin"):
        return "binary"
    first, _, rows = start.partition(b"\n")
    has_controls = rows != rows.translate(None, _CONTROL_CHARACTERS)
    return "binary" if has_controls and _header(first) else "text"


def _header(line: bytes) -> tuple[int, int] | None:
    """Returns number of words and width, if a first line consists of them, as in word2vec."""
    header = _HEADER.fullmatch(line)
    # 11 digits are enough to refuse a number.
    return (int(header[1][:11]), int(header[2][:11])) if header else None


def _rows(file: BinaryIO, path: Path) -> tuple[int | None, int, Rows]:
    """Returns the number of words if the file states it, their width, and the rows."""
    kind = file_format(path)
    if kind == "gensim":
        return _keyed_rows(path)
    first = file.readline(_LONGEST).removeprefix(codecs.BOM_UTF8)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: expected UTF-8. Received UTF-16. Save the file as UTF-8.")
    if first.startswith(_FASTTEXT):
        raise InputError(
            f"{path}: expected word vectors. Received a model of fastText, which also holds parts "
            f"of words. Use the .vec file that comes with it."
        )
    count, dim = _header(first) or (None, 0)
    lines, separator = file, None
    if kind == "text":
        rest = iter(lambda: file.readline(_LONGEST), b"")  # a row in pieces is refused as damaged
        lines, separator, width = _columns(chain(() if count is not None else (first,), rest))
        dim = dim if count is not None else width
    is_possible = 1 <= dim <= _WIDEST and (count or 0) <= _MOST_WORDS
    if not is_possible or (kind == "binary" and count is None):
        raise InputError(
            f"{path}, line 1: expected the number of words (at most {_MOST_WORDS:,}) and their "
            f"width (1 to {_WIDEST:,}), or, in text, a word and its numbers. Received: "
            f"{first[:60].decode('utf-8', 'replace')!r}"
        )
    if kind == "binary":
        return count, dim, _binary_rows(file, dim)
    if separator is not None:
        return count, dim, _separated_rows(lines, dim, separator)
    return count, dim, _text_rows(lines, dim)


def _columns(lines: Iterable[bytes]) -> tuple[Iterable[bytes], bytes | None, int]:
    """Returns the rows of text without column names, what separates columns, and the width.

    The separator is None for white space.
    """
    lines = iter(lines)
    first, second = next(lines, b""), next(lines, b"")
    separator = next((sign for sign in _SEPARATORS if _numbers(second or first, sign) > 1), None)
    names = [name.lower() for name in _fields(first, separator)]
    count = _numbers(second, separator)
    numbered = [[b"%d" % (number + start) for number in range(count)] for start in (0, 1)]
    are_names = len(names) == count + 1 > 2 and (
        not any(map(_is_number, names[1:]))
        or (names[0] in _NAMES_OF_WORDS and names[1:] in numbered)
    )
    if are_names:
        return chain((second,), lines), separator, count
    row = first
    if separator is not None:
        width = _numbers(row, separator)
    else:  # A row that begins with white space has an empty word, unless it has a word.
        fields = row.split()
        is_blank = row[:1].isspace() and all(map(_is_number, fields))
        width = len(fields) - (0 if is_blank else 1)
    return chain((first, second) if second else (first,), lines), separator, width


def _numbers(line: bytes, separator: bytes | None) -> int:
    """Returns how many numbers follow a word in a row of text."""
    fields = _fields(line, separator)
    count = next((n for n, field in enumerate(reversed(fields)) if not _is_number(field)), None)
    return len(fields) - 1 if count is None else count


def _fields(line: bytes, separator: bytes | None) -> list[bytes]:
    """Returns a row's columns without quotes. Between semicolons, a comma is a decimal point."""
    fields = line.rstrip().rstrip(separator).split(separator)
    fields = [field.strip().strip(b'"') for field in fields]
    return [field.replace(b",", b".") for field in fields] if separator == b";" else fields


def _is_number(field: bytes) -> bool:
    try:
        return not field.translate(None, _NUMBER_CHARACTERS) and bool(field) and float(field) < 1e99
    except ValueError:
        return False


def _text_rows(lines: Iterable[bytes], dim: int) -> Rows:
    for line in lines:
        line = line.rstrip()
        # Most rows have one space after the word and one between numbers. Some words have spaces.
        if line.count(b" ") == dim:
            end = line.find(b" ")
        else:
            parts = line.rsplit(None, dim)
            end = len(parts[0]) if len(parts) == dim + 1 else 0
        if end > 0:
            yield _row(line[:end].lstrip(), line[end:])
        else:  # An empty word leaves white space before the numbers.
            is_row = line[:1].isspace() and len(line.split()) == dim
            yield _row(b"", line) if is_row else (line, None)


def _row(word: bytes, numbers: bytes) -> tuple[bytes, bytes | None]:
    is_bad = numbers.translate(None, _NUMBER_CHARACTERS)
    return (word + numbers, None) if is_bad else (word, numbers)


def _separated_rows(lines: Iterable[bytes], dim: int, separator: bytes) -> Rows:
    """Yields rows whose columns have commas, semicolons or tabs between them, maybe in quotes."""
    for line in lines:
        line = line.rstrip().rstrip(separator)
        word, *columns = line.rsplit(separator, dim)
        fields = _fields(separator.join(columns), separator)
        word = word.strip()
        if len(word) > 1 and word[:1] == word[-1:] == b'"':
            word = word[1:-1].replace(b'""', b'"')
        is_row = len(fields) == dim and all(fields)
        yield _row(word, b" " + b" ".join(fields)) if is_row else (line, None)


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
    """Returns number of words, width and rows of what gensim saved. A large matrix stays on disk.

    A complete model, such as Word2Vec, has its vectors in `wv`.
    """
    try:
        words, vectors = read_keyed(path)
        if not 1 <= vectors.shape[1] <= _WIDEST:
            raise ValueError(f"its vectors have {vectors.shape[1]:,} numbers")
        rows = (word.encode("utf-8", "replace") for word in words)
        return len(words), vectors.shape[1], zip(rows, vectors, strict=True)
    except Exception as error:  # Unpickling a damaged file may raise anything.
        problem = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path}: expected gensim's KeyedVectors, or a gensim model that has them ({problem}). "
            f"It needs the files {path.name}.*.npy that gensim may have written beside it. If it "
            f"is from another version, write text: model.wv.save_word2vec_format('vectors.txt')."
        ) from error


def _vector(numbers: bytes | np.ndarray) -> np.ndarray:
    """Returns float32[dim], or NaN if the text does not consist of numbers."""
    try:
        return np.array(numbers.split() if isinstance(numbers, bytes) else numbers, np.float32)
    except ValueError:
        return np.array(np.nan)
