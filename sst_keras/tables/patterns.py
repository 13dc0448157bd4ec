"""Files, folders and patterns → the files with texts."""

import glob
from pathlib import Path

from sst_keras.tables.reading import TABLES

ENDINGS = (".txt", *TABLES)  # each may be followed by .gz
PARTS_LOG = "_parts.jsonl"  # readers of a folder, such as Spark's and Arrow's, leave such names out


def matches(name: str) -> list[Path]:
    """Returns what is at a path, or matches a pattern such as `texts/**/*.csv`, sorted.

    The log of `predict` beside its parts is no text, and matches no pattern.
    """
    # An empty name, perhaps of a variable that is not set, is not this folder.
    if name and Path(name).exists():
        return [Path(name)]
    if not glob.has_magic(name):
        return []
    found = map(Path, glob.glob(name, recursive=True))
    return sorted(path for path in found if path.name != PARTS_LOG)


def files_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the files of texts below a folder, by their endings, and the others.

    Those whose name, or that of a folder within it, begins with a dot are left out, and so is the
    log of `predict` beside its parts.
    """
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != PARTS_LOG
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    texts = [path for path in visible if ending(path) in ENDINGS]
    return texts, [path for path in visible if ending(path) not in ENDINGS]


def ending(path: Path) -> str:
    """Returns the ending of a name in lower case, without .gz: `.csv` for `a.CSV.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
