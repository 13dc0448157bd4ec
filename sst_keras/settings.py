"""Every setting of a pipeline, declared once: default, meaning, range, and when it is read.

`sst_keras.config` reads them from files and changes them.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from sst_keras import plugins
from sst_keras.errors import UsageError

# The format of settings in a run's `pipeline.toml` and in records. It goes up when this version
# would misread a file of the earlier format.
FORMAT = 2
OPTIMIZERS = (
    "sgd", "momentum", "nesterov", "adam", "lazy-adam", "adamw", "nadam", "adamax", "rmsprop",
    "adagrad", "adadelta", "ftrl", "lion",
)  # fmt: skip
_LSTM = ("model.name", ("lstm",))
_CNN = ("model.name", ("cnn", "cnn-multichannel"))


# A part of a pipeline's name, which becomes a folder's.
_PART = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\\]{1,100}")


class _All:
    """Contains every value but one."""

    def __init__(self, but: Any) -> None:
        self.but = but

    def __contains__(self, value: Any) -> bool:
        return value != self.but


def _setting(
    default: Any, about: str, label: str = "", choices: tuple = (), low=None, high=None, needs=()
) -> Any:
    """Declares a setting.

    Args:
        default: The default value.
        about: What the setting means.
        label: A short name for tables; by default the setting's own name with spaces.
        choices: The values it may have; empty for any.
        low: The least value of a number; the fewest entries of a list.
        high: The greatest value of a number.
        needs: Another setting and the values of it under which this one is read; empty for always.
    """
    metadata = {"about": about, "label": label, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=metadata | {"needs": needs})


_MOST = 2**63 - 1  # of a whole number that has no other limit: what libraries can hold


def not_within(value: Any, choices: Collection = (), low=None, high=None) -> str:
    """Returns what is expected of a setting, such as `at least 1`; empty if `value` is that."""
    if choices and value not in choices:
        return f"one of {', '.join(choices)}"
    if isinstance(value, float) and math.isinf(value):
        return "a finite number"
    if isinstance(value, int) and value > _MOST and low is not None and high is None:
        return f"at most {_MOST}"
    # Written so that nan, which compares false with everything, is refused.
    if (low is None or value >= low) and (high is None or value <= high):
        return ""
    return f"at least {low}" if high is None else f"from {low} to {high}"


# fmt: off
@dataclass(frozen=True)
class DataConfig:
    """The data set, and how it is read and batched."""

    dataset: str = _setting(
        "sst5", "sst5, sample, auto (SST-5 if available, else the sample), or a path")
    text_column: str = _setting(
        "text", "the column of the text in CSV, TSV and JSON: its name, or its number from 1")
    label_column: str = _setting("label", "the column of the label, given like text_column")
    group_column: str = _setting(
        "", "a column whose equal values, such as a product's number, stay in one split; empty: "
        "none")
    labels: tuple[str, ...] = _setting(
        (), "the classes of your own files, lowest first; empty: as found, numbers by value, known "
        "scales from low to high, other words alphabetically")
    delimiter: str = _setting(
        "auto", "what separates the fields of a table: auto, tab, none or a character")
    quoting: str = _setting(
        "auto", "what quotation marks do in a table; auto: they quote where fields need it; "
        "backslash: double quotes, with a backslash before those within",
        choices=("auto", "double", "single", "backslash", "none"))
    header: str = _setting(
        "auto", "the line of a table's header, from 1; none: there is none; auto: it is looked for")
    encoding: str = _setting(
        "auto", "Python's name of the encoding of your own files; auto: found from the bytes")
    markup: str = _setting(
        "auto", "what is done with tags, &amp; and written-out line breaks; auto: they are undone",
        choices=("auto", "keep"))
    ordinal: str = _setting(
        "auto", "whether distances between classes are scored; auto: if their order is known",
        choices=("auto", "yes", "no"))
    split_seed: int = _setting(
        1, "the seed that splits a single file into train, dev and test", low=0, high=2**31 - 1)
    examples: str = _setting(
        "sentences", "the training examples; dev and test are always complete sentences; "
        "sampled-phrases: the sentences, and phrases of each that every epoch draws anew",
        label="training examples",
        choices=("sentences", "phrases", "unique-phrases", "sampled-phrases"))
    phrases_per_sentence: int = _setting(
        8, "how many phrases of a sentence an epoch draws", low=1,
        needs=("data.examples", ("sampled-phrases",)))
    root_weight: float = _setting(
        1.0, "how much a complete sentence counts in the loss; other phrases count 1", low=0.0,
        needs=("data.examples", ("phrases", "unique-phrases", "sampled-phrases")))
    pseudo_labels: str = _setting(
        "", "sentences that other runs labelled (`sst-keras label`): the first epochs learn from "
        "them, the others from the training examples; empty: none")
    pseudo_epochs: int = _setting(
        1, "how many epochs, from the first, learn from the pseudo-labels",
        label="epochs on pseudo-labels", low=1, needs=("data.pseudo_labels", _All(but="")))
    lowercase: bool = _setting(
        True, "whether words that differ only in case are the same word", label="lower case")
    min_count: int = _setting(
        2, "rarer training words that have no vector become the unknown word", low=1)
    vector_words: int = _setting(
        20000, "how many of the vectors' most frequent words join the vocabulary", low=0)
    max_length: int = _setting(0, "training texts are cut to this many tokens; 0: never", low=0)
    batch_size: int = _setting(64, "examples per batch", low=1)
    batch_tokens: int = _setting(
        16384, "the most tokens per batch, padding included: batches of long texts have fewer "
        "examples; 0: no bound", low=0)
    class_weights: str = _setting(
        "none", "weights of the training examples; balanced: each class has the same total weight",
        choices=("none", "balanced"))


# The settings of `data` that say how texts are read from files, and those for texts with labels.
TEXT_READING = ("text_column", "delimiter", "quoting", "header", "encoding", "markup")
READING = (
    "text_column", "label_column", "group_column", "labels", "ordinal", "split_seed",
    *TEXT_READING[1:],
)


@dataclass(frozen=True)
class EmbeddingConfig:
    """The word vectors at the model's input."""

    vectors: tuple[str, ...] = _setting(
        ("auto",), "names or paths, concatenated; auto: the data set's own, or the set with the "
        "highest coverage; none: learned from scratch", label="word vectors", low=1)
    key_pattern: str = _setting(
        "{word}", "how the vectors' files write a word, such as /c/en/{word} or {word}_{tag}; "
        "other words are passed over", label="key pattern")
    dim: int = _setting(
        300, "width of vectors that are learned from scratch", label="vectors' width", low=1,
        needs=("embedding.vectors", (("none",),)))
    scale: float = _setting(
        0.0, "standard deviation that the numbers of each set of vectors are scaled to; 0: none",
        label="vectors' scale", low=0.0)
    reduce: int = _setting(
        0, "how many numbers per word the vectors are reduced to, those that keep most of them; 0: "
        "all", label="vectors reduced to", low=0, needs=("embedding.vectors", _All(("none",))))
    quantized: bool = _setting(
        False, "whether the vectors are kept in 8 bits per number after training, which makes the "
        "model smaller", label="vectors in 8 bits")
    trainable: bool = _setting(
        True, "whether training changes the vectors", label="vectors trained")
    optimizer: str = _setting(
        "adagrad", "the vectors' optimizer, if they have a learning rate of their own",
        label="vectors' optimizer", choices=OPTIMIZERS)
    learning_rate: float = _setting(
        0.02, "the vectors' own learning rate; 0: they train with all other weights",
        label="vectors' learning rate", low=0.0)
    dropout: float = _setting(
        0.5, "share of the vectors' numbers dropped", label="dropout of vectors", low=0.0,
        high=0.95)
    word_dropout: float = _setting(
        0.0, "share of the words that training reads as the unknown word", label="dropout of words",
        low=0.0, high=0.95)


@dataclass(frozen=True)
class ModelConfig:
    """The layers between the word vectors and the classes."""

    name: str = _setting(
        "lstm", "the architecture", label="model",
        choices=("lstm", "mlp", "cnn", "cnn-multichannel"))
    units: int = _setting(
        128, "width of a recurrent or hidden layer, per direction; one that starts from a language "
        "model has that one's width", label="hidden size", low=1,
        needs=("model.name", ("lstm", "mlp")))
    num_layers: int = _setting(
        1, "stacked recurrent layers", label="layers", low=1, high=100, needs=_LSTM)
    shortcuts: bool = _setting(
        False, "whether each recurrent layer reads the word vectors and the outputs of all layers "
        "below it, not only of the last one", needs=("model.num_layers", range(2, 2**31)))
    bidirectional: bool = _setting(
        False, "whether the text is also read backwards", label="both directions", needs=_LSTM)
    pooling: str = _setting(
        "attention", "how the time steps become one vector; last: the last real step; "
        "last_padded: the last of padded_length steps, with padding read as words; "
        "max-mean-attention: all three side by side",
        choices=("attention", "last", "last_padded", "mean", "max", "max-mean-attention"),
        needs=_LSTM)
    padded_length: int = _setting(
        56, "steps to which last_padded pads each text; 56 is SST-5's longest", low=1, high=10_000,
        needs=("model.pooling", ("last_padded",)))
    init: str = _setting(
        "", "a run of `sst-keras pretrain` from whose weights the first recurrent layer starts, or "
        "one of `sst-keras train` from which all layers start; empty: random", label="pretrained")
    train_init: bool = _setting(
        True, "whether training changes what starts from another run; if not, only the layers "
        "above a language model train, and only the last layer of a run",
        label="pretrained layer trained",
        needs=("model.init", _All(but="")))
    weight_dropout: float = _setting(
        0.0, "share of the recurrent weights dropped, drawn for each batch",
        label="dropout of recurrent weights", low=0.0, high=0.95, needs=_LSTM)
    matmul_dtype: str = _setting(
        "float32", "dtype of the recurrent layers' matrix products; bfloat16 is faster on CPUs "
        "that have it", choices=("float32", "bfloat16"), needs=_LSTM)
    filters: int = _setting(100, "convolution filters of each width", low=1, needs=_CNN)
    kernel_sizes: tuple[int, ...] = _setting(
        (3, 4, 5), "widths of the convolutions in tokens", low=1, needs=_CNN)
    dropout: float = _setting(
        0.5, "share dropped between layers and before the classifier", low=0.0, high=0.95)


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained."""

    seed: int = _setting(1, "the seed of everything random", low=0, high=2**31 - 1)
    epochs: int = _setting(40, "the maximum number of passes over the training examples", low=1)
    patience: int = _setting(
        8, "stop after this many epochs without a better check on dev; 0: never", low=0)
    checks_per_epoch: int = _setting(
        1, "how many times an epoch dev is scored, at equal distances; the best check's model is "
        "kept", label="dev checks an epoch", low=1, high=1000)
    average: float = _setting(
        0.0, "momentum per step of the moving average of the weights that dev is scored with and "
        "that is kept, such as 0.999; 0: the weights themselves", label="weights averaged",
        low=0.0, high=0.99999)
    monitor: str = _setting(
        "accuracy", "the score on dev by which the epoch to keep is chosen; macro-f1 counts each "
        "class the same, and loss counts how sure the model is", label="epoch chosen by",
        choices=("accuracy", "macro-f1", "loss"))
    loss: str = _setting(
        "cross-entropy", "the loss; earth-mover is for ordered classes",
        choices=("cross-entropy", "euclidean", "earth-mover"))
    label_smoothing: float = _setting(
        0.0, "share of each label that is spread over all classes", low=0.0, high=0.99)
    optimizer: str = _setting("adam", "the optimizer", choices=OPTIMIZERS)
    learning_rate: float = _setting(1e-3, "the learning rate", low=0.0)
    schedule: str = _setting(
        "constant", "how the learning rates, the vectors' too, fall to 0 over all epochs",
        choices=("constant", "linear", "cosine"))
    l2: float = _setting(
        0.0, "L2 penalty: this times each weight is added to its gradient; PyTorch's weight_decay",
        label="L2 term", low=0.0)
    weight_decay: float = _setting(
        0.0, "decoupled: each step subtracts learning rate × this × weight", low=0.0)
    clip_norm: float = _setting(
        0.0, "bound of the gradients' global norm; 0: none", label="gradient norm bound", low=0.0)
# fmt: on


class _WithinRange:
    """Refuses settings out of range, some of which the libraries behind them would take."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            about, value = item.metadata, getattr(self, item.name)
            limits = {key: about[key] for key in ("choices", "low", "high") if key in about}
            if expected := not_within(value, **limits):
                raise UsageError(f"expected {expected}. Received: {value!r}", setting=item.name)


# fmt: off
@dataclass(frozen=True)
class VectorsConfig(_WithinRange):
    """How `sst-keras vectors train` trains word vectors.

    What has no meaning here is gensim's, by name and default, and no option of the command.
    """

    model: str = _setting(
        "skip-gram", "skip-gram or cbow (Mikolov et al., 2013), or fasttext, which is skip-gram "
        "with vectors of character n-grams (Bojanowski et al., 2017)",
        choices=("skip-gram", "cbow", "fasttext"))
    dim: int = _setting(300, "numbers per vector", low=1, high=10_000)
    window: int = _setting(5, "the most words of context on either side", low=1, high=1000)
    min_count: int = _setting(
        3, "rarer words are left out, as if they were not in the texts", low=1)
    epochs: int = _setting(5, "passes over the corpus", low=1)
    seed: int = _setting(
        1, "the seed of the first vectors and of what is drawn", low=0, high=2**31 - 1)
    workers: int = _setting(
        0, "threads; 0: one per core. With 1, the same command gives the same bytes; with more it "
        "does not, because the result depends on their timing", low=0, high=1024)
    alpha: float = 0.025  # the first learning rate, which falls evenly to `min_alpha`
    min_alpha: float = 0.0001
    negative: int = 5  # words drawn against each word
    sample: float = 1e-3  # words with a higher share of the tokens are passed over at random
    ngrams: tuple[int, int] = (3, 6)  # the least and most characters of fastText's n-grams
    buckets: int = 300_000  # vectors for them; gensim's 2,000,000 would take gigabytes
# fmt: on


# fmt: off
@dataclass(frozen=True)
class LanguageModelConfig(_WithinRange):
    """How `sst-keras pretrain` trains a language model."""

    vectors: str = _setting("", "the word vectors that the model reads: a name or a path")
    scale: float = _setting(
        0.4, "standard deviation that the vectors' numbers are scaled to; 0: none", low=0.0)
    units: int = _setting(256, "width of each direction's LSTM", low=1)
    words: int = _setting(
        25_000, "how many of the corpus's most frequent words are predicted; the others count as "
        "one", low=1)
    negatives: int = _setting(1024, "words that each prediction is compared with", low=1)
    epochs: int = _setting(1, "passes over the sentences", low=1)
    batch_size: int = _setting(128, "sentences per batch", low=1)
    max_length: int = _setting(80, "longer sentences are cut into pieces of this length", low=2)
    learning_rate: float = _setting(
        2e-3, "Adam's learning rate at the start; it falls to 0 at a constant pace", low=0.0)
    matmul_dtype: str = _setting(
        "float32", "dtype of the matrix products; bfloat16 is faster on CPUs that have it",
        choices=("float32", "bfloat16"))
    seed: int = _setting(1, "the seed of everything random", low=0, high=2**31 - 1)
# fmt: on


# fmt: off
@dataclass(frozen=True)
class LabellingConfig(_WithinRange):
    """Which sentences `sst-keras label` labels."""

    sentences: int = _setting(180_000, "how many different sentences are drawn", low=1)
    shortest: int = _setting(4, "the fewest tokens of a sentence", low=1)
    longest: int = _setting(45, "the most tokens of a sentence", low=1)
    document_labels: bool = _setting(
        False, "draw sentences of texts with a label, and correct the teachers' probabilities with "
        "it")
    seed: int = _setting(1, "the seed of the draw", low=0, high=2**31 - 1)
# fmt: on


@dataclass(frozen=True)
class Pipeline:
    """All settings of a run, in four sections.

    Its `name` is that of its file without the extension. `sst-keras pipelines` prints the name and
    the `description`.
    """

    name: str = "lstm-attention"
    description: str = ""
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        """Refuses a name that leads out of the folder of runs, because their folders have it."""
        parts = self.name.split("/")
        if any(part in ("", ".", "..") or not _PART.fullmatch(part) for part in parts):
            raise UsageError(
                f"expected what a folder can be called: UTF-8, without parts such as `..`, "
                f"backslashes and control characters. Received: {self.name[:60]!r}",
                setting="name",
            )

    def settings(self) -> dict[str, Any]:
        """Returns every setting as `section.key` → value."""
        return {
            f"{section}.{key}": value
            for section in SECTIONS
            for key, value in vars(getattr(self, section)).items()
        }

    def changes(self) -> dict[str, Any]:
        """Returns the settings that differ from the defaults."""
        defaults = Pipeline().settings()
        return {name: value for name, value in self.settings().items() if value != defaults[name]}

    def unread(self) -> list[str]:
        """Returns the changed settings that this pipeline's model does not read."""
        return [name for name in self.changes() if not is_read(name, self.settings())]

    def to_toml(self) -> str:
        """Returns format, name, description and every setting as TOML."""
        head = {"format": FORMAT, "name": self.name, "description": self.description}
        tables = {section: dict(vars(getattr(self, section))) for section in SECTIONS}
        return tomli_w.dumps(head | tables)


SECTIONS = {
    item.name: item.type
    for item in dataclasses.fields(Pipeline)
    if dataclasses.is_dataclass(item.type)
}
SETTINGS: dict[str, dataclasses.Field] = {
    f"{section}.{item.name}": item
    for section, kind in SECTIONS.items()
    for item in dataclasses.fields(kind)
}


def is_read(setting: str, settings: Mapping[str, Any]) -> bool:
    """Returns whether a model with these `settings` reads `setting`."""
    while needs := SETTINGS[setting].metadata["needs"]:
        setting, values = needs
        value = settings[setting]
        # Nobody knows what another package's model reads.
        is_ours = setting != "model.name" or value in SETTINGS[setting].metadata["choices"]
        if value not in values and (is_ours or value not in plugins.encoders()):
            return False
    return True


def label(setting: str) -> str:
    """Returns a setting's short name for tables, such as `hidden size`."""
    return SETTINGS[setting].metadata["label"] or setting.partition(".")[2].replace("_", " ")


def setting_docs() -> list[dict[str, Any]]:
    """Returns every setting with its default and what it means."""
    docs = []
    for name, item in SETTINGS.items():
        about = item.metadata["about"]
        if item.metadata["choices"]:
            about += f": {', '.join(item.metadata['choices'])}"
        docs.append({"setting": name, "default": item.default, "about": about})
    return docs
