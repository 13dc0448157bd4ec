"""Pretrained word vectors → `float32[words, dim]`, and how much of a text they cover.

Big files stream: memory holds the words that are wanted, however long the file is. gensim does its
own `.kv` files, its downloader, and neighbours; `WordVectors` gives and takes its `KeyedVectors`.
"""

from __future__ import annotations

import codecs
import difflib
import gzip
import hashlib
import io
import logging
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from sst_keras import files, locations
from sst_keras.errors import InputError, UsageError
from sst_keras.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

log = logging.getLogger(__name__)

# The endings that a name may be given without; where several files match, the first wins.
_ENDINGS = (".kv", ".txt", ".vec", ".bin", ".txt.gz", ".vec.gz", ".bin.gz", ".txt.zip", ".zip")
_FEW = 20  # missing words in a coverage report
_CACHE_FORMAT = "2"  # to be raised when cached files would be read differently
_BLOCK = 1 << 24  # bytes of a binary file that are read at a time
_LONGEST = 1 << 20  # bytes that a word of a binary file may have
_NUMBER_CHARACTERS = b"0123456789+-.eE \t"
_CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\v\f\r"))
_FRESH = 2.0  # seconds for which a file just written may change without its time telling


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: The words, the most frequent first where the file has them so.
        vectors: float32[words, dim].
        name: What the set is called.
        words_in_file: How many words the file has that these were read from, kept or not.
        repeated: How many of the file's rows were passed over since their word is here already.
        undecodable: How many of the file's words, kept or not, are not UTF-8. What cannot be read
            in them is U+FFFD here.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    name: str = "vectors"
    words_in_file: int = 0
    repeated: int = 0
    undecodable: int = 0

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.vectors.shape[1]

    @cached_property
    def index(self) -> dict[str, int]:
        """Word → its row; the first row where a word stands twice."""
        rows: dict[str, int] = {}
        for row, word in enumerate(self.words):
            rows.setdefault(word, row)
        return rows

    def to_keyed_vectors(self) -> KeyedVectors:
        """Returns gensim's form of these vectors."""
        from gensim.models import KeyedVectors

        keyed = KeyedVectors(self.dim)
        rows = list(self.index.values())
        keyed.add_vectors(list(self.index), self.vectors[rows])
        return keyed

    @classmethod
    def from_keyed_vectors(cls, keyed: KeyedVectors, name: str = "vectors") -> WordVectors:
        """Takes gensim's form."""
        return cls(tuple(keyed.index_to_key), np.asarray(keyed.vectors, np.float32), name)


# === Reading ===


def read_vectors(
    path: str | Path, wanted: Collection[str] | None = None, most_frequent: int = 0
) -> WordVectors:
    """Reads a file of word vectors, keeping only the words asked for.

    Formats, each plain, `.gz` or in a `.zip`: word2vec binary, word2vec text (a first line
    `words dim`), GloVe text (no such line); and gensim's `.kv`. A text row is a word, which may
    hold spaces, and `dim` numbers. Rows that are not kept are checked too: text for the number of
    spaces and the characters in the numbers, binary for numbers that are not finite.

    Args:
        path: The file.
        wanted: The words to keep; None for all.
        most_frequent: How many of the file's first words to keep besides.

    Returns:
        The words kept, in the file's order; of a word that stands twice, the first.

    Raises:
        InputError: If the file is cut off, damaged, or has a row of another width; the message
            names the row.
    """
    path = Path(path)
    keep = None if wanted is None else {word.encode("utf-8") for word in wanted}
    try:
        kind = _format(path)
        if kind == "gensim":
            return _read_keyed_vectors(path, wanted, most_frequent)
        with _open(path) as file:
            read = _read_binary if kind == "binary" else _read_text
            return read(file, path, keep, most_frequent)
    # RuntimeError is zipfile's, of a password or a compression that it does not know.
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
        raise InputError(f"{path}: expected whole compressed word vectors, but {error}.") from None


def _format(path: Path) -> str:
    """Returns `gensim`, `binary` or `text`: by the name, or else by the file's first bytes.

    The downloader's word2vec-google-news-300.gz is binary and does not say so in its name.
    """
    name = path.name.removesuffix(".gz").removesuffix(".zip")
    if name.endswith(".kv"):
        return "gensim"
    if name.endswith(".bin"):
        return "binary"
    with _open(path) as file:
        header, _, rows = file.read(4096).partition(b"\n")
    is_binary = _is_header(header) and rows != rows.translate(None, _CONTROL_CHARACTERS)
    return "binary" if is_binary else "text"


def _is_header(line: bytes) -> bool:
    """Returns whether a first line is word2vec's: the number of words and their width."""
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Opens a file as it is, or what is inside of a `.gz`, or the one file or text of a `.zip`."""
    if path.suffix == ".gz":
        with gzip.open(path) as unpacked:
            yield io.BufferedReader(unpacked, 1 << 20)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            members = [name for name in names if name.endswith((".txt", ".vec"))]
            if not members:
                members = [name for name in names if not name.endswith("/")]
            if len(members) != 1:
                raise InputError(
                    f"{path}: expected one file of vectors in the zip. Received {len(members)}: "
                    f"{', '.join(members[:5])}. Unpack it, and name the file that you want."
                )
            with archive.open(members[0]) as unpacked:
                yield io.BufferedReader(unpacked, 1 << 20)
    else:
        with path.open("rb", buffering=1 << 20) as file:
            yield file


def _read_text(
    file: BinaryIO, path: Path, keep: set[bytes] | None, most_frequent: int
) -> WordVectors:
    """Reads word2vec or GloVe text."""
    first = file.readline().removeprefix(codecs.BOM_UTF8)
    fields = first.split()
    count = None
    if _is_header(first):
        count, dim = map(int, fields)
        lines: Iterable[bytes] = file
        start = 2
    else:
        dim = len(fields) - 1
        lines = _chain(first, file)
        start = 1
    if dim < 1:
        raise InputError(
            f"{path}, line 1: expected a word and its numbers, or the number of words and their "
            f"width. Received: {first[:60].decode('utf-8', 'replace').strip()!r}"
        )
    kept: dict[bytes, np.ndarray] = {}
    repeated = undecodable = 0
    number = start - 1
    for number, line in enumerate(lines, start=start):
        line = line.rstrip()
        # One space after the word and one between numbers, in nearly all rows of all files.
        if line.count(b" ") == dim:
            end = line.find(b" ")
        else:
            end = _word_end(line, dim)
        word = line[:end]
        numbers = line[end:]
        if end < 1 or numbers.translate(None, _NUMBER_CHARACTERS):
            raise _bad_row(path, number, line, dim)
        undecodable += not _is_utf8(word)
        if keep is None or word in keep or number - start < most_frequent:
            if word in kept:
                repeated += 1
                continue
            try:
                row = np.array(numbers.split(), np.float32)
            except ValueError:
                raise _bad_row(path, number, line, dim) from None
            if len(row) != dim or not np.isfinite(row).all():
                raise _bad_row(path, number, line, dim)
            kept[word] = row
    found = number - start + 1
    if count is not None and found != count:
        raise InputError(
            f"{path}: expected {count:,} words, as its first line says. Received {found:,}: the "
            f"file is cut off or damaged. Fetch it again."
        )
    return _word_vectors(path, kept, dim, found, repeated, undecodable)


def _word_vectors(path: Path, kept: dict[bytes, np.ndarray], dim: int, *counts: int) -> WordVectors:
    """Returns what was kept of a file, and its counts."""
    words = tuple(word.decode("utf-8", "replace") for word in kept)
    vectors = np.stack(list(kept.values())) if kept else np.empty((0, dim), np.float32)
    return WordVectors(words, vectors, _set_name(path), *counts)


def _is_utf8(word: bytes) -> bool:
    """Returns whether a word is UTF-8."""
    if word.isascii():
        return True
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    """Yields a line, then the others."""
    yield first
    yield from rest


def _word_end(line: bytes, dim: int) -> int:
    """Returns where the word of a row ends that has spaces in it; -1 if numbers are missing."""
    parts = line.rsplit(None, dim)
    return -1 if len(parts) != dim + 1 else len(parts[0])


def _bad_row(path: Path, number: int, line: bytes, dim: int) -> InputError:
    """Returns the error for a row that has no word with `dim` numbers."""
    received = max(len(line.split()) - 1, 0)
    shown = line[:60].decode("utf-8", "replace")
    what = f"{received}" if received != dim else "some that are no finite numbers"
    return InputError(
        f"{path}, line {number}: expected a word and {dim} numbers. Received {what}: {shown!r}. "
        f"The file is damaged, or has vectors of several widths."
    )


def _read_binary(
    file: BinaryIO, path: Path, keep: set[bytes] | None, most_frequent: int
) -> WordVectors:
    """Reads word2vec binary: `words dim\\n`, then a word, a space, float32[dim], maybe `\\n`."""
    header = file.readline(100)
    count, dim = map(int, header.split()) if _is_header(header) else (0, 0)
    if dim < 1:
        raise InputError(
            f"{path}: expected word2vec binary, which begins with the number of words and their "
            f"width. Received: {header[:60]!r}"
        )
    width = 4 * dim
    kept: dict[bytes, np.ndarray] = {}
    repeated = undecodable = 0
    block, place, number = b"", 0, 0
    while number < count:
        # All the rows of a block, then the rest of it goes before the next block.
        end = block.find(b" ", place)
        if end < 0 or end + 1 + width > len(block):
            is_word = end >= 0 or len(block) - place < _LONGEST
            more = file.read(_BLOCK) if is_word else b""
            if not more:
                raise InputError(
                    f"{path}: expected {count:,} words, as its first line says. The file ends, or "
                    f"makes no sense, within word {number + 1:,}: it is cut off or damaged. Fetch "
                    f"it again."
                )
            block, place = block[place:] + more, 0
            continue
        word = block[place:end].lstrip(b"\n")
        row = np.frombuffer(block, "<f4", dim, end + 1)
        if not np.isfinite(row).all():
            raise InputError(
                f"{path}, word {number + 1:,} ({word.decode('utf-8', 'replace')!r}): expected "
                f"finite numbers. Received some that are not: the file is damaged."
            )
        undecodable += not _is_utf8(word)
        if keep is None or word in keep or number < most_frequent:
            if word in kept:
                repeated += 1
            else:
                kept[word] = row.astype(np.float32)
        place = end + 1 + width
        number += 1
    # To the end of the file, where gzip's checksum stands.
    if (block[place:] + file.read(_BLOCK)).strip(b"\n"):
        raise InputError(
            f"{path}: expected {count:,} words, as its first line says. Received more: the file is "
            f"damaged, or has vectors of another width. Fetch it again."
        )
    return _word_vectors(path, kept, dim, count, repeated, undecodable)


def _read_keyed_vectors(
    path: Path, wanted: Collection[str] | None, most_frequent: int
) -> WordVectors:
    """Reads gensim's own format, by gensim; the matrix stays on the disk but for what is kept."""
    from gensim.models import KeyedVectors

    if path.suffix != ".kv":
        raise InputError(f"{path}: expected gensim's .kv unpacked, with the files beside it.")
    try:
        keyed = KeyedVectors.load(str(path), mmap="r")
        words = keyed.index_to_key
    except Exception as error:  # gensim unpickles; anything may come of a damaged file.
        raise InputError(
            f"{path}: expected gensim's KeyedVectors, but they cannot be read "
            f"({type(error).__name__}: {error})."
        ) from error
    keep = None if wanted is None else set(wanted)
    rows = [
        row for row, word in enumerate(words) if keep is None or word in keep or row < most_frequent
    ]
    vectors = np.asarray(keyed.vectors[rows], np.float32)
    return WordVectors(tuple(words[row] for row in rows), vectors, _set_name(path), len(words))


# === Words → vectors ===


def forms(token: str) -> tuple[str, ...]:
    """Returns the spellings under which a token's vector is looked for, in order.

    The token itself; in lower case; Capitalised; in UPPER case; and, for brackets, as treebanks
    write them, for the unknown token `UNK`. Where none of them has a vector, a compound takes the
    mean of those of its pieces between hyphens and slashes; see `pieces`.
    """
    others = _OTHERS.get(token, ())
    cased = (token, token.lower(), token[:1].upper() + token[1:].lower(), token.upper(), *others)
    return tuple(dict.fromkeys(cased))


_OTHERS = {"(": ("-lrb-", "-LRB-"), ")": ("-rrb-", "-RRB-"), UNKNOWN: ("UNK",)}


def pieces(token: str) -> list[str]:
    """Returns what stands between a compound's hyphens and slashes; nothing for other tokens."""
    parts = [part for part in token.replace("/", "-").split("-") if part]
    return parts if len(parts) > 1 else []


def wanted_words(tokens: Iterable[str]) -> set[str]:
    """Returns every word whose vector could serve one of the tokens."""
    wanted = set(forms(UNKNOWN))
    for token in tokens:
        wanted.update(forms(token))
        for piece in pieces(token):
            wanted.update(forms(piece))
    return wanted


def _rows(token: str, vectors: WordVectors) -> tuple[str, list[int]]:
    """Returns how a token's vector was found, and the rows whose mean it is."""
    for form in forms(token):
        if form in vectors.index:
            return ("exact" if form == token else "casing"), [vectors.index[form]]
    rows = []
    for piece in pieces(token):
        for form in forms(piece):
            if form in vectors.index:
                rows.append(vectors.index[form])
                break
    return ("pieces" if rows else "missing"), rows


def has_vector(tokens: Iterable[str], vectors: WordVectors) -> np.ndarray:
    """Returns bool[tokens]: whether a token has a vector of its own, of its form's or pieces'."""
    return np.asarray([_rows(token, vectors)[0] != "missing" for token in tokens], bool)


def embedding_matrix(tokens: Sequence[str], vectors: WordVectors, seed: int) -> np.ndarray:
    """Returns the vectors of a vocabulary.

    Row 0, padding, is zero. A word without a vector, and the unknown token where the file has none,
    gets random numbers of the same variance as the file's (Kim, "Convolutional Neural Networks for
    Sentence Classification", EMNLP 2014): uniform, each dimension with its own.

    Args:
        tokens: The vocabulary's tokens by id.
        vectors: The vectors to take from.
        seed: The random numbers'.

    Returns:
        float32[tokens, dim].
    """
    matrix = np.random.default_rng(seed).uniform(-1.0, 1.0, (len(tokens), vectors.dim))
    if len(vectors.words) > 1:
        matrix *= np.sqrt(3.0) * vectors.vectors.std(axis=0)
    else:
        matrix *= 0.25
    matrix[0] = 0.0
    for number, token in enumerate(tokens[1:], start=1):
        rows = _rows(token, vectors)[1]
        if rows:
            matrix[number] = vectors.vectors[rows].mean(axis=0)
    return matrix.astype(np.float32)


@dataclass(frozen=True)
class Coverage:
    """How many of some texts' words have a vector.

    Attributes:
        splits: Split → figures: `types`, `tokens` (how many there are), `types_found`,
            `tokens_found` (shares, 0 to 1), and `exact`, `casing`, `pieces`, `missing` (shares of
            the running tokens by how their vector was found).
        missing: The most frequent words without a vector, and how often they occur in all.
    """

    splits: dict[str, dict[str, float]]
    missing: tuple[tuple[str, int], ...] = field(default=())

    @property
    def tokens_found(self) -> float:
        """The share of all running tokens that have a vector, 0 to 1."""
        total = sum(figures["tokens"] for figures in self.splits.values())
        found = sum(figures["tokens"] * figures["tokens_found"] for figures in self.splits.values())
        return found / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures, for JSON."""
        return {"splits": self.splits, "missing": [list(pair) for pair in self.missing]}

    def __str__(self) -> str:
        """Returns a line a split, and the most frequent missing words."""
        lines = [
            f"  {split:<5} {figures['types_found']:6.1%} of {figures['types']:,} types, "
            f"{figures['tokens_found']:6.1%} of {figures['tokens']:,} tokens have a vector"
            for split, figures in self.splits.items()
        ]
        if self.missing:
            words = ", ".join(f"{word} ({count})" for word, count in self.missing[:8])
            lines.append(f"  most frequent without: {words}")
        return "\n".join(lines)


def measure_coverage(counts: Mapping[str, Mapping[str, int]], vectors: WordVectors) -> Coverage:
    """Measures how many of some texts' words have a vector.

    Args:
        counts: Split → token → how often it occurs.
        vectors: The vectors.
    """
    splits = {}
    missing: dict[str, int] = {}
    for split, words in counts.items():
        types = dict.fromkeys(("exact", "casing", "pieces", "missing"), 0)
        tokens = dict(types)
        for word, count in words.items():
            how = _rows(word, vectors)[0]
            types[how] += 1
            tokens[how] += count
            if how == "missing":
                missing[word] = missing.get(word, 0) + count
        all_types, all_tokens = sum(types.values()), sum(tokens.values())
        splits[split] = {
            "types": all_types,
            "tokens": all_tokens,
            "types_found": 1 - types["missing"] / max(all_types, 1),
            "tokens_found": 1 - tokens["missing"] / max(all_tokens, 1),
            **{how: count / max(all_tokens, 1) for how, count in tokens.items()},
        }
    frequent = sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))[:_FEW]
    return Coverage(splits, tuple(frequent))


# === Finding, fetching, keeping ===


def load_vectors(path: str | Path, tokens: Iterable[str], most_frequent: int = 0) -> WordVectors:
    """Reads the vectors that could serve some tokens, from the cache where they were read before.

    The cache goes by content: what the file holds, and which words are wanted.

    Args:
        path: The file.
        tokens: The tokens; see `forms` for the words that may serve one.
        most_frequent: How many of the file's first words to keep besides.

    Raises:
        InputError: As `read_vectors` has it.
    """
    wanted = wanted_words(tokens)
    digest = hashlib.sha256(f"{_CACHE_FORMAT} {fingerprint(path)} {most_frequent}".encode())
    digest.update("\n".join(sorted(wanted)).encode("utf-8"))
    cached = locations.cache_dir() / "vectors-cache" / f"{digest.hexdigest()}.npz"
    try:
        with np.load(cached, allow_pickle=False) as arrays:
            words = arrays["words"].tobytes().decode("utf-8").split("\n")
            counts = arrays["counts"].tolist()
            name = _set_name(Path(path))
            vectors = WordVectors(tuple(words), arrays["vectors"], name, *counts)
        if len(vectors.words) == len(vectors.vectors):
            return vectors
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there, or damaged: made again
    vectors = read_vectors(path, wanted, most_frequent)
    if not vectors.words:
        return vectors
    words = np.frombuffer("\n".join(vectors.words).encode("utf-8"), np.uint8)
    counts = np.array([vectors.words_in_file, vectors.repeated, vectors.undecodable])
    with files.whole_file(cached) as partial:
        np.savez(partial, words=words, vectors=vectors.vectors, counts=counts)
    return vectors


def fingerprint(path: str | Path) -> str:
    """Returns the sha256 of a file's bytes.

    It is kept in the cache under the file's path, size and times of change, since a file of
    gigabytes takes seconds to read; but not while the file is so new that its next change could
    have the same time.
    """
    path = Path(path).resolve()
    if path.suffix == ".kv":
        return _sha256(sorted(path.parent.glob(f"{path.name}*")))
    status = path.stat()
    # A copy that keeps the time of its contents (`cp -p`) has another time of its own.
    state = f"{path}\n{status.st_size}\n{status.st_mtime_ns}\n{status.st_ctime_ns}"
    key = hashlib.sha256(state.encode()).hexdigest()
    kept = locations.cache_dir() / "vectors-cache" / f"{key}.sha256"
    if kept.is_file() and len(known := kept.read_text("ascii", "replace")) == 64:
        return known
    received = _sha256([path])
    if time.time() - status.st_mtime > _FRESH:
        files.write_text(kept, received)
    return received


def _sha256(paths: Iterable[Path]) -> str:
    """Returns the sha256 of some files' bytes, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _set_name(path: Path) -> str:
    """Returns what a file of vectors is called: its name without endings."""
    if path == locations.bundled("sample") / "vectors.txt":
        return "sample"
    name = path.name
    for ending in (".gz", ".zip", ".txt", ".vec", ".bin", ".kv"):
        name = name.removesuffix(ending)
    return name


def available_vectors(data_dir: str | Path | None = None) -> dict[str, Path]:
    """Returns name → file of the sets in `vectors/` below the data folder and the cache.

    Sets of gensim's downloader that are on the disk already are among them.
    """
    found: dict[str, Path] = {}
    for folder in locations.data_dirs(data_dir):
        if (folder / "vectors").is_dir():
            for ending in _ENDINGS:
                for path in sorted((folder / "vectors").glob(f"*{ending}")):
                    found.setdefault(_set_name(path), path)
    for folder in sorted(_downloader_dir().glob("*/")):
        for path in (folder / folder.name, folder / f"{folder.name}.gz"):
            if path.is_file():
                found.setdefault(folder.name, path)
    return dict(sorted(found.items()))


def _downloader_dir() -> Path:
    """Returns where gensim's downloader keeps its files."""
    return Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data")


def find_vectors(name_or_path: str | Path, data_dir: str | Path | None = None) -> Path:
    """Returns the file of a set of vectors.

    Args:
        name_or_path: A path; `sample`, the bundled ones; or a name that `available_vectors` has.
        data_dir: The folder that has `vectors/`, in place of the environment's.

    Raises:
        UsageError: If there is none; the message lists those there are.
    """
    if str(name_or_path) == "sample":
        return locations.bundled("sample") / "vectors.txt"
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    available = available_vectors(data_dir)
    if str(name_or_path) in available:
        return available[str(name_or_path)]
    # A name may be given with its ending.
    for path in available.values():
        if (path.parent / name_or_path).is_file():
            return path.parent / name_or_path
    near = difflib.get_close_matches(str(name_or_path), available, n=1)
    raise UsageError(
        f"--vectors: there are no vectors {str(name_or_path)!r}"
        f"{f' (did you mean {near[0]!r}?)' if near else ''}. Expected a file, none, or one of "
        f"{', '.join(['sample', *available])}. `sst-keras vectors fetch NAME` gets those that "
        f"gensim's downloader has, such as glove-wiki-gigaword-300."
    )


def choose_vectors(
    counts: Mapping[str, Mapping[str, int]],
    data_dir: str | Path | None = None,
    most_frequent: int = 0,
) -> tuple[str, Path] | None:
    """Returns name and file of the set that has most of some texts' running tokens.

    Among equals the one with more dimensions, then the first by name.

    Args:
        counts: Split → token → how often it occurs.
        data_dir: The folder that has `vectors/`, in place of the environment's.
        most_frequent: As `load_vectors` has it, so that the cache serves the next call too.
    """
    words = set().union(*counts.values())
    best = None
    for name, path in available_vectors(data_dir).items():
        try:
            vectors = load_vectors(path, words, most_frequent)
        except InputError as error:  # a file of another kind must not stop the choice
            log.warning(f"Left out: {error}")
            continue
        score = (measure_coverage(counts, vectors).tokens_found, vectors.dim)
        if best is None or score > best[0]:
            best = (score, name, path)
    return best and (best[1], best[2])


def fetch_vectors(name: str, probe: Callable[[str], bool]) -> Path:
    """Fetches a set by gensim's downloader, unless it is there.

    Args:
        name: One of the downloader's names, such as `glove-wiki-gigaword-300`.
        probe: Tells, in a short time, whether an address answers.

    Raises:
        UsageError: If the downloader has no such set.
        InputError: If the network does not answer, or breaks off.
    """
    available = available_vectors()
    if name in available:
        return available[name]
    import gensim.downloader

    address = gensim.downloader.DATA_LIST_URL
    if not probe(address):
        raise InputError(
            f"{name}: gensim's list of vectors, {address}, does not answer. Download vectors "
            f"elsewhere, and put the file into {locations.cache_dir() / 'vectors'}{os.sep}."
        )
    try:
        models = gensim.downloader.info(name_only=True)["models"]
        if name not in models:
            raise UsageError(f"There are no vectors {name!r}. Expected one of {', '.join(models)}.")
        return Path(gensim.downloader.load(name, return_path=True))
    except OSError as error:
        raise InputError(f"{name}: the download broke off ({error}). Fetch it again.") from None


def nearest(
    path: str | Path, words: Sequence[str], count: int = 10, most_frequent: int = 200_000
) -> dict[str, list[tuple[str, float]]]:
    """Returns the words nearest to each of some words, and their cosines, the nearest first.

    Args:
        path: The file.
        words: The words; see `forms` for the spellings that may serve one.
        count: How many neighbours of each.
        most_frequent: How many of the file's first words to look among.

    Raises:
        UsageError: If a word has no vector.
    """
    vectors = read_vectors(path, wanted_words(words), most_frequent)
    # A vector of zeros, which some files have for padding, points nowhere and has no cosine.
    rows = np.flatnonzero(vectors.vectors.any(axis=1))
    keyed = replace(
        vectors,
        words=tuple(vectors.words[row] for row in rows),
        vectors=vectors.vectors[rows],
    ).to_keyed_vectors()
    found = {}
    for word in words:
        form = next((form for form in forms(word) if form in keyed), None)
        if form is None:
            raise UsageError(f"{vectors.name}: there is no vector, or only zeros, for {word!r}.")
        found[word] = keyed.most_similar(form, topn=count)
    return found


def describe(path: str | Path) -> dict[str, Any]:
    """Returns a set's name, file, format, words, width, first words, bytes and fingerprint.

    Every row of the file is checked.
    """
    first = read_vectors(path, wanted=(), most_frequent=10)
    return {
        "name": first.name,
        "file": str(path),
        "format": _format(Path(path)),
        "words": first.words_in_file,
        "not_utf8": first.undecodable,
        "dim": first.dim,
        "first_words": list(first.words),
        "bytes": Path(path).stat().st_size,
        "fingerprint": fingerprint(path),
    }
