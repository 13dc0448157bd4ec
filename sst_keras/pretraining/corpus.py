"""Unlabelled texts → sentences of words on disk, prepared once for all that learns from them.

A corpus is a folder in the user's cache: `words.txt`, one word per line, by falling frequency, then
by code point; `counts.npy`, int64[words]; `ids.npy`, int32[tokens]; `starts.npy`,
int64[sentences + 1]; and `corpus.json`. Memory holds the distinct words and a block of tokens.
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from sst_keras import files, locations
from sst_keras.encoder import normalize
from sst_keras.errors import InputError
from sst_keras.pretraining.sources import Dataset, TextFiles, find_source
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.tables.notation import undo_lines, undo_markup, undo_python
from sst_keras.texts import TextReader, Texts, Words
from sst_keras.vocabulary import UNKNOWN

log = logging.getLogger(__name__)

# Raise it when the same texts would be prepared differently.
_FORMAT = 1
_SENTENCES = 1 << 16  # handled at a time
_TEXTS = 1 << 12  # handled at a time
_TOKENS = 1 << 22  # handled at a time
_LONGEST = 100_000  # characters of a sentence
_END = re.compile(
    r"([.!?]"
    # A full stop after a title or an initial ends no sentence. `I` may be the word.
    r"(?<!\b[A-HJ-Z]\.)(?<!\bM[rs]\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bMrs\.)(?<!\bProf\.)"
    r"[\"'\u201d\u2019)\]]*)\s+(?=[\"'\u201c\u2018(\[]*[A-Z0-9\u00c0-\u00d6\u00d8-\u00de])"
)


@dataclass(frozen=True, eq=False)
class TextCorpus:
    """Sentences of words. Sentence `i` is `ids[starts[i]:starts[i + 1]]`, at least one word.

    Attributes:
        name: A short name.
        fingerprint: A sha256 of the sentences.
        words: The distinct words by falling frequency, then by code point.
        counts: int64[words], how often each occurs.
        ids: int32[tokens], numbers of `words`, memory mapped.
        starts: int64[sentences + 1], memory mapped.
        lowercase: Whether the words are in lower case.
        repeated: How many sentences have occurred before in the corpus; case does not count.
        notes: What a user should know about how the texts were read, one sentence each.
    """

    name: str
    fingerprint: str
    words: tuple[str, ...]
    counts: np.ndarray
    ids: np.ndarray
    starts: np.ndarray
    lowercase: bool
    repeated: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __str__(self) -> str:
        repeated = f" ({self.repeated:,} of them repeated)" if self.repeated else ""
        return (
            f"{self.name}: {len(self):,} sentences{repeated}, {len(self.ids):,} tokens, "
            f"{len(self.words):,} words"
        )

    @property
    def file_name(self) -> str:
        """The name with hyphens in place of what is no letter, digit, dot or hyphen."""
        return re.sub(r"[^\w.-]+", "-", self.name)

    def row(self, index: int) -> list[str]:
        """Returns the words of a sentence."""
        index = range(len(self))[index]
        return [self.words[each] for each in self.ids[self.starts[index] : self.starts[index + 1]]]

    @classmethod
    def open(cls, folder: Path, name: str, notes: Sequence[str] = ()) -> Self:
        """Opens a prepared corpus under a name; a damaged one raises an `InputError`.

        `notes` are those of how its texts were found, which the folder does not have.
        """
        about = files.read_json(folder / "corpus.json")
        try:
            content = (folder / "words.txt").read_bytes()
            corpus = cls(
                name,
                about["fingerprint"],
                tuple(content.decode("utf-8").removesuffix("\n").split("\n")),
                files.read_array(folder / "counts.npy"),
                files.read_array(folder / "ids.npy", memory_map=True),
                files.read_array(folder / "starts.npy", memory_map=True),
                about["settings"]["lowercase"],
                about["repeated"],
                (*notes, *about["notes"]),
            )
            sizes = (len(corpus), len(corpus.ids), len(corpus.words), len(corpus.counts))
            expected = (about["sentences"], about["tokens"], about["types"], about["types"])
            is_whole = corpus._is_whole(content)
        except Exception as error:  # Damaged files may have arrays of any shape.
            raise InputError(f"{folder}: expected a prepared corpus. {error}") from None
        if sizes != expected:
            raise InputError(f"{folder}: expected {expected} entries. Received {sizes}.")
        if not is_whole:
            raise InputError(f"{folder}: the prepared corpus has changed since it was written.")
        return corpus

    def _is_whole(self, words: bytes) -> bool:
        """Whether the arrays and the content of `words.txt` are what was prepared."""
        kinds = [array.dtype.str for array in (self.counts, self.ids, self.starts)]
        if kinds != ["<i8", "<i4", "<i8"] or self.starts[0] != 0:
            return False
        if self.fingerprint != _fingerprint(words, self.ids, self.starts):
            return False
        blocks = range(0, len(self.ids), _TOKENS)
        parts = (self.ids[start : start + _TOKENS] for start in blocks)
        counts = sum(np.bincount(part, minlength=len(self.words)) for part in parts)
        return np.array_equal(self.counts, counts)


def prepare_corpus(
    source: str | Sequence[str],
    data: DataConfig | None = None,
    lowercase: bool = True,
    data_dir: str | Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, size: None,
) -> TextCorpus:
    """Returns the sentences of some texts, prepared now or earlier.

    The words are the tokens of `sst_keras.tokenizer`. Repeated sentences are kept and counted.

    Args:
        source: Files, folders and patterns, or a data set of TensorFlow Datasets; see
            `sources.find_source`.
        data: How files are read. If `markup` is `auto`, tags, `&amp;` and the like are undone, and
            `<br>`, `<p>` and a written-out line break end a sentence.
        lowercase: Whether words that differ only in case are the same word.
        data_dir: The data folder, instead of the environment's.
        on_progress: Is called while the texts are read, with how much is done and of how much.

    Raises:
        UsageError: If there is no such file, data set or column.
        InputError: If a file cannot be read, or there is no sentence.
    """
    data = data or DataConfig()
    texts = find_source(source, data, data_dir)
    key = f"{_FORMAT} {lowercase} {data.markup} {texts.digest()}"
    folder = locations.cache_dir() / "corpora" / hashlib.sha256(key.encode()).hexdigest()
    notes = tuple(texts.notes)  # of these names; the folder is for all names of the same texts
    if folder.is_dir():
        try:
            return TextCorpus.open(folder, texts.name, notes)
        except InputError as error:
            log.warning(f"{error} It is prepared again.")
            shutil.rmtree(folder)
    with files.whole_folder(folder) as partial:
        _prepare(texts, data, lowercase, partial, on_progress)
    return TextCorpus.open(folder, texts.name, notes)


def split_sentences(text: str, undo: bool = True) -> list[str]:
    """Returns the sentences of a text.

    A line break ends a sentence; so does `.`, `!` or `?`, perhaps with closing quotes and brackets,
    before white space and a capital or a digit. `undo` is whether markup is undone.
    """
    if undo and text.endswith(("'", '"', "]")) and text.lstrip()[:1] in ("[", "b"):
        text = undo_python(text)
    sentences = []
    for line in undo_lines(text) if undo else text.splitlines():
        line = undo_markup(line) if undo else line
        for sentence in _END.sub("\\1\n", line).split("\n"):
            while len(sentence) > _LONGEST:
                stop = sentence.rfind(" ", 0, _LONGEST) + 1 or _LONGEST
                sentences.append(sentence[:stop])
                sentence = sentence[stop:]
            if sentence and not sentence.isspace():
                sentences.append(sentence)
    return sentences


def _prepare(
    source: TextFiles | Dataset,
    data: DataConfig,
    lowercase: bool,
    folder: Path,
    on_progress: Callable[[int, int], None],
) -> None:
    """Writes a corpus into a folder."""
    found = len(source.notes)
    raw_ids, raw_lengths = folder / "ids.raw", folder / "lengths.raw"
    spellings, counts, size = _tokenize(source, data, raw_ids, raw_lengths, on_progress)
    # A sentence without tokens is one unknown token, which is in no other sentence.
    blank = np.flatnonzero(spellings == UNKNOWN.encode())
    dropped = int(counts[blank].sum())
    counts[blank] = 0
    spelled = normalize(tf.constant(spellings, tf.string), lowercase).numpy()
    distinct, same = np.unique(spelled, return_inverse=True)  # bytes in the order of code points
    counts = np.bincount(same, counts, len(distinct)).astype(np.int64)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    if not len(order):
        raise InputError(f"{source.name}: expected sentences. Received no word at all.")
    words, counts = distinct[order], counts[order]
    places = np.full(len(distinct), -1, np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    numbers = places[same].astype(np.int32)

    text = b"".join(word + b"\n" for word in words)
    (folder / "words.txt").write_bytes(text)
    np.save(folder / "counts.npy", counts)
    sentences, tokens = size - dropped, int(counts.sum())
    all_words, all_keys = Words(words), folder / "keys.raw"
    with (
        (folder / "ids.npy").open("wb") as ids_file,
        (folder / "starts.npy").open("wb") as starts_file,
        all_keys.open("wb") as keys_file,
    ):
        _write_header(ids_file, "<i4", tokens)
        _write_header(starts_file, "<i8", sentences + 1)
        starts_file.write(np.zeros(1, "<i8").tobytes())
        done = 0
        for ids, lengths in _blocks(raw_ids, raw_lengths):
            if len(blank):
                is_blank = np.repeat(lengths == 1, lengths) & (ids == blank[0])
                lengths = lengths[~is_blank[np.cumsum(lengths) - 1]]
                ids = ids[~is_blank]
            ids = numbers[ids]
            starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            keys_file.write(Texts(all_words, ids, starts).keys().tobytes())
            ids_file.write(ids.tobytes())
            starts_file.write((starts[1:] + done).tobytes())
            done += len(ids)
    repeated = _count_repeated(all_keys)
    for path in (raw_ids, raw_lengths, all_keys):
        path.unlink()
    places = folder / "ids.npy", folder / "starts.npy"
    arrays = [files.read_array(path, memory_map=True) for path in places]
    about = {
        "format": _FORMAT,
        "name": source.name,
        "fingerprint": _fingerprint(text, *arrays),
        "sentences": sentences,
        "tokens": tokens,
        "types": len(words),
        "repeated": repeated,
        "settings": {"lowercase": lowercase, "markup": data.markup},
        "notes": source.notes[found:],
    }
    files.write_json(folder / "corpus.json", about)


def _tokenize(
    source: TextFiles | Dataset,
    data: DataConfig,
    raw_ids: Path,
    raw_lengths: Path,
    on_progress: Callable[[int, int], None],
) -> tuple[np.ndarray, np.ndarray, int]:
    """Writes ids, int32, and sentences' lengths, int32, as `TextReader` numbers words.

    Returns the spelling of each id, object[ids] of bytes; how often each occurs, int64[ids]; and
    the number of sentences.
    """
    reader, counts, sentences = TextReader(), np.zeros(0, np.int64), 0
    undo = data.markup == "auto"
    size = source.size
    on_progress(0, size)
    with raw_ids.open("wb") as ids_file, raw_lengths.open("wb") as lengths_file:

        def write() -> None:
            nonlocal counts, sentences
            ids, lengths = reader.drain()
            ids_file.write(ids.tobytes())
            lengths_file.write(lengths.astype(np.int32).tobytes())
            more = np.bincount(ids, minlength=len(counts))
            more[: len(counts)] += counts
            counts, sentences = more, sentences + len(lengths)

        for texts, done in source.blocks():
            for start in range(0, len(texts), _TEXTS):
                part = texts[start : start + _TEXTS]
                reader.add([each for text in part for each in split_sentences(text, undo)])
                write()
            on_progress(done, size)
        spellings = reader.close()
        write()
    return spellings, np.pad(counts, (0, len(spellings) - len(counts))), sentences


def _blocks(raw_ids: Path, raw_lengths: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the ids and lengths of consecutive sentences."""
    with raw_ids.open("rb") as ids_file, raw_lengths.open("rb") as lengths_file:
        while len(lengths := np.fromfile(lengths_file, np.int32, _SENTENCES)):
            lengths = lengths.astype(np.int64)
            yield np.fromfile(ids_file, np.int32, int(lengths.sum())), lengths


def _count_repeated(path: Path) -> int:
    """Returns how many of the keys in a file, uint64, have occurred before. Sorts the file."""
    keys = np.memmap(path, np.uint64, "r+")
    keys.sort()  # in place: memory holds no copy
    repeated = 0
    for start in range(0, len(keys) - 1, _SENTENCES):
        stop = min(start + _SENTENCES, len(keys) - 1)
        repeated += int(np.count_nonzero(keys[start:stop] == keys[start + 1 : stop + 1]))
    return repeated


def _fingerprint(words: bytes, ids: np.ndarray, starts: np.ndarray) -> str:
    """Returns a sha256 of the sentences; `words` is the content of `words.txt`."""
    digests = (hashlib.sha256(part).hexdigest() for part in (words, ids, starts[1:]))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _write_header(file: BinaryIO, dtype: str, size: int) -> None:
    """Writes the header of NumPy's format for an array[size] whose bytes follow."""
    header = {"descr": dtype, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)
