"""A path → the files of train, dev and test, whatever they are called, or a folder per class."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sst_keras.errors import UsageError
from sst_keras.settings import DataConfig
from sst_keras.tables.encodings import find_encoding, read_lines
from sst_keras.tables.reading import TABLES, Block, Source

_NAMES = {
    "train": "train", "training": "train",
    "dev": "dev", "devel": "dev", "development": "dev", "valid": "dev", "validation": "dev",
    "val": "dev",
    "test": "test", "testing": "test",
}  # fmt: skip
_SUFFIXES = (*TABLES, ".txt")
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_BLOCK = 2048  # files
_SHOWN = 5  # names in a note


@dataclass
class ClassFolders(Source):
    """A folder with a folder of text files per class. It is read like a `reading.Table`.

    Attributes:
        classes: Class → its files.
        others: Files in the classes' folders that are no text files.
    """

    path: Path
    classes: dict[str, list[Path]]
    others: list[Path]
    data: DataConfig = DataConfig()
    counts: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
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
            lines = list(range(start + 1, start + 1 + len(part)))
            texts = [self._read(file, line) for line, (file, _) in zip(lines, part, strict=True)]
            labels = [label for _, label in part]
            rows = list(zip(texts, labels, strict=True))
            self.undo(texts, lines)
            yield Block(lines, texts, labels, [""] * len(part), rows, [""] * len(part))

    def place(self, line: int) -> str:
        """Returns the path of a text."""
        return str(self._files[line - 1])

    def notes(self) -> list[str]:
        """Returns a sentence on each unusual thing that was met."""
        notes = super().notes()
        if self.others:
            notes.append(
                f"{self.path.name}: {passed_over(self.others)} because only .txt and .txt.gz "
                f"directly in the folder of a class is read."
            )
        return notes

    def _where(self, lines: Sequence[int]) -> str:
        files = [self._files[line - 1] for line in lines]
        return ", ".join(f"{file.parent.name}/{file.name}" for file in files)

    def _read(self, file: Path, line: int) -> str:
        if self.data.encoding == "auto":
            try:
                return file.read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError:
                pass
        encoding = find_encoding(file, self.data.encoding)
        if encoding.codec not in ("utf-8", "utf-8-sig"):
            self.count(f"had the encoding {encoding}", line)
        return "".join(read_lines(file, encoding))


def passed_over(files: Sequence[Path]) -> str:
    """Returns which files were passed over, as the start of a sentence."""
    shown = ", ".join(each.name for each in files[:_SHOWN]) + (", ..." * (len(files) > _SHOWN))
    return f"{len(files):,} file{'s were' if len(files) > 1 else ' was'} passed over ({shown})"


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
            f"expected a file with the word train in its name, as CSV, TSV, JSONL, or trees, or a "
            f"folder per class, in {str(path)!r}. Received: {received}.",
            setting="data.dataset",
        )
    return {"all": found["train"]} if len(found) == 1 else found


def _stem(file: Path) -> str | None:
    """Returns a file's name without the suffixes of a table, in lower case; None if it has none."""
    name = file.name.lower().removesuffix(".gz")
    if name.rpartition(".")[2] in _NAMES:  # as fastText calls its files
        return name
    return next((name.removesuffix(each) for each in _SUFFIXES if name.endswith(each)), None)


def _by_split(entries: list[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    found: dict[str, Path] = {}
    for entry in entries:
        stem = entry.name.lower() if entry.is_dir() else _stem(entry)
        words = (re.sub("(?:set|data)$", "", word) for word in re.findall(r"[^\W\d_]+", stem))
        splits = {_NAMES[word] for word in words if word in _NAMES}
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
    classes: dict[str, list[Path]] = {}
    others: list[Path] = []
    for each in sorted(folder.iterdir()):
        if not each.is_dir() or each.name.lower() in _UNLABELLED or each.name.startswith("."):
            continue
        entries = sorted(entry for entry in each.iterdir() if not entry.name.startswith("."))
        files = [entry for entry in entries if entry.is_file() and _is_text(entry)]
        if files:
            classes[each.name] = files
        others += sorted({*entries} - {*files})
    return ClassFolders(folder, classes, others) if len(classes) > 1 else None


def _is_text(file: Path) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(".txt")


def other_tables(path: Path, sources: Mapping[str, Path | ClassFolders]) -> list[Path]:
    """Returns the tables in a folder that are none of its `sources`."""
    if not path.is_dir() or not all(isinstance(each, Path) for each in sources.values()):
        return []
    tables = [
        each
        for each in sorted(path.iterdir())
        if each.is_file() and each.name.lower().removesuffix(".gz").endswith(TABLES)
    ]
    return [each for each in tables if each not in sources.values()]


def _only_file(folder: Path) -> Path:
    files = [each for each in sorted(folder.iterdir()) if each.is_file() and _stem(each)]
    if len(files) != 1:
        raise UsageError(
            f"expected a folder per class, or one table, in {str(folder)!r}. Received "
            f"{len(files)} files.",
            setting="data.dataset",
        )
    return files[0]
