"""A language model in two directions over unlabelled sentences: the start of a classifier's LSTM.

One LSTM reads a sentence forwards and predicts each next word, another reads it backwards. Both
read frozen word vectors and share one softmax over the most frequent words.

Peters et al., "Deep Contextualized Word Representations", NAACL 2018, train such models. Howard and
Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018, start classifiers
from them.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files
from sst_keras.environment import describe_environment, warn_of_slow_bfloat16
from sst_keras.errors import InputError, UsageError
from sst_keras.locks import locked
from sst_keras.optimizers import make_optimizer
from sst_keras.pretrained import DIRECTIONS, FORMAT, LanguageModelRun
from sst_keras.pretraining.corpus import TextCorpus
from sst_keras.recurrent import LSTM
from sst_keras.runs import check_folder
from sst_keras.runtime import check_memory, keras, read_ahead, tf
from sst_keras.settings import LanguageModelConfig
from sst_keras.vectors import matching, sets
from sst_keras.vectors.files import WordVectors
from sst_keras.vocabulary import PADDING, UNKNOWN, Vocabulary

log = logging.getLogger(__name__)

# Training is saved after each part of an epoch.
PARTS = 20
_STEPS_PER_CALL = 16  # of the compiled training function
_HELD_OUT = 1000  # sentences at the corpus's end, at most a tenth of it, that are not trained on
_FEWEST = 100  # sentences
_SCORED = 16  # pieces at a time: the logits of all classes take memory
_CLIP_NORM = 1.0
_BOUNDARY, _RARE = 0, 1  # classes: the sentence ends (or starts, backwards), or a rare word follows


@dataclass(frozen=True)
class Progress:
    """Where training is.

    Attributes:
        done: The tokens that were trained on.
        total: The tokens of all epochs.
        loss: The mean loss of the present part, in nats per token, estimated from samples.
        perplexities: Direction → perplexity on the held-out sentences after the part before; empty
            at first.
    """

    done: int
    total: int
    loss: float
    perplexities: Mapping[str, float]


def sampling_probabilities(counts: np.ndarray, negatives: int) -> np.ndarray:
    """Returns the probability of each class to be among the negatives: float64[classes].

    They are proportional to `counts` float[classes], at most 1, and sum to `negatives`, or are all
    1 if there are not more classes than that.
    """
    probabilities = np.ones(len(counts))
    if negatives >= len(counts):
        return probabilities
    certain = np.zeros(len(counts), bool)
    while True:
        share = np.where(certain, 0.0, counts)
        probabilities = np.where(certain, 1.0, share * ((negatives - certain.sum()) / share.sum()))
        if not (more := probabilities > 1).any():
            return probabilities
        certain |= more


class SampledSoftmax:
    """The cross entropy over many classes, estimated from all labels and a sample of the classes.

    Each batch draws its sample by systematic sampling: Madow, "On the Theory of Systematic
    Sampling, II", Annals of Mathematical Statistics 20 (1949). Frequent classes are always in it
    and none is in it twice. The logit of a sampled class is lowered by the logarithm of its
    probability to be sampled: Bengio and Senécal, "Adaptive Importance Sampling to Accelerate
    Training of a Neural Probabilistic Language Model", IEEE Transactions on Neural Networks 19
    (2008).
    """

    def __init__(self, counts: np.ndarray, units: int, negatives: int, dtype: str) -> None:
        probabilities = sampling_probabilities(counts, negatives)
        self._ends = tf.constant(np.cumsum(probabilities), tf.float64)
        self._log_probabilities = tf.constant(np.log(probabilities), tf.float32)
        self._size, self._dtype = min(negatives, len(counts)), dtype
        normal = keras.initializers.RandomNormal(stddev=units**-0.5)
        self.kernel = keras.Variable(normal, (len(counts), units), name="softmax_kernel")
        bias = np.log(counts / counts.sum()).astype(np.float32)
        self.bias = keras.Variable(bias, name="softmax_bias")

    def sample(self, start: tf.Tensor) -> tf.Tensor:
        """Returns int32[negatives], classes drawn by a uniform random number from 0 to 1."""
        points = tf.cast(start, tf.float64) + tf.range(self._size, dtype=tf.float64)
        classes = tf.searchsorted(self._ends, points, side="right")
        return tf.minimum(classes, len(self._ends) - 1)  # despite rounding

    def losses(self, states: tf.Tensor, labels: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        """Returns float32[n] in nats for states float32[n, units] and labels int32[n]."""
        sampled = self.sample(start)
        kernel, bias = self.kernel.value, self.bias.value
        true = tf.reduce_sum(states * tf.gather(kernel, labels), axis=1) + tf.gather(bias, labels)
        others = tf.matmul(
            tf.cast(states, self._dtype),
            tf.cast(tf.gather(kernel, sampled), self._dtype),
            transpose_b=True,
        )  # [n, negatives]
        offset = tf.gather(bias, sampled) - tf.gather(self._log_probabilities, sampled)
        others = tf.cast(others, tf.float32) + offset
        # The label counts once, even if it is sampled.
        others = tf.where(labels[:, tf.newaxis] == sampled, -1e9, others)
        highest = tf.stop_gradient(tf.maximum(tf.reduce_max(others, axis=1), true))
        total = tf.exp(true - highest)
        total += tf.reduce_sum(tf.exp(others - highest[:, tf.newaxis]), axis=1)
        return highest + tf.math.log(total) - true

    def full_losses(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns float32[n], as `losses` but exact."""
        logits = tf.matmul(states, self.kernel.value, transpose_b=True) + self.bias.value
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


class LanguageModel:
    """The model: two LSTMs over frozen vectors, and a softmax that both share."""

    def __init__(
        self, config: LanguageModelConfig, matrix: np.ndarray, class_counts: np.ndarray
    ) -> None:
        dim, classes = matrix.shape[1], len(class_counts)
        lstms = 2 * 4 * config.units * (dim + config.units + 1)
        check_memory(matrix.size + lstms + classes * (config.units + 1), "units")
        self._matrix = tf.constant(matrix)  # float32[rows, dim]
        self.layers = [
            LSTM(
                config.units,
                return_sequences=True,
                go_backwards=backwards,
                matmul_dtype=config.matmul_dtype,
                name=name,
            )
            for name, backwards in zip(DIRECTIONS, (False, True), strict=True)
        ]
        for layer in self.layers:
            layer.build((None, None, matrix.shape[1]))
        self.softmax = SampledSoftmax(
            class_counts, config.units, config.negatives, config.matmul_dtype
        )
        self.dense = [weight for layer in self.layers for weight in layer.trainable_variables]
        self.sparse = [self.softmax.kernel, self.softmax.bias]

    def losses(
        self, batch: Mapping[str, tf.Tensor], losses: Callable, training: bool
    ) -> list[tf.Tensor]:
        """Returns the losses of all tokens by direction: two of float32[tokens].

        `batch` has `rows` int32[batch, time] of the matrix, `classes` int32[batch, time], and
        `lengths` int64[batch]. `losses` is called with states, labels and the direction's number.
        """
        rows, classes = batch["rows"], batch["classes"]
        mask = tf.sequence_mask(batch["lengths"], tf.shape(rows)[1])
        words, places = tf.unique(tf.reshape(rows, (-1,)))  # each word meets the kernels once
        table, places = tf.gather(self._matrix, words), tf.reshape(places, tf.shape(rows))
        edge = tf.fill([tf.shape(rows)[0], 1], _BOUNDARY)
        found = []
        for number, layer in enumerate(self.layers):
            if training:
                states = layer.train_on_rows(table, places, mask)
            else:
                states = layer(tf.gather(table, places), mask=mask)
            if number == 0:  # padding has the class of a boundary, too
                labels, real = tf.concat([classes[:, 1:], edge], axis=1), mask
            else:
                labels = tf.reverse(tf.concat([edge, classes[:, :-1]], axis=1), [1])
                real = tf.reverse(mask, [1])
            states, labels = tf.boolean_mask(states, real), tf.boolean_mask(labels, real)
            found.append(losses(states, labels, number))
        return found

    def weights(self, factor: float) -> dict[str, np.ndarray]:
        """Returns the weights by the names of `LanguageModelRun.weights`.

        `factor` is what the vectors of the file were multiplied by.
        """
        named = {}
        for name, layer in zip(DIRECTIONS, self.layers, strict=True):
            kernel, recurrent, bias = layer.get_weights()
            named[f"{name}/kernel"] = kernel * np.float32(factor)
            named[f"{name}/recurrent_kernel"], named[f"{name}/bias"] = recurrent, bias
        named["softmax/kernel"] = self.softmax.kernel.numpy()
        named["softmax/bias"] = self.softmax.bias.numpy()
        return named


class Sentences:
    """The corpus as the model reads it: pieces of sentences, in parts that are held in memory."""

    def __init__(self, corpus: TextCorpus, config: LanguageModelConfig, rows: np.ndarray) -> None:
        self._ids, self._config, self._rows = corpus.ids, config, rows
        words = np.arange(len(corpus.words))
        self._classes = np.where(words < config.words, words + 2, _RARE).astype(np.int32)
        lengths = np.diff(corpus.starts)
        # A sentence of 170 words becomes pieces of 80, 80 and 10.
        pieces = -(-lengths // config.max_length)
        firsts = np.cumsum(pieces) - pieces
        within = np.arange(pieces.sum()) - np.repeat(firsts, pieces)
        self._starts = np.repeat(corpus.starts[:-1], pieces) + within * config.max_length
        self.lengths = np.minimum(
            np.repeat(lengths, pieces) - within * config.max_length, config.max_length
        )
        held_out = min(_HELD_OUT, len(corpus) // 10)
        split = int(pieces[: len(corpus) - held_out].sum())
        self.training, self.held_out = np.split(np.arange(len(self.lengths)), [split])

    def class_counts(self, counts: np.ndarray) -> np.ndarray:
        """Returns how often each class occurs: float64[classes], at least 1."""
        classes = int(self._classes.max()) + 1
        found = np.bincount(self._classes, weights=counts, minlength=classes)
        found[_BOUNDARY] = len(self.lengths)
        return np.maximum(found, 1)

    def part(self, epoch: int, number: int) -> np.ndarray:
        """Returns int64[n], the pieces of a part of an epoch, in an order drawn from the seed."""
        random = np.random.default_rng([self._config.seed, epoch])
        return np.array_split(random.permutation(self.training), PARTS)[number]

    def batches(
        self, pieces: np.ndarray, size: int, random: np.random.Generator | None = None
    ) -> tf.data.Dataset:
        """Returns batches of pieces of similar length, in an order drawn from `random` if given.

        A batch is `rows` and `classes` int32[batch, time], 0 at padding, and `lengths`
        int64[batch].
        """
        pieces = pieces[np.argsort(self.lengths[pieces], kind="stable")]
        cut = [pieces[first : first + size] for first in range(0, len(pieces), size)]
        order = np.arange(len(cut)) if random is None else random.permutation(len(cut))
        pieces = np.concatenate([cut[number] for number in order])
        lengths = self.lengths[pieces]
        ends = np.cumsum(lengths)
        shifts = np.repeat(self._starts[pieces] - (ends - lengths), lengths)
        ids = self._ids[shifts + np.arange(ends[-1])]
        rows, classes = (
            tf.RaggedTensor.from_row_lengths(table[ids], lengths)
            for table in (self._rows, self._classes)
        )
        sizes = [len(cut[number]) for number in order]
        numbers = tf.RaggedTensor.from_row_lengths(np.arange(len(pieces)), sizes)

        def read(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            return {
                "rows": tf.gather(rows, batch).to_tensor(),
                "classes": tf.gather(classes, batch).to_tensor(),
                "lengths": tf.gather(lengths, batch),
            }

        return read_ahead(tf.data.Dataset.from_tensor_slices(numbers).map(read))


class Trainer:
    """Trains a language model part by part. Its state can be saved between parts."""

    def __init__(
        self, config: LanguageModelConfig, model: LanguageModel, sentences: Sentences
    ) -> None:
        self._config, self.model, self.sentences = config, model, sentences
        steps = math.ceil(len(sentences.training) / config.batch_size + PARTS) * config.epochs
        rate = keras.optimizers.schedules.PolynomialDecay(config.learning_rate, steps, 0.0)
        self._dense = make_optimizer("adam", rate, clip_norm=_CLIP_NORM)
        self._sparse = make_optimizer("lazy-adam", rate)  # only the rows that a batch uses
        self._dense.build(model.dense)
        self._sparse.build(model.sparse)
        self._variables = [
            *model.dense, *model.sparse, *self._dense.variables, *self._sparse.variables,
        ]  # fmt: skip

    @property
    def learning_rate(self) -> float:
        """The present learning rate."""
        return float(keras.ops.convert_to_numpy(self._dense.learning_rate))

    def train_part(self, epoch: int, number: int, on_steps: Callable[[int, float], None]) -> float:
        """Trains on a part of an epoch, and returns the mean of its batches' losses.

        `on_steps` is called with the tokens of the part that are done and the mean loss so far.
        """
        pieces = self.sentences.part(epoch, number)
        if not len(pieces):
            return math.nan
        random = np.random.default_rng([self._config.seed, epoch, number])
        batches = iter(self.sentences.batches(pieces, self._config.batch_size, random))
        steps = math.ceil(len(pieces) / self._config.batch_size)
        total, tokens = 0.0, 0
        for first in range(0, steps, _STEPS_PER_CALL):
            count = min(_STEPS_PER_CALL, steps - first)
            loss, read = self.run_steps(batches, tf.constant(count))
            total, tokens = total + float(loss), tokens + int(read)
            on_steps(tokens, total / (first + count))
        return total / steps

    @tf.function(reduce_retracing=True)
    def run_steps(self, batches: Iterator, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on the next `count` batches; returns the sum of their losses, and their tokens."""
        total, tokens = tf.zeros(()), tf.zeros((), tf.int64)
        for _ in tf.range(count):
            batch = next(batches)
            total += self._step(batch)
            tokens += tf.reduce_sum(batch["lengths"])
        return total, tokens

    def _step(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        model, step = self.model, tf.cast(self._dense.iterations.value, tf.int32)
        # Stateless, so that training that was killed goes on with the same samples.
        starts = tf.random.stateless_uniform([2], [self._config.seed, step])

        def losses(states: tf.Tensor, labels: tf.Tensor, direction: int) -> tf.Tensor:
            return model.softmax.losses(states, labels, starts[direction])

        with tf.GradientTape() as tape:
            found = model.losses(batch, losses, training=True)
            loss = tf.reduce_mean(tf.concat(found, axis=0))
        weights = [*model.dense, *model.sparse]
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self._dense.apply(gradients[: len(model.dense)], model.dense)
        self._sparse.apply(gradients[len(model.dense) :], model.sparse)
        return loss

    def perplexities(self) -> dict[str, float]:
        """Returns direction → perplexity on the held-out sentences, boundaries included."""
        totals, tokens = np.zeros(len(DIRECTIONS)), 0
        for batch in self.sentences.batches(self.sentences.held_out, _SCORED):
            totals += self._full_losses(batch).numpy()
            tokens += int(tf.reduce_sum(batch["lengths"]))
        with np.errstate(over="ignore"):  # infinite if training diverged
            return dict(zip(DIRECTIONS, np.exp(totals / tokens).tolist(), strict=True))

    @tf.function(reduce_retracing=True)
    def _full_losses(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        def losses(states: tf.Tensor, labels: tf.Tensor, direction: int) -> tf.Tensor:
            return tf.reduce_sum(self.model.softmax.full_losses(states, labels))

        return tf.stack(self.model.losses(batch, losses, training=False))

    def save(self, path: Path, parts: int) -> None:
        """Writes the state after a number of parts."""
        arrays = {f"{number}": each.numpy() for number, each in enumerate(self._variables)}
        with files.whole_file(path) as partial:
            np.savez(partial, parts=parts, **arrays)

    def restore(self, path: Path) -> int:
        """Reads what `save` wrote, and returns the number of parts.

        A damaged file raises an `InputError`.
        """
        try:
            arrays = files.read_arrays(path)
            for number, variable in enumerate(self._variables):
                variable.assign(arrays[f"{number}"])
            return int(arrays["parts"])
        except (InputError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected a checkpoint of this language model ({error}). Delete "
                f"{str(path.parent)!r} to start anew."
            ) from None


def pretrain(
    corpus: TextCorpus,
    config: LanguageModelConfig,
    run: LanguageModelRun,
    data_dir: str | Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Trains a language model into a folder, and returns its `metrics.json`.

    A run that was stopped, even killed, goes on after its last complete part, and ends with the
    same weights to the bit. A finished run with the same settings is left as it is.

    Raises:
        UsageError: If the vectors cannot be found, the folder holds something else, or a run with
            other settings.
        InputError: If a file cannot be read, or the training diverges.
    """
    with locked(run.path, "run_dir"):
        return _pretrain(corpus, config, run, data_dir, on_progress)


def _pretrain(
    corpus: TextCorpus,
    config: LanguageModelConfig,
    run: LanguageModelRun,
    data_dir: str | Path | None,
    on_progress: Callable[[Progress], None],
) -> dict[str, Any]:
    """Trains a language model into a locked folder."""
    started = time.perf_counter()
    tf.config.experimental.enable_op_determinism()
    path = sets.find_vectors(config.vectors, data_dir)
    about = {
        "format": FORMAT,
        "settings": asdict(config),
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "vectors": {
            "name": sets.lasting_name(path, data_dir), "fingerprint": sets.fingerprint(path),
        },
    }  # fmt: skip
    if len(corpus) < _FEWEST:
        raise UsageError(
            f"expected at least {_FEWEST} sentences. Received: {len(corpus)}.", setting="corpus"
        )
    for file in run.files:
        files.remove_partial(file)
    # A corpus and vectors that were renamed are the same: their fingerprints are compared.
    names = ("settings.vectors", "vectors.name", "corpus.name")
    check_folder(run.settings_file, about, "a language model", "run_dir", names)
    if run.is_finished:
        run.checkpoint_file.unlink(missing_ok=True)  # if it was killed before it did that
        log.info(f"{run.path}: finished already.")
        return run.metrics()
    warn_of_slow_bfloat16(config.matmul_dtype)
    keras.utils.set_random_seed(config.seed)
    vectors = sets.load_vectors(path, corpus.words)
    rows, matrix, factor = _matrix(corpus, vectors, config)
    sentences = Sentences(corpus, config, rows)
    counts = sentences.class_counts(corpus.counts)
    trainer = Trainer(config, LanguageModel(config, matrix, counts), sentences)
    history, done = [], 0
    if run.checkpoint_file.is_file():
        done = trainer.restore(run.checkpoint_file)
        history = run.history()[:done]
        if len(history) < done:
            raise InputError(
                f"{run.history_file}: expected {done} rows. Received {len(history)}. Delete "
                f"{str(run.path)!r} to start anew."
            )
        started -= sum(row["seconds"] for row in history)
        log.info(f"Goes on after {history[-1]['epoch']:.2f} epochs.")
    else:
        files.write_sealed_json(run.settings_file, about)
        files.write_json(run.environment_file, describe_environment())
        known = (PADDING, UNKNOWN, *corpus.words[: config.words])
        Vocabulary(tuple(dict.fromkeys(known))).save(run.vocabulary_file)

    per_epoch = int(sentences.lengths[sentences.training].sum())
    total = per_epoch * config.epochs
    for part in range(done, PARTS * config.epochs):
        epoch, number = divmod(part, PARTS)
        before = sum(int(row["tokens"]) for row in history)
        known = _perplexities(history[-1]) if history else {}

        def on_steps(tokens: int, loss: float, before: int = before, known: dict = known) -> None:
            on_progress(Progress(before + tokens, total, loss, known))

        clock = time.perf_counter()
        loss = trainer.train_part(epoch, number, on_steps)
        seconds = time.perf_counter() - clock
        tokens = int(sentences.lengths[sentences.part(epoch, number)].sum())
        row = {"epoch": (part + 1) / PARTS, "tokens": tokens, "loss": loss}
        row |= {f"{name}_perplexity": value for name, value in trainer.perplexities().items()}
        row |= {"learning_rate": trainer.learning_rate, "seconds": seconds}
        if not all(map(math.isfinite, row.values())):
            raise InputError(
                f"The training diverged by epoch {row['epoch']:.2f}: loss or perplexity is not "
                f"finite. Try a learning rate below {config.learning_rate}, in another folder."
            )
        history.append(row)
        _write_history(run.history_file, history)
        trainer.save(run.checkpoint_file, part + 1)
    with files.whole_file(run.weights_file) as partial:
        np.savez(partial, **trainer.model.weights(factor))
    metrics = {
        "perplexity": _perplexities(history[-1]),
        "held_out_sentences": min(_HELD_OUT, len(corpus) // 10),
        "tokens": total,
        "classes": len(counts),
        "tokens_without_vector": float(corpus.counts[rows == 1].sum() / corpus.counts.sum()),
        "training_seconds": sum(row["seconds"] for row in history),
        "seconds": time.perf_counter() - started,
    }
    files.write_sealed_json(run.metrics_file, metrics)
    run.checkpoint_file.unlink(missing_ok=True)
    return metrics


def _matrix(
    corpus: TextCorpus, vectors: WordVectors, config: LanguageModelConfig
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns each word's row int32[words], the rows float32[rows, dim], and their factor.

    Row 0 is padding. All words without a vector share row 1.
    """
    known = [word for word in corpus.words if matching.match(word, vectors)[1]]
    if not known:
        raise UsageError(
            f"the vectors {vectors.name} have none of the corpus's words.", setting="vectors"
        )
    numbers = {word: number for number, word in enumerate(known, start=2)}
    rows = np.array([numbers.get(word, 1) for word in corpus.words], np.int32)
    factor = matching.scale_factor(vectors, config.scale)
    matrix = matching.embedding_matrix((PADDING, UNKNOWN, *known), vectors, config.seed)
    return rows, matrix * np.float32(factor), factor


def _perplexities(row: Mapping[str, float]) -> dict[str, float]:
    return {name: row[f"{name}_perplexity"] for name in DIRECTIONS}


def _write_history(path: Path, rows: list[dict[str, float]]) -> None:
    lines = [",".join(rows[0]), *(",".join(map(repr, row.values())) for row in rows)]
    files.write_text(path, "\n".join(lines) + "\n")
