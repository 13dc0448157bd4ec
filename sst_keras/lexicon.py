"""A run's words: vocabulary, initial vectors, encoder, and how well the vectors cover the texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras.corpora import Corpus
from sst_keras.encoder import TokenEncoder, count_tokens, normalize
from sst_keras.errors import UsageError
from sst_keras.runtime import tf
from sst_keras.settings import Pipeline
from sst_keras.tables import SPLITS
from sst_keras.vectors import sets
from sst_keras.vectors.files import WordVectors
from sst_keras.vectors.matching import Coverage, embedding_matrix, has_vector, measure_coverage
from sst_keras.vocabulary import Vocabulary

log = logging.getLogger(__name__)

NO_VECTORS_NOTE = (
    "NO WORD VECTORS WERE FOUND: word vectors are learned from scratch, which costs accuracy. Run "
    "`sst-keras vectors fetch glove-wiki-gigaword-50`, then train again."
)
Counts = Mapping[str, Mapping[str, int]]  # split → word → how often it occurs


@dataclass(frozen=True)
class Source:
    """A set of word vectors that a lexicon was made from.

    Attributes:
        vectors: The vectors that were read.
        path: Their file.
        coverage: How many of the texts' words have a vector.
    """

    vectors: WordVectors
    path: Path
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """Returns name, width, fingerprint and coverage, for JSON."""
        return {
            "name": self.vectors.name,
            "dim": self.vectors.dim,
            "fingerprint": sets.fingerprint(self.path),
            "coverage": self.coverage.to_dict(),
        }


@dataclass(frozen=True)
class Lexicon:
    """The words of a run.

    Attributes:
        vocabulary: The words by id.
        encoder: Tokens → ids.
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

    @classmethod
    def build(
        cls, pipeline: Pipeline, corpus: Corpus, data_dir: str | Path | None = None
    ) -> Lexicon:
        """Chooses a run's words and finds their vectors.

        Args:
            pipeline: The settings.
            corpus: The texts.
            data_dir: The folder that has `vectors/`, instead of the environment's.

        Raises:
            UsageError: If the vectors cannot be found.
            InputError: If their file is damaged.
        """
        data, embedding = pipeline.data, pipeline.embedding
        counts = {name: count_tokens(corpus.split(name), data.lowercase) for name in SPLITS}
        sources = _read_sources(pipeline, corpus, counts, data_dir)
        vocabulary = _vocabulary(pipeline, counts, [source.vectors for source in sources])
        matrices = [
            embedding_matrix(vocabulary.tokens, source.vectors, pipeline.training.seed)
            for source in sources
        ]
        notes = ()
        if not sources and embedding.vectors == ("auto",):
            notes = (NO_VECTORS_NOTE,)
            log.warning(NO_VECTORS_NOTE)
        return cls(
            vocabulary,
            TokenEncoder(vocabulary, data.lowercase),
            np.concatenate(matrices, axis=1) if matrices else None,
            tuple(sources),
            notes,
        )


def _read_sources(
    pipeline: Pipeline, corpus: Corpus, counts: Counts, data_dir: str | Path | None
) -> list[Source]:
    """Reads the pipeline's word vectors and measures their coverage."""
    names = pipeline.embedding.vectors
    if names == ("auto",):
        names = _choose_vectors(pipeline, corpus, counts, data_dir)
    if names == ("none",):
        log.info(f"Vectors: none; {pipeline.embedding.dim} numbers per word, from scratch.")
        return []
    if "none" in names or "auto" in names:
        raise UsageError(
            f"none and auto cannot be combined with other vectors. Received: {', '.join(names)}",
            setting="embedding.vectors",
        )
    words = set().union(*counts.values())
    sources = []
    for name in names:
        path = sets.find_vectors(name, data_dir)
        vectors = sets.load_vectors(path, words, pipeline.data.vector_words)
        coverage = measure_coverage(counts, vectors)
        log.info(f"Vectors: {vectors.name}, {vectors.dim} numbers per word.\n{coverage}")
        sources.append(Source(vectors, path, coverage))
    return sources


def _choose_vectors(
    pipeline: Pipeline, corpus: Corpus, counts: Counts, data_dir: str | Path | None
) -> tuple[str, ...]:
    """Returns the sample's own vectors, or the set with the highest coverage."""
    if corpus.name == "sample":
        return ("sample",)
    chosen = sets.choose_vectors(counts, data_dir, pipeline.data.vector_words)
    if chosen is not None:
        return (chosen[0],)
    if pipeline.data.dataset == "auto":
        return ("none",)
    raise UsageError(
        "no word vectors were found. Run `sst-keras vectors fetch glove-wiki-gigaword-50`, put a "
        "file into the folder vectors/ below SST_KERAS_DATA, or use none to train without.",
        setting="embedding.vectors",
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
    known = {word for vectors in vector_sets for word in words if has_vector(word, vectors)}
    extra = sorted(known - counts["train"].keys())
    for vectors in vector_sets:
        words = tf.constant(vectors.words[: data.vector_words], tf.string)
        frequent = normalize(words, data.lowercase)
        extra += [word.decode("utf-8") for word in frequent.numpy()]
    return Vocabulary.build(
        counts["train"],
        min_count=data.min_count,
        with_vector=known,
        extra=[word for word in extra if word and not word.isspace()],
    )
