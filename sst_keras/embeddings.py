"""Pretrained word vectors → `float32[words, dim]`, and how much of a text they cover.

Big files stream: memory holds the words that are wanted, however long the file is. gensim does its
own `.kv` files, its downloader, and neighbours; `WordVectors` gives and takes its `KeyedVectors`.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from sst_keras import files, locations
from sst_keras.errors import InputError, UsageError
from sst_keras.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

# The endings that a name may be given without; where several files match, the first wins.
_ENDINGS = (".kv", ".txt", ".vec", ".bin", ".txt.gz", ".vec.gz", ".bin.gz", ".txt.zip", ".zip")
_FEW = 20  # missing words in a coverage report
_CACHE_FORMAT = "1"  # to be raised when cached files would be read differently
_BLOCK = 1 << 24  # bytes of a binary file that are read at a time
_NUMBER_CHARACTERS = b"0123456789+-.eE \t"


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: The words, the most frequent first where the file has them so.
        vectors: float32[words, dim].
        name: What the set is called.
        words_in_file: How many words the file has that these were read from, kept or not.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    name: str = "vectors"
    words_in_file: int = 0

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

    Formats, each plain, `.gz` or in a `.zip`: word2vec binary (`.bin`), word2vec text (a first line
    `words dim`), GloVe text (no such line); and gensim's `.kv`. A text row is a word, which may
    hold spaces, and `dim` numbers. Rows that are not kept are checked too, for the number of their
    fields and the characters in them.

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
    kind = path.name.removesuffix(".gz").removesuffix(".zip")
    try:
        if kind.endswith(".kv"):
            return _read_keyed_vectors(path, wanted, most_frequent)
        with _open(path) as file:
            if kind.endswith(".bin") or _is_binary(file):
                words, vectors, count = _read_binary(file, path, keep, most_frequent)
            else:
                words, vectors, count = _read_text(file, path, keep, most_frequent)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected whole compressed word vectors, but {error}.") from None
    return WordVectors(tuple(words), vectors, _set_name(path), count)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Opens a file as it is, or what is inside of a `.gz`, or a `.zip` with one file."""
    if path.suffix == ".gz":
        with gzip.open(path) as unpacked:
            yield io.BufferedReader(unpacked, 1 << 20)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
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


def _is_binary(file: BinaryIO) -> bool:
    """Returns whether a file is no text, whatever its name; leaves it at its start.

    The downloader's `word2vec-google-news-300.gz` is such a one.
    """
    head = file.peek(4096)[:4096]
    return b"\0" in head


def _read_text(
    file: BinaryIO, path: Path, keep: set[bytes] | None, most_frequent: int
) -> tuple[list[str], np.ndarray, int]:
    """Reads word2vec or GloVe text; returns words, vectors, and how many words there are."""
    first = file.readline()
    fields = first.split()
    count = None
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
        count, dim = int(fields[0]), int(fields[1])
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
    words: dict[bytes, None] = {}
    rows: list[np.ndarray] = []
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
        is_wanted = keep is None or word in keep or number - start < most_frequent
        if end < 0 or numbers.translate(None, _NUMBER_CHARACTERS):
            raise _bad_row(path, number, line, dim)
        if is_wanted and word not in words:
            try:
                row = np.array(numbers.split(), np.float32)
            except ValueError:
                raise _bad_row(path, number, line, dim) from None
            if len(row) != dim or not np.isfinite(row).all():
                raise _bad_row(path, number, line, dim)
            words[word] = None
            rows.append(row)
    found = number - start + 1
    if count is not None and found != count:
        raise InputError(
            f"{path}: expected {count:,} words, as its first line says. Received {found:,}: the "
            f"file is cut off or damaged. Fetch it again."
        )
    vectors = np.stack(rows) if rows else np.empty((0, dim), np.float32)
    return [word.decode("utf-8", "replace") for word in words], vectors, found


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
    received = len(line.split()) - 1
    shown = line[:60].decode("utf-8", "replace")
    what = f"{received}" if received != dim else "some that are no finite numbers"
    return InputError(
        f"{path}, line {number}: expected a word and {dim} numbers. Received {what}: {shown!r}. "
        f"The file is damaged, or has vectors of several widths."
    )


def _read_binary(
    file: BinaryIO, path: Path, keep: set[bytes] | None, most_frequent: int
) -> tuple[list[str], np.ndarray, int]:
    """Reads word2vec binary: `words dim\\n`, then a word, a space, float32[dim], maybe `\\n`."""
    header = file.readline(100).split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        raise InputError(
            f"{path}: expected word2vec binary, which begins with the number of words and their "
            f"width. Received: {b' '.join(header)[:60]!r}"
        )
    count, dim = map(int, header)
    width = 4 * dim
    words: dict[bytes, None] = {}
    rows: list[np.ndarray] = []
    block, place, number = b"", 0, 0
    while number < count:
        # All the rows of a block, then the rest of it goes before the next block.
        end = block.find(b" ", place)
        if end < 0 or end + 1 + width > len(block):
            more = file.read(_BLOCK)
            if not more:
                raise InputError(
                    f"{path}: expected {count:,} words, as its first line says. The file ends "
                    f"within word {number + 1:,}: it is cut off. Fetch it again."
                )
            block, place = block[place:] + more, 0
            continue
        word = block[place:end].lstrip(b"\n")
        place = end + 1 + width
        if (keep is None or word in keep or number < most_frequent) and word not in words:
            row = np.frombuffer(block, "<f4", dim, end + 1).astype(np.float32)
            if not np.isfinite(row).all():
                raise InputError(
                    f"{path}, word {number + 1:,} ({word.decode('utf-8', 'replace')!r}): expected "
                    f"finite numbers. Received some that are not: the file is damaged."
                )
            words[word] = None
            rows.append(row)
        number += 1
    vectors = np.stack(rows) if rows else np.empty((0, dim), np.float32)
    return [word.decode("utf-8", "replace") for word in words], vectors, count


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
    write them. Where none of them has a vector, a compound takes the mean of those of its pieces
    between hyphens and slashes; see `pieces`.
    """
    brackets = _BRACKETS.get(token, ())
    cased = (token, token.lower(), token[:1].upper() + token[1:].lower(), token.upper(), *brackets)
    return tuple(dict.fromkeys(cased))


_BRACKETS = {"(": ("-lrb-", "-LRB-"), ")": ("-rrb-", "-RRB-")}


def pieces(token: str) -> list[str]:
    """Returns what stands between a compound's hyphens and slashes; nothing for other tokens."""
    parts = [part for part in token.replace("/", "-").split("-") if part]
    return parts if len(parts) > 1 else []


def wanted_words(tokens: Iterable[str]) -> set[str]:
    """Returns every word whose vector could serve one of the tokens."""
    wanted = {UNKNOWN}
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
            vectors = WordVectors(tuple(words), arrays["vectors"], _set_name(Path(path)))
        if len(vectors.words) == len(vectors.vectors):
            return vectors
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there, or damaged: made again
    vectors = read_vectors(path, wanted, most_frequent)
    if not vectors.words:
        return vectors
    words = np.frombuffer("\n".join(vectors.words).encode("utf-8"), np.uint8)
    with files.whole_file(cached) as partial:
        np.savez(partial, words=words, vectors=vectors.vectors)
    return vectors


def fingerprint(path: str | Path) -> str:
    """Returns the sha256 of a file's bytes.

    It is kept in the cache under the file's path, size and time of change, since a file of
    gigabytes takes seconds to read.
    """
    path = Path(path).resolve()
    if path.suffix == ".kv":
        return _sha256(sorted(path.parent.glob(f"{path.name}*")))
    status = path.stat()
    key = hashlib.sha256(f"{path}\n{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()
    kept = locations.cache_dir() / "vectors-cache" / f"{key}.sha256"
    if kept.is_file() and len(known := kept.read_text("ascii", "replace")) == 64:
        return known
    received = _sha256([path])
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
        vectors = load_vectors(path, words, most_frequent)
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
        InputError: If the network does not answer.
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
    models = [model for model in gensim.downloader.info(name_only=True)["models"]]
    if name not in models:
        raise UsageError(f"There are no vectors {name!r}. Expected one of {', '.join(models)}.")
    return Path(gensim.downloader.load(name, return_path=True))


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
    keyed = vectors.to_keyed_vectors()
    found = {}
    for word in words:
        form = next((form for form in forms(word) if form in vectors.index), None)
        if form is None:
            raise UsageError(f"{vectors.name}: there is no vector for {word!r}.")
        found[word] = keyed.most_similar(form, topn=count)
    return found


def describe(path: str | Path) -> dict[str, Any]:
    """Returns a set's name, file, number of words, width, first words, bytes and fingerprint.

    Every row of the file is checked.
    """
    first = read_vectors(path, wanted=(), most_frequent=10)
    return {
        "name": first.name,
        "file": str(path),
        "words": first.words_in_file,
        "dim": first.dim,
        "first_words": list(first.words),
        "bytes": Path(path).stat().st_size,
        "fingerprint": fingerprint(path),
    }
