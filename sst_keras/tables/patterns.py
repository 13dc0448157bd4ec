"""Files, folders and patterns → the files with texts."""

import glob
from pathlib import Path

from sst_keras.tables.reading import TABLES

ENDINGS = (".txt", *TABLES)  # each may be followed by .gz


def matches(name: str) -> list[Path]:
    """Returns what is at a path, or matches a pattern such as `texts/**/*.csv`, sorted.

    A name that begins with a dot or _ matches only if the pattern's last part does, too.
    """
    # An empty name, perhaps of a variable that is not set, is not this folder.
    if name and Path(name).exists():
        return [Path(name)]
    if not glob.has_magic(name):
        return []
    found = map(Path, glob.glob(name, recursive=True))
    is_asked_for = Path(name).name.startswith("_")
    return sorted(path for path in found if is_asked_for or not path.name.startswith("_"))


def files_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the files of texts below a folder, by their endings, and the others.

    Those whose name, or that of a folder within it, begins with a dot or _ are left out: they are
    about the data, such as logs.
    """
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    texts = [path for path in visible if ending(path) in ENDINGS]
    return texts, [path for path in visible if ending(path) not in ENDINGS]


def ending(path: Path) -> str:
    """Returns the ending of a name in lower case, without .gz: `.csv` for `a.CSV.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
