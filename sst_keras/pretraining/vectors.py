"""A prepared corpus → word vectors, with gensim: word2vec and fastText.

Training is cut into parts of the corpus, so that progress is known and the learning rate falls
evenly. Its state is kept after each epoch: a killed training goes on from there.
"""

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files, locations
from sst_keras.engines.local import cores
from sst_keras.environment import describe_environment
from sst_keras.errors import InputError, UsageError
from sst_keras.pretraining.corpus import TextCorpus
from sst_keras.settings import VectorsConfig
from sst_keras.vectors import sets
from sst_keras.vectors.files import set_name, write_vectors

log = logging.getLogger(__name__)

ENDINGS = (".bin", ".txt", ".txt.gz")
_FORMAT = 1  # of the facts beside a file of vectors
_STATE_FORMAT = 1  # Raise it when the same settings would train other vectors.
_PART_TOKENS = 500_000  # per worker
_MOST_PARTS = 100
_FASTTEXT_TOKENS = 4_000_000  # per worker: after each part, gensim computes all vectors anew
_WORKER_TOKENS = 10_000  # that a worker is worth
_SENTENCES = 1 << 14  # handled at a time
_SHOWN, _TOO_FREQUENT = 4, 100  # words with neighbours; the most frequent words say little


@dataclass(frozen=True)
class TrainedVectors:
    """A file of vectors that was trained here.

    Attributes:
        path: The file.
        facts: What the file beside it holds: corpus, settings, versions, seconds, fingerprint.
        is_new: Whether it was trained now.
        nearest: Some frequent words → their nearest words and cosines; empty if it is not new.
    """

    path: Path
    facts: dict[str, Any]
    is_new: bool
    nearest: dict[str, list[tuple[str, float]]]


def vectors_file(out: str | None, corpus_name: str, settings: VectorsConfig) -> Path:
    """Returns the file to write: a path as it is, or a name in `vectors/` of the user's cache.

    Raises:
        UsageError: If `out` is a path with another ending, or a name that another set has.
    """
    name = out or f"{corpus_name}-{settings.model}-{settings.dim}"
    if name.endswith(ENDINGS):
        path = Path(name)
    elif Path(name).name != name or set_name(Path(name)) != name:
        message = f"expected a name, or a path ending in {', '.join(ENDINGS)}. Received: {out!r}"
        raise UsageError(message, setting="out")
    else:
        path = locations.cache_dir() / "vectors" / f"{name}.bin"
        other = sets.available_vectors().get(name)
        if name in ("auto", "none", "sample") or (other and other.resolve() != path.resolve()):
            where = f" {other} has it" if other else " It has a meaning of its own"
            message = f"expected a new name. Received: {name!r}.{where}. Choose another name."
            raise UsageError(message, setting="out")
    if path.is_dir():
        raise UsageError(f"expected a file. {str(path)!r} is a folder.", setting="out")
    return path


def require_fasttext(settings: VectorsConfig) -> None:
    """Raises a `UsageError` if settings have no vectors for words that the corpus lacks."""
    if settings.model != "fasttext":
        message = f"only fasttext has vectors for other words. Received: {settings.model}"
        raise UsageError(message, setting="add_words")


def train_vectors(
    corpus: TextCorpus,
    path: Path,
    settings: VectorsConfig | None = None,
    add_words: Sequence[str] = (),
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, size: None,
) -> TrainedVectors:
    """Trains vectors and writes them in word2vec's format, with a file of facts beside them.

    Nothing is trained if the file is there already, from the same corpus and with the same
    settings. With one worker, the same call gives the same bytes, however often it was killed
    meanwhile. The words are those of the corpus, by falling frequency.

    Args:
        corpus: The sentences.
        path: The file to write; see `vectors_file`.
        settings: How the vectors are trained.
        add_words: Other words that get a vector too, after those of the corpus. Only fastText has
            vectors for words that it has not seen.
        overwrite: Whether another file at `path` is replaced.
        on_progress: Is called with the tokens done and the tokens of all epochs.

    Raises:
        UsageError: If a setting is out of range, too few words are frequent enough, or another file
            is at `path`.
        InputError: If the training diverged.
    """
    settings = settings or VectorsConfig()
    settings = replace(settings, workers=settings.workers or cores())
    if add_words:
        require_fasttext(settings)
    kept = int(np.searchsorted(-corpus.counts, -settings.min_count, side="right"))
    if kept < 2:
        raise UsageError(
            f"expected at least 2 words that occur {settings.min_count} times in {corpus.name}. "
            f"Received {kept}, of {len(corpus.words):,} words. Give more text, or lower it.",
            setting="min_count",
        )
    words = dict.fromkeys(corpus.words[:kept])
    added = [word for word in dict.fromkeys(add_words) if word not in words]
    made_from = {
        "corpus": {
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "sentences": len(corpus),
            "tokens": len(corpus.ids),
            "types": len(corpus.words),
            "lowercase": corpus.lowercase,
        },
        "settings": _recorded(settings),
        "added_words": hashlib.sha256("\n".join(added).encode()).hexdigest() if added else None,
    }
    if facts := _found(path, made_from, overwrite):
        return TrainedVectors(path, facts, False, {})
    _require_folder(path.parent)
    files.remove_partial(path)
    training = _Training(corpus, kept, settings, made_from)
    seconds = training.run(on_progress)
    keyed = training.model.wv
    vectors = keyed.vectors
    if added:
        vectors = np.concatenate([vectors, [keyed[word] for word in added]])
    if not np.isfinite(vectors).all():
        raise InputError(f"{corpus.name}: the training diverged: some numbers are not finite.")
    with files.whole_file(path) as partial:
        write_vectors(partial, [*words, *added], vectors, path.name)
        facts = {
            "format": _FORMAT,
            "file": path.name,
            "fingerprint": sets.fingerprint(partial),
            **made_from,
            "words": len(vectors),
            "seconds": round(seconds, 1),
            "versions": _versions(),
        }
        # Facts without vectors are harmless. Vectors without facts could be chosen by auto.
        files.write_json(sets.facts_file(path), facts)
    training.forget()
    return TrainedVectors(path, facts, True, _nearest(keyed, corpus.words[:kept]))


def _require_folder(folder: Path) -> None:
    """Makes the folder, so that a wrong one is an error before the training and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK) else "it cannot be written to"
    except OSError as error:
        problem = error.strerror
    if problem:
        message = f"expected a folder {str(folder)!r} to write to, but {problem}"
        raise UsageError(f"{message}. Choose another one.", setting="out")


def _found(path: Path, made_from: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Returns the facts of a file that need not be trained again.

    Another file at `path` raises a `UsageError` unless it is to be replaced; something else where
    its facts would be always does.
    """
    sets.require_facts_file(path)
    facts = sets.training_facts(path)
    if facts and path.is_file() and facts.get("format") == _FORMAT:
        changed = [
            f"{key}: {was!r}, now {value!r}"
            for part in ("corpus", "settings")
            for key, value in made_from[part].items()
            if key != "name"
            and (was := facts.get(part, {}).get(key)) != value
            # Two threads or three: neither result is that of the settings alone.
            and not (key == "workers" and was != 1 != value)
        ]
        if facts.get("added_words") != made_from["added_words"]:
            changed.append("other added words")
        if facts.get("subset_of"):
            changed.append("only some of the words")
        is_same = not changed and facts.get("fingerprint") == sets.fingerprint(path)
        if is_same:
            return facts
        problem = f"It has {'; '.join(changed)}." if changed else "It has changed since."
    else:
        problem = "It was not trained by this command."
    if path.exists() and not overwrite:
        raise UsageError(
            f"{path} exists already. {problem} Choose another name, or overwrite it.",
            setting="out",
        )
    return None


class _Training:
    """gensim's model and how far its training is."""

    def __init__(
        self, corpus: TextCorpus, kept: int, settings: VectorsConfig, made_from: dict[str, Any]
    ) -> None:
        import gensim
        from gensim.models import FastText, Word2Vec

        self.corpus, self.kept, self.settings = corpus, kept, settings
        key = [_STATE_FORMAT, gensim.__version__, made_from["settings"], corpus.fingerprint]
        name = hashlib.sha256(files.to_json(key).encode()).hexdigest()
        self._state = locations.cache_dir() / "vectors-training" / f"{name}.npz"
        options: dict[str, Any] = {}
        if settings.model == "fasttext":
            low, high = settings.ngrams
            options = {"min_n": low, "max_n": high, "bucket": settings.buckets}
        self.model = (FastText if settings.model == "fasttext" else Word2Vec)(
            sg=int(settings.model != "cbow"),
            vector_size=settings.dim,
            window=settings.window,
            min_count=1,  # rarer words are left out of the sentences
            seed=settings.seed,
            workers=min(settings.workers, 1 + len(corpus.ids) // _WORKER_TOKENS),
            alpha=settings.alpha,
            min_alpha=settings.min_alpha,
            negative=settings.negative,
            sample=settings.sample,
            sorted_vocab=0,  # they are sorted already
            **options,
        )
        counts = dict(zip(corpus.words[:kept], corpus.counts[:kept].tolist(), strict=True))
        self.model.build_vocab_from_freq(counts, corpus_count=len(corpus))

    def run(self, on_progress: Callable[[int, int], None]) -> float:
        """Trains all epochs that are not done yet, and returns the seconds of all."""
        epochs, tokens = self.settings.epochs, len(self.corpus.ids)
        files.remove_partial(self._state)
        first, before = self._load()
        started = time.perf_counter()
        parts = self._parts()
        on_progress(first * tokens, epochs * tokens)
        with _silent_gensim(), files.temporary_folder(self._state.parent) as folder:
            for epoch in range(first, epochs):
                for number, (begin, end) in enumerate(parts):
                    path = folder / f"{number}.txt"
                    if not path.exists():
                        self._write_part(path, begin, end)
                    os.utime(folder)  # It is in use.
                    bounds = [
                        (epoch + self.corpus.starts[sentence] / tokens) / epochs
                        for sentence in (begin, end)
                    ]
                    self._train_part(path, begin, end, *bounds)
                    on_progress(epoch * tokens + int(self.corpus.starts[end]), epochs * tokens)
                self._save(epoch + 1, before + time.perf_counter() - started)
        return before + time.perf_counter() - started

    def forget(self) -> None:
        """Removes the state."""
        self._state.unlink(missing_ok=True)

    def _train_part(self, path: Path, begin: int, end: int, start: float, stop: float) -> None:
        """Trains on some sentences. `start` and `stop` are shares of the complete training."""
        ids = self.corpus.ids[self.corpus.starts[begin] : self.corpus.starts[end]]
        words = int(np.count_nonzero(ids < self.kept))
        if not words:
            return
        first, last = self.settings.alpha, self.settings.min_alpha
        self.model.train(
            corpus_file=str(path),
            # gensim lowers the rate by the share of the sentences that one worker has done.
            total_examples=math.ceil((end - begin) / self.model.workers),
            total_words=words,
            epochs=1,
            start_alpha=first - (first - last) * start,
            end_alpha=first - (first - last) * stop,
        )

    def _parts(self) -> list[tuple[int, int]]:
        """Returns first and last sentence of each part, which is trained at a time."""
        starts = self.corpus.starts
        size = _FASTTEXT_TOKENS if self.settings.model == "fasttext" else _PART_TOKENS
        number = min(_MOST_PARTS, max(1, int(starts[-1]) // (size * self.model.workers)))
        bounds = np.searchsorted(starts, np.linspace(0, int(starts[-1]), number + 1)).tolist()
        return [(begin, end) for begin, end in zip(bounds, bounds[1:], strict=False) if end > begin]

    def _write_part(self, path: Path, begin: int, end: int) -> None:
        """Writes the frequent words of some sentences, one sentence per line."""
        words = np.array([word.encode() for word in self.corpus.words[: self.kept]], object)
        with path.open("wb") as file:
            for first in range(begin, end, _SENTENCES):
                starts = self.corpus.starts[first : min(first + _SENTENCES, end) + 1]
                ids = self.corpus.ids[starts[0] : starts[-1]]
                for start, stop in zip(starts - starts[0], starts[1:] - starts[0], strict=False):
                    sentence = ids[start:stop]
                    if len(known := sentence[sentence < self.kept]):
                        file.write(b" ".join(words[known].tolist()) + b"\n")

    def _arrays(self) -> dict[str, np.ndarray]:
        """Returns the model's weights, which training changes in place."""
        model = self.model
        if self.settings.model == "fasttext":
            weights = {"words": model.wv.vectors_vocab, "ngrams": model.wv.vectors_ngrams}
        else:
            weights = {"words": model.wv.vectors}
        return weights | {"outputs": model.syn1neg}

    def _save(self, epochs: int, seconds: float) -> None:
        _, keys, *rest = self.model.random.get_state()
        about = np.array([epochs, seconds, *rest], np.float64)
        with files.whole_file(self._state) as partial:
            np.savez(partial, about=about, random=keys, **self._arrays())

    def _load(self) -> tuple[int, float]:
        """Takes up an earlier training; returns its epochs and seconds."""
        try:
            found = files.read_arrays(self._state)
            weights = self._arrays()
            if any(found[name].shape != array.shape for name, array in weights.items()):
                return 0, 0.0
            epochs, seconds, place, has_gauss, gauss = found["about"].tolist()
            state = ("MT19937", found["random"], int(place), int(has_gauss), gauss)
            self.model.random.set_state(state)
        except (InputError, ValueError, KeyError, TypeError):
            return 0, 0.0  # missing or damaged
        for name, array in weights.items():
            array[:] = found[name]
        if self.settings.model == "fasttext":
            self.model.wv.adjust_vectors()
        log.info(f"Going on after epoch {int(epochs)} of {self.settings.epochs}.")
        return int(epochs), seconds


def _recorded(settings: VectorsConfig) -> dict[str, Any]:
    """Returns the settings that the model reads, as JSON has them."""
    unread = () if settings.model == "fasttext" else ("ngrams", "buckets")
    recorded = {key: value for key, value in asdict(settings).items() if key not in unread}
    return recorded | ({} if unread else {"ngrams": list(settings.ngrams)})


@contextmanager
def _silent_gensim() -> Iterator[None]:
    """Silences gensim, which warns of counts that parts of a corpus do not have."""
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _nearest(keyed: Any, words: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """Returns the neighbours of some frequent words, but not of the most frequent ones."""
    frequent = [word for word in words[_TOO_FREQUENT:] if word.isalpha() and len(word) > 3]
    return {word: keyed.most_similar(word, topn=5) for word in (frequent or words)[:_SHOWN]}


def _versions() -> dict[str, str]:
    import gensim

    return describe_environment()["versions"] | {"gensim": gensim.__version__}
