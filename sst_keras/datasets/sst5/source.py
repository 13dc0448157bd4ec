"""Where SST-5 comes from: the data folder, the user's cache, or the original download."""

import hashlib
import os
import zipfile
from pathlib import Path

from sst_keras import locations
from sst_keras.errors import InputError, UsageError

URL = "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip"
ZIP_NAME = "trainDevTestTrees_PTB.zip"
VERSION = "1.0.0"
SHA256 = {
    ZIP_NAME: "5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc",
    "train.txt": "e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7",
    "dev.txt": "0e9336aed6e4730e19f58d00a77b3f0297efdb755f7b5e598c98a05e3f97ea40",
    "test.txt": "6e54806dee95cf80cd918e7dfb3f6770f6df24bf826f289a4d1f709e1c8f6761",
}
_TREE_FILES = ("train.txt", "dev.txt", "test.txt")
_FIRST_FORM_NAME = "stanfordSentimentTreebank"
_FIRST_FORM_FILES = (
    "datasetSentences.txt", "datasetSplit.txt", "dictionary.txt", "sentiment_labels.txt",
)  # fmt: skip


def locate(data_dir: str | Path | None = None) -> Path | zipfile.Path | None:
    """Returns the folder that has train.txt, dev.txt and test.txt, or None if there is none.

    Each of `locations.data_dirs(data_dir)` is searched for `sst/`, with the zip or its three files.

    Raises:
        UsageError: If `data_dir` or the folder that the environment names does not exist.
        InputError: If a file's checksum is not the original's.
    """
    for folder in locations.data_dirs(data_dir):
        found = _files_in(folder / "sst")
        for file in found:
            expected, received = SHA256[file.name], hashlib.sha256(file.read_bytes()).hexdigest()
            if received != expected:
                raise InputError(
                    f"{file}: this is not the original SST-5 file. Expected sha256 {expected}. "
                    f"Received {received}. Replace it with the file from {URL}, or, to train on "
                    f"your own trees, set data.dataset to their folder."
                )
        if found:
            return zipfile.Path(found[0], "trees/") if len(found) == 1 else folder / "sst"
    return None


def _files_in(folder: Path) -> list[Path]:
    """Returns the original zip or the three unpacked files; none if any is missing."""
    for names in ([ZIP_NAME], _TREE_FILES):
        if all((folder / name).is_file() for name in names):
            return [folder / name for name in names]
    return []


def files_at(found: Path | zipfile.Path) -> list[Path]:
    """Returns the files of what `locate` found: the zip, or the three."""
    if isinstance(found, zipfile.Path):
        return [Path(str(found.root.filename))]
    return [found / name for name in _TREE_FILES]


def require(data_dir: str | Path) -> None:
    """Raises a `UsageError` unless SST-5 is in the folder that the user named."""
    folder = Path(data_dir) / "sst"
    if not _files_in(folder):
        raise UsageError(
            f"expected SST-5 at {folder}{os.sep}, either {ZIP_NAME} or {', '.join(_TREE_FILES)}. "
            f"Found neither. Correct the folder, or leave it out.",
            setting="data_dir",
        )


def is_prepared(config: str = "sentences") -> bool:
    """Returns whether TensorFlow Datasets has prepared SST-5."""
    return (tfds_dir() / "sst5" / config / VERSION / "dataset_info.json").is_file()


def tfds_dir() -> Path:
    """Returns TensorFlow Datasets' folder: `$TFDS_DATA_DIR` or `~/tensorflow_datasets`."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def is_available(data_dir: str | Path | None = None) -> bool:
    """Returns whether SST-5 is available from a file, prepared earlier, or for download."""
    return locate(data_dir) is not None or is_prepared() or locations.is_reachable(URL)


def unavailable(data_dir: str | Path | None = None) -> InputError:
    """Returns the error that says how to get SST-5."""
    places = ", ".join(f"{folder / 'sst'}{os.sep}" for folder in locations.data_dirs(data_dir))
    return InputError(
        f"SST-5 is not available: it is not in {places}, and {URL} does not answer. Download that "
        f"file elsewhere (sha256 {SHA256[ZIP_NAME]}), put it or the three files in it into sst/ of "
        f"a folder, and name that folder by SST_KERAS_DATA; or use the data set sample."
    )


def is_first_form(path: str | Path) -> bool:
    """Returns whether a path is the treebank's first form, stanfordSentimentTreebank.zip.

    It is the zip, the unpacked folder, one of its files, or a folder that has that folder.
    """
    path = Path(path)
    if path.is_file():
        return path.name in (f"{_FIRST_FORM_NAME}.zip", *_FIRST_FORM_FILES)
    folders = (path, path / _FIRST_FORM_NAME)
    return any((folder / name).is_file() for folder in folders for name in _FIRST_FORM_FILES)


def first_form(path: str | Path) -> InputError:
    """Returns the error about the treebank's first form, which says what is read instead."""
    return InputError(
        f"{str(path)!r} is the first form of the Stanford Sentiment Treebank: sentences, phrases "
        f"and scores in {', '.join(_FIRST_FORM_FILES)}. Expected its trees, which hold the same "
        f"sentences and splits with labels from 0 to 4: use the data set sst5, which is read from "
        f"{URL}.",
        setting="data.dataset",
    )
