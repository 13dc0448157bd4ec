"""A run's words: vocabulary, initial vectors, encoder, and how well the vectors cover the texts."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sst_keras.corpora import SPLITS, Corpus
from sst_keras.encoder import TokenEncoder, count_tokens, normalize
from sst_keras.errors import UsageError
from sst_keras.runtime import tf
from sst_keras.settings import Pipeline
from sst_keras.vectors import matching, sets
from sst_keras.vectors.files import WordVectors
from sst_keras.vectors.matching import Counts
from sst_keras.vocabulary import Vocabulary

log = logging.getLogger(__name__)

NO_VECTORS_NOTE = (
    "NO WORD VECTORS WERE FOUND: word vectors are learned from scratch, which costs accuracy. Run "
    "`sst-keras vectors fetch glove-wiki-gigaword-50`, then train again."
)


@dataclass(frozen=True)
class Source:
    """A set of word vectors that a lexicon was made from, its file, and what it covers.

    Attributes:
        reference: What finds the file again from any folder; see `sets.lasting_name`.
        factor: What the vectors are multiplied by.
        notes: What a user should know, one sentence each.
    """

    vectors: WordVectors
    path: Path
    coverage: matching.Coverage
    reference: str
    factor: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The sha256 of the file."""
        return sets.fingerprint(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Returns name, width, fingerprint, rows passed over and coverage, for JSON."""
        return {
            "name": self.vectors.name,
            "dim": self.vectors.dim,
            "fingerprint": self.fingerprint,
            "blank": self.vectors.blank,
            "other_keys": self.vectors.other_keys,
            "coverage": asdict(self.coverage),
        }


@dataclass(frozen=True)
class Lexicon:
    """The words of a run.

    Attributes:
        matrix: float32[vocabulary, dim], the initial vectors; None if they are learned from
            scratch.
        sources: The sets of vectors, in the order in which the matrix concatenates them.
        notes: What a user should know, one sentence each.
    """

    vocabulary: Vocabulary
    encoder: TokenEncoder
    matrix: np.ndarray | None
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()

    @property
    def vector_names(self) -> tuple[str, ...]:
        """The names of the sets; `("none",)` if there are none."""
        return tuple(source.vectors.name for source in self.sources) or ("none",)

    @property
    def vector_references(self) -> tuple[str, ...]:
        """What a saved pipeline names the sets by; `("none",)` if there are none."""
        return tuple(source.reference for source in self.sources) or ("none",)

    @classmethod
    def build(cls, pipeline: Pipeline, corpus: Corpus, data_dir: str | Path | None = None) -> Self:
        """Chooses a run's words and finds their vectors.

        Unknown vectors, and those that cover next to nothing, raise a `UsageError`, damaged ones an
        `InputError`.
        """
        lowercase = pipeline.data.lowercase
        counts = {name: count_tokens(corpus.split(name), lowercase) for name in SPLITS}
        names = _vector_names(pipeline, corpus, counts, data_dir)
        sources = tuple(_read_source(name, pipeline, counts, data_dir) for name in names)
        vocabulary = _vocabulary(pipeline, counts, [source.vectors for source in sources])
        matrices = [
            matching.embedding_matrix(vocabulary.tokens, source.vectors, pipeline.training.seed)
            * np.float32(source.factor)
            for source in sources
        ]
        matrix = np.concatenate(matrices, axis=1) if matrices else None
        notes = tuple(note for source in sources for note in source.notes)
        if not sources:
            log.info(f"Vectors: none; {pipeline.embedding.dim} numbers per word, from scratch.")
            if pipeline.embedding.vectors == ("auto",):
                notes = (NO_VECTORS_NOTE,)
                log.warning(NO_VECTORS_NOTE)
        return cls(vocabulary, TokenEncoder(vocabulary, lowercase), matrix, sources, notes)


def _vector_names(
    pipeline: Pipeline, corpus: Corpus, counts: Counts, data_dir: str | Path | None
) -> tuple[str, ...]:
    """Returns the names of the sets to read, with auto replaced and none left out."""
    names = pipeline.embedding.vectors
    if names == ("none",):
        return ()
    if names != ("auto",):
        if "none" in names or "auto" in names:
            problem = "none and auto cannot be combined with other vectors"
            message = f"{problem}. Received: {', '.join(names)}"
            raise UsageError(message, setting="embedding.vectors")
        return names
    if corpus.name == "sample":
        return ("sample",)
    pattern, vector_words = pipeline.embedding.key_pattern, pipeline.data.vector_words
    if chosen := sets.choose_vectors(counts, data_dir, vector_words, pattern):
        return (chosen,)
    if pipeline.data.dataset == "auto":
        return ()
    raise UsageError(
        "no word vectors were found that cover the texts. Run `sst-keras vectors fetch "
        "glove-wiki-gigaword-50`, put a file into the folder vectors/ below SST_KERAS_DATA, or use "
        "none to train without.",
        setting="embedding.vectors",
    )


def _read_source(
    name: str, pipeline: Pipeline, counts: Counts, data_dir: str | Path | None
) -> Source:
    path = sets.find_vectors(name, data_dir)
    words = set().union(*counts.values())
    pattern = pipeline.embedding.key_pattern
    vectors = sets.load_vectors(path, words, pipeline.data.vector_words, pattern)
    problem, is_unfit = sets.misfit(path, vectors, counts, pattern)
    if is_unfit:
        raise UsageError(problem, setting="embedding.vectors")
    coverage = matching.measure_coverage(counts, vectors)
    log.info(f"Vectors: {vectors.name}, {vectors.dim} numbers per word.\n{coverage}")
    notes = [problem] if problem else []
    if vectors.blank:
        notes.append(f"{vectors.name}: passed over {vectors.blank:,} rows whose word is blank.")
    if vectors.other_keys:
        passed = f"passed over {vectors.other_keys:,} words that are not {pattern}"
        notes.append(f"{vectors.name}: {passed}.")
    for note in notes:
        log.warning(note)
    return Source(
        vectors,
        path,
        coverage,
        sets.lasting_name(path, data_dir),
        matching.scale_factor(vectors, pipeline.embedding.scale),
        tuple(notes),
    )


def _vocabulary(
    pipeline: Pipeline, counts: Counts, vector_sets: Sequence[WordVectors]
) -> Vocabulary:
    """Chooses the words of the model.

    Besides the training words, the vocabulary takes every dev or test word that has a vector, and
    the `vector_words` most frequent words of the vector file, so that new texts are covered. Labels
    play no part. Adding other words would enlarge the model without changing these predictions.
    """
    data = pipeline.data
    words = set().union(*counts.values())
    known = {word for vectors in vector_sets for word in words if matching.match(word, vectors)[1]}
    extra = sorted(known - counts["train"].keys())
    for vectors in vector_sets:
        words = tf.constant(vectors.words[: data.vector_words], tf.string)
        frequent = normalize(words, data.lowercase)
        extra += [word.decode("utf-8") for word in frequent.numpy()]
    extra = [word for word in extra if word and not word.isspace()]
    return Vocabulary.build(counts["train"], data.min_count, known, extra)
