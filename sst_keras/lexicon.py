"""A run's words: vocabulary, initial vectors, encoder, and how well the vectors cover the texts."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from sst_keras.vocabulary import UNKNOWN_ID, Vocabulary

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

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The same, and that of the complete file if it is a subset; see `sets.fingerprints`."""
        return sets.fingerprints(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Returns name, width, factor, fingerprint, rows passed over and coverage, for JSON."""
        return {
            "name": self.vectors.name,
            "dim": self.vectors.dim,
            "factor": self.factor,
            "fingerprint": self.fingerprint,
            "blank": self.vectors.blank,
            "other_keys": self.vectors.other_keys,
            "coverage": asdict(self.coverage),
        }


@dataclass(frozen=True)
class KnownWords:
    """The words of an earlier run, which a lexicon extends.

    Attributes:
        run: The run's name, for messages.
        matrix: float32[vocabulary, dim], the vectors as the run left them.
        sets: `name`, `dim`, `fingerprint` and `factor` of each set of vectors that the matrix is
            made of, in order; empty if the run learned them from scratch.
    """

    run: str
    vocabulary: Vocabulary
    matrix: np.ndarray
    sets: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Lexicon:
    """The words of a run.

    Attributes:
        matrix: float32[vocabulary, dim], the initial vectors; None if they are learned from
            scratch.
        sources: The sets of vectors, in the order in which the matrix concatenates them.
        notes: What a user should know, one sentence each.
        inherited: What the pipeline of an earlier run names its sets of vectors by → `to_dict` of
            the set, if the lexicon extends its words. Some of them may not be among the `sources`.
    """

    vocabulary: Vocabulary
    encoder: TokenEncoder
    matrix: np.ndarray | None
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()
    inherited: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def vector_names(self) -> tuple[str, ...]:
        """The names of the sets; `("none",)` if there are none."""
        return tuple(source.vectors.name for source in self.sources) or ("none",)

    @property
    def vector_references(self) -> tuple[str, ...]:
        """What a saved pipeline names the sets by; `("none",)` if there are none."""
        found = tuple(source.reference for source in self.sources)
        return tuple(self.inherited) or found or ("none",)

    def vectors_to_dict(self) -> list[dict[str, Any]]:
        """Returns `Source.to_dict` of each set that the matrix concatenates."""
        sets = [source.to_dict() for source in self.sources]
        return [dict(each) for each in self.inherited.values()] or sets

    @classmethod
    def build(
        cls,
        pipeline: Pipeline,
        corpus: Corpus,
        data_dir: str | Path | None = None,
        known: KnownWords | None = None,
    ) -> Self:
        """Chooses a run's words and finds their vectors.

        With `known`, the words of an earlier run keep their ids and vectors, and new words follow.

        Unknown vectors, and those that cover next to nothing, raise a `UsageError`, damaged ones an
        `InputError`.
        """
        counts = _counts(pipeline, corpus)
        if known:
            return _extended(pipeline, counts, data_dir, known)
        names = _vector_names(pipeline, corpus, counts, data_dir)
        sources = tuple(_read_source(name, pipeline, counts, data_dir) for name in names)
        vocabulary = _vocabulary(pipeline, counts, [source.vectors for source in sources])
        matrices = [
            matching.embedding_matrix(vocabulary.tokens, source.vectors, pipeline.training.seed)
            * np.float32(source.factor)
            for source in sources
        ]
        matrix = np.concatenate(matrices, axis=1) if matrices else None
        if (numbers := pipeline.embedding.reduce) and "embedding.reduce" not in pipeline.unread():
            matrix = _reduced(matrix, numbers)
        notes = tuple(note for source in sources for note in source.notes)
        if not sources:
            log.info(f"Vectors: none; {pipeline.embedding.dim} numbers per word, from scratch.")
            if pipeline.embedding.vectors == ("auto",):
                notes = (NO_VECTORS_NOTE,)
                log.warning(NO_VECTORS_NOTE)
        return cls(
            vocabulary, TokenEncoder(vocabulary, pipeline.data.lowercase), matrix, sources, notes
        )


def _reduced(matrix: np.ndarray | None, numbers: int) -> np.ndarray:
    """Returns the projection of float32[vocabulary, dim] that keeps most: [vocabulary, numbers].

    These are its first singular directions: Eckart and Young, "The Approximation of One Matrix by
    Another of Lower Rank", Psychometrika 1 (1936). The mean is not taken off, so padding stays 0.
    """
    dim = 0 if matrix is None else matrix.shape[1]
    if numbers > dim:
        raise UsageError(
            f"expected at most the {dim} numbers per word of the vectors. Received: {numbers}.",
            setting="embedding.reduce",
        )
    _, directions = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))  # by rising size
    return matrix @ directions[:, : -numbers - 1 : -1].astype(np.float32)


def _extended(
    pipeline: Pipeline, counts: Counts, data_dir: str | Path | None, known: KnownWords
) -> Lexicon:
    """Returns the words of an earlier run, and those of the counts behind them.

    A new word has its vector if the earlier run's sets of vectors are here and one has it. The rest
    of its row is that of the unknown word.
    """
    names = pipeline.embedding.vectors if known.sets else ()  # else they are ("none",)
    sources, notes = [], []
    for name, about in zip(names, known.sets, strict=True):
        source, note = _same_source(name, about, pipeline, counts, data_dir)
        if note:
            notes.append(f"{note} New words of {known.run} start from the unknown word's vector.")
            log.warning(notes[-1])
        sources.append(source)
    found = tuple(source for source in sources if source)
    own = _vocabulary(pipeline, counts, [source.vectors for source in found])
    vocabulary = known.vocabulary.extended(own.tokens)
    words = vocabulary.tokens[len(known.vocabulary) :]
    widths = [about["dim"] for about in known.sets]
    given, has_vector = _given_rows(words, sources, widths)
    rows = np.tile(known.matrix[UNKNOWN_ID], (len(words), 1))
    if not pipeline.embedding.reduce:
        columns = np.repeat(has_vector, widths, axis=1)  # bool[words, dim]
        rows[columns] = given[columns]
    elif len(found) == len(sources):
        # What the earlier run reduced its vectors by is not kept, but its words show it.
        before, had = _given_rows(known.vocabulary.tokens, sources, widths)
        sure = had.all(axis=1)
        projection = np.linalg.lstsq(before[sure], known.matrix[sure], rcond=None)[0]
        some = has_vector.any(axis=1)
        rows[some] = (given @ projection)[some]
    log.info(
        f"Vocabulary: {len(known.vocabulary):,} words of {known.run}, and {len(words):,} new ones, "
        f"{has_vector.any(axis=1).sum():,} of them with a vector."
    )
    encoder = TokenEncoder(vocabulary, pipeline.data.lowercase)
    matrix = np.concatenate([known.matrix, rows])
    about = [
        source.to_dict() | {"factor": old.get("factor", source.factor)} if source else dict(old)
        for source, old in zip(sources, known.sets, strict=True)
    ]
    inherited = dict(zip(names, about, strict=True))
    return Lexicon(vocabulary, encoder, matrix, found, tuple(notes), inherited)


def _same_source(
    name: str,
    about: Mapping[str, Any],
    pipeline: Pipeline,
    counts: Counts,
    data_dir: str | Path | None,
) -> tuple[Source | None, str]:
    """Returns a set of vectors that an earlier run used, or None and why it cannot be used."""
    try:
        if sets.fingerprint(sets.find_vectors(name, data_dir)) != about["fingerprint"]:
            return None, f"The vectors {name} are not those of the earlier run."
        source = _read_source(name, pipeline, counts, data_dir)
    except UsageError as error:  # not here, or they have next to none of the words
        return None, f"The vectors of the earlier run cannot be used: {error.message}"
    # Their standard deviation is that of the words that were read, which are others now.
    return replace(source, factor=about.get("factor", source.factor)), ""


def _given_rows(
    words: Sequence[str], sources: Sequence[Source | None], widths: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vectors of words in some sets side by side, and which sets have them.

    They are float32[words, dim], 0 where a set has none or is None, and bool[words, sets].
    """
    rows = np.zeros((len(words), sum(widths)), np.float32)
    has_vector, start = np.zeros((len(words), len(sources)), bool), 0
    for place, (source, width) in enumerate(zip(sources, widths, strict=True)):
        for number, word in enumerate(words if source else ()):
            if places := matching.match(word, source.vectors)[1]:
                mean = source.vectors.vectors[places].mean(axis=0)
                rows[number, start : start + width] = mean * np.float32(source.factor)
                has_vector[number, place] = True
        start += width
    return rows, has_vector


def vector_names(
    pipeline: Pipeline, corpus: Corpus, data_dir: str | Path | None = None
) -> tuple[str, ...]:
    """Returns the names of the sets that a lexicon would read, with auto replaced.

    They are `("none",)` if it would read none. Errors are those of `Lexicon.build`.
    """
    counts = _counts(pipeline, corpus)
    return _vector_names(pipeline, corpus, counts, data_dir) or ("none",)


def _counts(pipeline: Pipeline, corpus: Corpus) -> Counts:
    lowercase = pipeline.data.lowercase
    return {name: count_tokens(corpus.split(name), lowercase) for name in SPLITS}


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
