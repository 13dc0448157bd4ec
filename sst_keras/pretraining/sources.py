"""The name of a corpus → raw texts: files, or a data set of TensorFlow Datasets."""

import contextlib
import glob
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sst_keras import files, locations
from sst_keras.config import suggest
from sst_keras.datasets.sst5.source import tfds_dir
from sst_keras.errors import InputError, UsageError, in_one_line
from sst_keras.runtime import tf
from sst_keras.settings import TEXT_READING, DataConfig
from sst_keras.tables import patterns
from sst_keras.tables.encodings import Encoding, find_encoding, read_lines
from sst_keras.tables.folders import passed_over
from sst_keras.tables.formats import is_labelled
from sst_keras.tables.reading import is_table, open_table
from sst_keras.vectors import sets

log = logging.getLogger(__name__)

_BLOCK = 1 << 22  # characters of a block of lines, about
_SHOWN = 3  # files that a note names
_LABELS = re.compile(r"\s*(?:__label__\S+\s*)+(?:,\s)?")  # as fastText writes them before a text
_RECORDS = 512  # of TensorFlow Datasets, read at a time
# What TensorFlow raises of damaged files, unlike of a full memory.
_READING = (
    tf.errors.DataLossError, tf.errors.FailedPreconditionError, tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
)  # fmt: skip


@dataclass
class TextFiles:
    """Files of texts: lines, or tables with a column of texts.

    Attributes:
        name: A short name.
        paths: The files, in the order in which they are read.
        data: How they are read.
        notes: What a user should know about it. Reading adds to it.
    """

    name: str
    paths: tuple[Path, ...]
    data: DataConfig
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.paths)

    def digest(self) -> str:
        """Returns a sha256 of the files' names and bytes, and of how they are read."""
        settings = {name: getattr(self.data, name) for name in TEXT_READING}
        digest = hashlib.sha256(json.dumps(settings).encode())
        for path in self.paths:
            digest.update(f"\n{path.name}\n{files.sha256(path)}".encode())
            if self._is_lines(path) and is_labelled(path, self.data):
                digest.update(b"\nlabelled")  # earlier versions read the labels as words
        return digest.hexdigest()

    def blocks(self) -> Iterator[tuple[list[str], int]]:
        """Yields some texts, and about how many bytes of the files are read by then.

        Raises:
            UsageError: If a table has no column of this name.
            InputError: If a file cannot be read as text.
        """
        before, guessed = 0, []
        for path in self.paths:
            size = path.stat().st_size
            done = 0
            for texts in self._texts(path, guessed):
                done += sum(map(len, texts)) + len(texts)
                yield texts, before + min(done, size)
            before += size
        if guessed:
            shown = ", ".join(guessed[:_SHOWN]) + (", ..." * (len(guessed) > _SHOWN))
            number = f"{len(guessed):,} file{'s' if len(guessed) > 1 else ''}"
            self.notes.append(f"{number} not in UTF-8, so that the encoding was guessed: {shown}.")

    def labelled_blocks(self) -> Iterator[tuple[list[str], list[str], int]]:
        """Yields some texts, their labels, and about how many bytes of the files are read by then.

        Raises:
            UsageError: If a file has no column of labels.
            InputError: If a file cannot be read as text.
        """
        done = 0
        for path in self.paths:
            if patterns.ending(path) == ".txt" and not is_table(path, self.data):
                raise UsageError(
                    f"{path}: expected a table with a column of labels. Received lines of text.",
                    setting="document_labels",
                )
            table = open_table(path, replace(self.data, markup="keep"))
            done += path.stat().st_size
            for block in table.blocks():
                yield block.texts, block.labels, done

    def _texts(self, path: Path, guessed: list[str]) -> Iterator[list[str]]:
        if self._is_lines(path):
            encoding = find_encoding(path, self.data.encoding)
            if self.data.encoding == "auto" and not encoding.codec.startswith("utf"):
                guessed.append(f"{path.name} ({encoding})")
            has_labels = is_labelled(path, self.data)
            for lines in _blocks_of_lines(path, encoding):
                yield [_LABELS.sub("", line) for line in lines] if has_labels else lines
            return
        # Line breaks end sentences, so they must not become spaces here.
        table = open_table(path, replace(self.data, markup="keep"), with_label=False)
        for block in table.blocks():
            yield block.texts
        self.notes += [table.about, *table.notes()]

    def _is_lines(self, path: Path) -> bool:
        # These settings say that it is a table.
        if any(
            getattr(self.data, name) != getattr(DataConfig(), name) for name in TEXT_READING[:4]
        ):
            return False
        return patterns.ending(path) == ".txt" or not is_table(path, self.data)


def _blocks_of_lines(path: Path, encoding: Encoding) -> Iterator[list[str]]:
    lines, size = [], 0
    for line in read_lines(path, encoding):
        lines.append(line)
        size += len(line)
        if size > _BLOCK:
            yield lines
            lines, size = [], 0
    yield lines


@dataclass
class Dataset:
    """A data set of TensorFlow Datasets, of which the texts of all splits are read.

    Attributes:
        name: Its name.
        builder: The builder of the prepared data.
        column: The feature that has the texts.
        label: The feature that has their labels, if they have some.
        notes: What a user should know about it.
    """

    name: str
    builder: Any
    column: str
    label: str
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Texts of all splits."""
        return sum(split.num_examples for split in self.builder.info.splits.values())

    def digest(self) -> str:
        """Returns a sha256 of the files' bytes, and of what is read of them."""
        digest = hashlib.sha256(f"{self.builder.info.full_name}\n{self.column}".encode())
        for split, info in self.builder.info.splits.items():
            for path in info.filepaths:
                digest.update(f"\n{split}\n{files.sha256(path)}".encode())
        return digest.hexdigest()

    def blocks(self) -> Iterator[tuple[list[str], int]]:
        """Yields some texts, and how many are read by then.

        Raises:
            InputError: If a text is not UTF-8.
        """
        for batch, done in self._batches(self.column):
            yield batch[self.column], done

    def labelled_blocks(self) -> Iterator[tuple[list[str], list[str], int]]:
        """Yields some texts, their labels, empty for none, and how many are read by then.

        Raises:
            UsageError: If there is no feature of labels.
            InputError: If a text is not UTF-8.
        """
        import tensorflow_datasets as tfds

        features = self.builder.info.features
        feature = features[self.label] if self.label in features else None
        if not isinstance(feature, tfds.features.ClassLabel):
            raise UsageError(
                f"{self.name}: expected a feature of labels. {self.label!r} is none.",
                setting="document_labels",
            )
        for batch, done in self._batches(self.column, self.label):
            numbers = batch[self.label]  # -1 is no label
            labels = [feature.int2str(number) if number >= 0 else "" for number in numbers]
            yield batch[self.column], labels, done

    def _batches(self, *columns: str) -> Iterator[tuple[dict[str, list], int]]:
        """Yields some values of features, and how many are read by then."""
        import tensorflow_datasets as tfds

        done = 0
        for split in self.builder.info.splits:
            try:
                examples = self.builder.as_dataset(
                    split=split,
                    decoders=tfds.decode.PartialDecoding(dict.fromkeys(columns, True)),
                    read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
                )
                for batch in examples.batch(_RECORDS).prefetch(2).as_numpy_iterator():
                    found = {name: batch[name].tolist() for name in columns}
                    done += len(found[self.column])
                    found[self.column] = [text.decode("utf-8") for text in found[self.column]]
                    yield found, done
            except UnicodeDecodeError as error:
                raise InputError(f"{self.name}, {split}: expected UTF-8. {error}") from None
            except _READING as error:
                name, folder = f"{self.name}, {split}", str(self.builder.data_dir)
                raise InputError(_damaged(name, error, folder)) from None


def find_source(
    names: str | Sequence[str], data: DataConfig, data_dir: str | Path | None = None
) -> TextFiles | Dataset:
    """Returns where the texts of a corpus come from.

    Args:
        names: Files, folders and patterns such as `texts/*.txt`; or one data set of TensorFlow
            Datasets. It is looked for in `tensorflow_datasets/` of the data folder and of the
            cache, then in TensorFlow Datasets' own folder, and downloaded as a last resort.
        data: How files are read; `text_column` is also the feature of a data set.
        data_dir: The data folder, instead of the environment's.

    Raises:
        UsageError: If there is no such file or data set, or no such feature.
        InputError: If a data set is not prepared and cannot be downloaded.
    """
    names = [names] if isinstance(names, str) else list(names)
    found, others = [], []
    for name in names:
        paths = patterns.matches(name)
        if not paths:
            if len(names) == 1 and _may_be_dataset(name):
                return _find_dataset(name, data, data_dir)
            problem = "no file matches" if glob.has_magic(name) else "there is no file or folder"
            raise UsageError(f"{problem} {name!r}. Correct the path.", setting="corpus")
        for path in paths:
            if not path.is_dir():
                found.append(path)
                continue
            texts, rest = patterns.files_in(path)
            vectors = [each for each in (*texts, *rest) if sets.training_facts(each)]
            made = {*vectors, *map(sets.facts_file, vectors)}  # from texts
            found += [each for each in texts if each not in made]
            others += [each for each in rest if each not in made]
    distinct = tuple({path.resolve(): path for path in found}.values())
    if not distinct:
        raise UsageError(
            f"expected files ending in {', '.join(patterns.ENDINGS)}, or one of these and .gz, in "
            f"{', '.join(names)}. Received none.",
            setting="corpus",
        )
    first = Path(names[0]) if Path(names[0]).exists() else distinct[0]
    stem = first.resolve().name
    for ending in (".gz", *patterns.ENDINGS):
        stem = stem.removesuffix(ending) or stem
    more = len(names) - 1
    if not more and glob.has_magic(names[0]):
        more = len(distinct) - 1
    source = TextFiles(f"{stem}-and-{more}-more" if more else stem, distinct, data)
    if others:
        source.notes.append(f"{passed_over(others)} because of the ending.")
    return source


def _may_be_dataset(name: str) -> bool:
    """Whether a name is not clearly a path: `imdb_reviews`, `name/config:1.0.0`."""
    endings = (".gz", *patterns.ENDINGS)
    return not glob.has_magic(name) and patterns.ending(Path(name)) not in endings


def _find_dataset(name: str, data: DataConfig, data_dir: str | Path | None) -> Dataset:
    import tensorflow_datasets as tfds
    from google.protobuf.json_format import ParseError

    column = data.text_column

    logging.getLogger("absl").setLevel(logging.ERROR)  # Its warnings are for programmers.
    short = name.partition("/")[0].partition(":")[0]
    roots = [folder / "tensorflow_datasets" for folder in locations.data_dirs(data_dir)]
    roots.append(tfds_dir())
    prepared = {path.name for root in roots for path in root.glob("[!.]*") if path.is_dir()}
    prepared -= {"downloads"}
    known = prepared | {*tfds.list_builders(with_community_datasets=False)}
    if short not in known:
        here = f" Prepared on this machine: {', '.join(sorted(prepared))}." if prepared else ""
        raise UsageError(
            f"there is no file or folder {name!r}, and no data set of this name in TensorFlow "
            f"Datasets{suggest(short, sorted(known))}.{here}",
            setting="corpus",
        )
    for setting in ("delimiter", "quoting", "header", "encoding"):
        if getattr(data, setting) != getattr(DataConfig(), setting):
            message = f"only files are read with it. {name} is a data set of TensorFlow Datasets"
            raise UsageError(f"{message}.", setting=f"data.{setting}")
    # TFDS writes messages to standard output, which is for results.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            builders = [_builder(name, root) for root in roots if (root / short).is_dir()]
            builder = next((each for each in builders if _is_prepared(each)), None)
            builder = builder or _download(_builder(name, tfds_dir()), name, roots)
        # What parsers of JSON raise may be a ValueError, too, so these come first.
        except (ParseError, json.JSONDecodeError, KeyError) as error:
            folders = ", ".join(str(root / short) for root in roots if (root / short).is_dir())
            raise InputError(_damaged(name, error, folders)) from None
        except (tfds.core.DatasetNotFoundError, AssertionError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            message = f"{name}: TensorFlow Datasets: {in_one_line(error)}"
            raise UsageError(message, setting="corpus") from None
    features = builder.info.features
    texts = [key for key in sorted(features) if isinstance(features[key], tfds.features.Text)]
    if column not in texts:
        raise UsageError(
            f"{name}: expected a feature {column!r} of texts. Received "
            f"{', '.join(texts) or 'none'}. Name one of them.",
            setting="data.text_column",
        )
    return Dataset(short, builder, column, data.label_column)


def _damaged(name: str, error: Exception, folders: str) -> str:
    return (
        f"{name}: the prepared data set is damaged ({in_one_line(error)}). Copy the original into "
        f"{folders}, or delete that, so that it is prepared again."
    )


def _builder(name: str, folder: Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder(name, data_dir=folder, try_gcs=False)


def _is_prepared(builder: Any) -> bool:
    return bool(builder.info.splits) and all(
        Path(path).is_file() for split in builder.info.splits.values() for path in split.filepaths
    )


def _download(builder: Any, name: str, roots: Sequence[Path]) -> Any:
    # TFDS would retry for minutes.
    addresses = list(builder.url_infos or ())
    if addresses and not any(map(locations.is_reachable, addresses[:2])):
        raise InputError(
            f"{name} is not in {', '.join(map(str, roots))}, and {addresses[0]} does not answer. "
            f"Prepare it on another machine with `tfds build {name}`, and copy its folder into one "
            f"of these."
        )
    log.info(f"{name}: downloading and preparing it, once ...")
    try:
        builder.download_and_prepare()
    except Exception as error:  # A builder may raise anything.
        message = f"{name}: TensorFlow Datasets could not prepare it: {in_one_line(error)}"
        raise InputError(message) from error
    return builder
