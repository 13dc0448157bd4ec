"""A path → the files of train, dev and test, whatever they are called, or a folder per class."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sst_keras.errors import InputError, UsageError
from sst_keras.tables.reading import TABLES, Block

_NAMES = {
    "train": "train", "training": "train",
    "dev": "dev", "devel": "dev", "development": "dev", "valid": "dev", "validation": "dev",
    "val": "dev",
    "test": "test", "testing": "test",
}  # fmt: skip
_SUFFIXES = (*TABLES, ".txt")
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_BLOCK = 2048  # files


@dataclass
class ClassFolders:
    """A folder with a folder of text files per class. It is read like a `reading.Table`."""

    path: Path
    classes: dict[str, list[Path]]
    names = ("text", "label")
    _files: list[Path] = field(default_factory=list)

    @property
    def about(self) -> str:
        """How the folder is read, in a line."""
        return (
            f"{self.path.name}: a folder per class, one text per file ({', '.join(self.classes)})"
        )

    def blocks(self, size: int = _BLOCK) -> Iterator[Block]:
        """Yields the texts with their folders' names as labels. A line is a file's number."""
        pairs = [(file, label) for label, files in self.classes.items() for file in files]
        self._files = [file for file, _ in pairs]
        for start in range(0, len(pairs), size):
            part = pairs[start : start + size]
            texts = [_read_text(file) for file, _ in part]
            labels = [label for _, label in part]
            lines = list(range(start + 1, start + 1 + len(part)))
            rows = list(zip(texts, labels, strict=True))
            yield Block(lines, texts, labels, [""] * len(part), rows)

    def place(self, line: int) -> str:
        """Returns the path of a text."""
        return str(self._files[line - 1])

    def notes(self) -> list[str]:
        """Returns nothing: no file is passed over."""
        return []


def _read_text(file: Path) -> str:
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}: expected UTF-8. Received the byte {raw[error.start]:#04x}. Convert the "
            f"files, for example: iconv -f cp1252 -t utf-8"
        ) from None


def find_sources(path: Path) -> dict[str, Path | ClassFolders]:
    """Returns split → file or folder of classes. One file or folder for all has the split `all`.

    Splits are found by their names in any case: train or training, dev or valid(ation) or val,
    test or testing, among the parts of a name (`reviews_train.CSV`).

    Raises:
        UsageError: If there is nothing at the path, or two files for one split, or no train.
    """
    if path.is_file():
        return {"all": path}
    if not path.is_dir():
        message = f"expected sst5, sample, auto or a path, but there is no {str(path)!r}."
        raise UsageError(message, setting="data.dataset")
    entries = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    found: dict[str, Path | ClassFolders] = {}
    files = [each for each in entries if each.is_file() and _stem(each) is not None]
    for split, file in _by_split(files, path):
        found[split] = file
    if not found:
        folders = [each for each in entries if each.is_dir()]
        for split, folder in _by_split(folders, path):
            found[split] = _classes(folder) or _only_file(folder)
    if not found and (classes := _classes(path)):
        return {"all": classes}
    if "train" not in found:
        received = ", ".join(each.name for each in entries[:8]) or "nothing"
        raise UsageError(
            f"expected a file with train in its name, as CSV, TSV, JSONL, or trees, or a folder "
            f"per class, in {str(path)!r}. Received: {received}.",
            setting="data.dataset",
        )
    return {"all": found["train"]} if len(found) == 1 else found


def _stem(file: Path) -> str | None:
    """Returns a file's name without the suffixes of a table, in lower case; None if it has none."""
    name = file.name.lower().removesuffix(".gz")
    return next((name.removesuffix(each) for each in _SUFFIXES if name.endswith(each)), None)


def _by_split(entries: list[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    found: dict[str, Path] = {}
    for entry in entries:
        stem = entry.name.lower() if entry.is_dir() else _stem(entry)
        splits = {_NAMES[part] for part in re.split(r"[._\- ]", stem) if part in _NAMES}
        if len(splits) != 1:
            continue
        split = splits.pop()
        if split in found:
            raise UsageError(
                f"expected one {split} file in {str(folder)!r}. Received {found[split].name} and "
                f"{entry.name}. Move one away.",
                setting="data.dataset",
            )
        found[split] = entry
    yield from found.items()


def _classes(folder: Path) -> ClassFolders | None:
    """Returns the folders of a folder that hold text files, if there are two or more."""
    classes = {
        each.name: files
        for each in sorted(folder.iterdir())
        if each.is_dir()
        and each.name.lower() not in _UNLABELLED
        and (files := sorted(each.glob("*.txt")))
    }
    return ClassFolders(folder, classes) if len(classes) > 1 else None


def _only_file(folder: Path) -> Path:
    files = [each for each in sorted(folder.iterdir()) if each.is_file() and _stem(each)]
    if len(files) != 1:
        raise UsageError(
            f"expected a folder per class, or one table, in {str(folder)!r}. Received "
            f"{len(files)} files.",
            setting="data.dataset",
        )
    return files[0]
