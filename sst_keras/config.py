"""A pipeline's settings: frozen dataclasses, read from TOML, overridden one by one, written back.

The defaults below are the pipeline `lstm-attention`. A pipeline file states only what it changes.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sst_keras import locations
from sst_keras.errors import UsageError

OPTIMIZERS = (
    "sgd", "momentum", "nesterov", "adam", "lazy-adam", "adamw", "nadam", "adamax", "rmsprop",
    "adagrad", "adadelta", "ftrl", "lion",
)  # fmt: skip


def _setting(default: Any, about: str, *, choices: tuple = (), low=None, high=None) -> Any:
    """Declares a setting: its default, what it means, and what it may be.

    `low` and `high` bound a number; of a list, `low` is the fewest entries.
    """
    return field(
        default=default,
        metadata={"about": about, "choices": choices, "low": low, "high": high},
    )


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how it is batched."""

    dataset: str = _setting(
        "sst5", "sst5, sample, auto (SST-5 where it can be had, else the sample), or a path"
    )
    text_column: str = _setting("text", "column of the text in CSV, TSV and JSONL files")
    label_column: str = _setting("label", "column of the label in CSV, TSV and JSONL files")
    labels: tuple[str, ...] = _setting(
        (), "classes of CSV, TSV and JSONL files, lowest first; empty: sorted as they come"
    )
    examples: str = _setting(
        "sentences",
        "what is trained on; dev and test are whole sentences always",
        choices=("sentences", "phrases", "unique-phrases"),
    )
    lowercase: bool = _setting(True, "whether words that differ in case alone are one word")
    min_count: int = _setting(
        2, "a training word rarer than this, and without a vector, is read as unknown", low=1
    )
    vector_words: int = _setting(
        20000, "how many of the vectors' most frequent words join the vocabulary", low=0
    )
    max_length: int = _setting(0, "training texts are cut after so many tokens; 0: never", low=0)
    batch_size: int = _setting(64, "examples in a batch", low=1)


@dataclass(frozen=True)
class EmbeddingConfig:
    """The word vectors at the model's input."""

    vectors: tuple[str, ...] = _setting(
        ("auto",),
        "names or paths, put side by side; auto: the data set's own or those of highest "
        "coverage; none: learned from scratch",
        low=1,
    )
    dim: int = _setting(300, "width of vectors that are learned from scratch", low=1)
    trainable: bool = _setting(True, "whether training changes the vectors")
    optimizer: str = _setting(
        "adagrad", "their own optimizer, where they have a rate of their own", choices=OPTIMIZERS
    )
    learning_rate: float = _setting(
        0.02, "their own learning rate; 0: trained as the rest is", low=0.0
    )
    dropout: float = _setting(0.5, "share of the vectors' numbers dropped", low=0.0, high=0.95)


@dataclass(frozen=True)
class ModelConfig:
    """What stands between the word vectors and the classes."""

    name: str = _setting(
        "lstm", "the model's builder", choices=("lstm", "mlp", "cnn", "cnn-multichannel")
    )
    units: int = _setting(128, "width of a recurrent or hidden layer, each direction", low=1)
    num_layers: int = _setting(1, "recurrent layers, one upon the other", low=1)
    bidirectional: bool = _setting(False, "whether the text is also read from its end")
    pooling: str = _setting(
        "attention",
        "how the steps become one vector; last: the last real step, never padding; last_padded: "
        "the last of padded_length steps, padding read as if it were words",
        choices=("attention", "last", "last_padded", "mean", "max"),
    )
    padded_length: int = _setting(
        56, "steps that last_padded fills each text up to; 56 is SST-5's longest", low=1
    )
    matmul_dtype: str = _setting(
        "float32",
        "of recurrent layers' matrix products; bfloat16 is faster on processors that have it",
        choices=("float32", "bfloat16"),
    )
    filters: int = _setting(100, "convolution filters of each width", low=1)
    kernel_sizes: tuple[int, ...] = _setting(
        (3, 4, 5), "widths of the convolutions, in tokens", low=1
    )
    dropout: float = _setting(
        0.5, "share dropped between layers and before the classifier", low=0.0, high=0.95
    )


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained."""

    seed: int = _setting(1, "everything random follows from it", low=0, high=2**31 - 1)
    epochs: int = _setting(40, "most passes over the training examples", low=1)
    patience: int = _setting(
        8, "stop after so many epochs without a better one on dev; 0: never", low=0
    )
    checks_per_epoch: int = _setting(
        1, "how often an epoch dev is scored for metrics.json; epochs alone are chosen among", low=1
    )
    score_last: bool = _setting(
        False, "whether the last epoch's weights are scored on dev and test too, beside the best's"
    )
    loss: str = _setting(
        "cross-entropy", "what is minimized", choices=("cross-entropy", "euclidean")
    )
    label_smoothing: float = _setting(
        0.0, "share of each label spread over all classes", low=0.0, high=0.99
    )
    optimizer: str = _setting("adam", "of all but embeddings with their own", choices=OPTIMIZERS)
    learning_rate: float = _setting(1e-3, "step size", low=0.0)
    l2: float = _setting(
        0.0, "times the weight, added to its gradient: PyTorch's weight_decay in Adam, SGD", low=0.0
    )
    weight_decay: float = _setting(
        0.0, "decoupled: times learning rate and weight, taken off each step", low=0.0
    )
    clip_norm: float = _setting(0.0, "bound of the gradients' global norm; 0: none", low=0.0)


@dataclass(frozen=True)
class Pipeline:
    """All the settings of a run, in four sections, under a name.

    Attributes:
        name: The pipeline's name: its file's, without the ending.
        description: One line for `sst-keras pipelines`.
    """

    name: str = "lstm-attention"
    description: str = ""
    data: DataConfig = DataConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def changes(self) -> dict[str, Any]:
        """Returns the settings that differ from the defaults, as `section.key` → value."""
        base = Pipeline()
        return {
            f"{section}.{key}": value
            for section in SECTIONS
            for key, value in vars(getattr(self, section)).items()
            if value != getattr(getattr(base, section), key)
        }

    def to_toml(self) -> str:
        """Returns every setting, written out, as TOML."""
        import tomli_w

        tables = {section: dict(vars(getattr(self, section))) for section in SECTIONS}
        return tomli_w.dumps({"name": self.name, "description": self.description} | tables)


SECTIONS = {
    name: hint for name, hint in get_type_hints(Pipeline).items() if dataclasses.is_dataclass(hint)
}


def setting_docs() -> list[dict[str, Any]]:
    """Returns every setting, with its default and what it means."""
    docs = []
    for section, kind in SECTIONS.items():
        for item in dataclasses.fields(kind):
            about = item.metadata["about"]
            if item.metadata["choices"]:
                about += f": {', '.join(item.metadata['choices'])}"
            setting = f"{section}.{item.name}"
            docs.append({"setting": setting, "default": item.default, "about": about})
    return docs


def bundled_files() -> list[Path]:
    """Returns the files of pipelines, and of sweeps of many, that ship with the package."""
    return sorted(locations.bundled("pipelines").glob("*.toml"))


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: If it is none.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a TOML file in UTF-8, but {error}.") from None


def is_sweep(path: Path) -> bool:
    """Returns whether a file states many pipelines; see `sst_keras.sweep`."""
    return not {"rows", "grid"}.isdisjoint(read_toml(path))


def pipeline_names() -> list[str]:
    """Returns the names of the pipelines that ship with the package, sorted."""
    return [path.stem for path in bundled_files() if not is_sweep(path)]


def load_pipeline(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Pipeline:
    """Reads a pipeline and applies overrides.

    Args:
        name_or_path: The name of one that ships with the package, or the path of a TOML file.
        overrides: Settings as `section.key=value`, the value written as in TOML; quotes may be
            left out around text.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of its range.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = locations.bundled("pipelines") / f"{name_or_path}.toml"
        if path not in bundled_files():
            names = pipeline_names()
            raise UsageError(
                f"There is no pipeline {str(name_or_path)!r}{suggest(name_or_path, names)}. "
                f"Expected one of {', '.join(names)}, or the path of a .toml file."
            )
    elif not path.is_file():
        raise UsageError(f"There is no pipeline file {str(path)!r}. Correct the path.")
    if is_sweep(path):
        raise UsageError(
            f"{name_or_path} is a sweep of many pipelines: `sst-keras reproduce {name_or_path}` "
            f"runs them, `sst-keras train {name_or_path}/ROW` one of them."
        )
    pipeline = with_tables(Pipeline(name=path.stem), read_toml(path), source=str(path))
    for override in overrides:
        pipeline = with_override(pipeline, override)
    return pipeline


def with_override(pipeline: Pipeline, override: str) -> Pipeline:
    """Returns `pipeline` with one setting changed, given as `section.key=value`."""
    place, equals, text = override.partition("=")
    section, dot, key = place.strip().partition(".")
    if not (equals and dot):
        raise UsageError(
            f"--set: expected section.key=value, such as model.units=256. Received: {override!r}"
        )
    return with_setting(pipeline, section, key, _read_value(text.strip()), source="--set")


def with_setting(
    pipeline: Pipeline, section: str, key: str, value: Any, source: str = "pipeline"
) -> Pipeline:
    """Returns `pipeline` with the setting `section.key` at `value`."""
    return with_tables(pipeline, {section: {key: value}}, source)


def checked_setting(setting: str, value: Any, source: str) -> Any:
    """Returns a value of `section.key` as a pipeline has it.

    Raises:
        UsageError: If there is no such setting, or it cannot have the value.
    """
    section, _, key = setting.partition(".")
    return getattr(getattr(with_setting(Pipeline(), section, key, value, source), section), key)


def _read_value(text: str) -> Any:
    """Returns `text` read as a TOML value, or as itself where it is none (text without quotes)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def with_tables(pipeline: Pipeline, tables: Mapping[str, Any], source: str) -> Pipeline:
    """Returns `pipeline` with what `tables` (a parsed pipeline file) states.

    Raises:
        UsageError: If a setting is unknown or out of its range.
    """
    changed: dict[str, Any] = {}
    for section, table in tables.items():
        if section in ("name", "description"):
            changed[section] = str(table)
            continue
        if section not in SECTIONS:
            raise UsageError(
                f"{source}: unknown section {section!r}{suggest(section, SECTIONS)}. "
                f"Expected one of {', '.join(SECTIONS)}."
            )
        if not isinstance(table, Mapping):
            raise UsageError(
                f"{source}: expected [{section}] to be a table of settings. Received: {table!r}"
            )
        hints = get_type_hints(SECTIONS[section])
        settings = {item.name: item for item in dataclasses.fields(SECTIONS[section])}
        values = {}
        for key, value in table.items():
            if key not in settings:
                everywhere = {
                    f"{name}.{k}" for name in SECTIONS for k in get_type_hints(SECTIONS[name])
                }
                raise UsageError(
                    f"{source}: unknown setting '{section}.{key}'"
                    f"{suggest(f'{section}.{key}', everywhere)}. [{section}] has "
                    f"{', '.join(settings)}."
                )
            values[key] = _checked(f"{source}: {section}.{key}", settings[key], hints[key], value)
        changed[section] = dataclasses.replace(getattr(pipeline, section), **values)
    return dataclasses.replace(pipeline, **changed)


def _checked(place: str, item: dataclasses.Field, hint: Any, value: Any) -> Any:
    """Returns `value` as the type of the setting `item`, or raises a `UsageError`."""
    about = item.metadata
    if get_origin(hint) is tuple:
        kind = get_args(hint)[0]
        entries = value if isinstance(value, (list, tuple)) else [value]
        if kind is str:
            entries = [str(entry) for entry in entries]
        if not all(type(entry) is kind for entry in entries):
            raise UsageError(
                f"{place}: expected a list of {_NAMES[kind]} ({about['about']}). "
                f"Received: {value!r}"
            )
        if kind is int and not all(a < b for a, b in itertools.pairwise([0, *entries])):
            raise UsageError(
                f"{place}: expected numbers of at least 1, each above the one before. "
                f"Received: {value!r}"
            )
        if len(set(entries)) < len(entries):
            raise UsageError(f"{place}: expected each entry once. Received: {value!r}")
        if about["low"] is not None and len(entries) < about["low"]:
            raise UsageError(f"{place}: expected at least {about['low']} of them. Received none.")
        return tuple(entries)
    if hint is float and type(value) is int:
        value = float(value)
    if hint is str and isinstance(value, (int, float)):
        value = str(value)
    if type(value) is not hint:
        raise UsageError(
            f"{place}: expected {_NAMES[hint]} ({about['about']}). Received: {value!r}"
        )
    if about["choices"] and value not in about["choices"]:
        raise UsageError(
            f"{place}: expected one of {', '.join(about['choices'])}. Received: {value!r}"
            f"{suggest(value, about['choices'])}"
        )
    low, high = about["low"], about["high"]
    # Written so that nan, which compares false with all, is refused.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise UsageError(f"{place}: expected {bound} ({about['about']}). Received: {value!r}")
    return value


_NAMES: Mapping[type, str] = types.MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
)


def suggest(word: object, known: Iterable[str]) -> str:
    """Returns ` (did you mean ...?)` where a known word is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
