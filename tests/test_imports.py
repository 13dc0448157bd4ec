"""Who may import whom, and what a quick command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sst_keras

PACKAGE = Path(sst_keras.__file__).parent
LEAVES = {"errors", "files", "locations"}  # anyone may import these
# Module → the modules of ours that it may import besides. `cli` may import everything.
ALLOWED = {
    "__main__": {"cli"},
    "treebank": set(),
    "vocabulary": set(),
    "history": set(),
    "metrics": set(),
    "config": set(),
    "sweep": {"config"},
    "records": set(),
    "reproduction": {
        "config", "datasets", "embeddings", "history", "records", "runs", "sweep", "training",
    },
    "report": {"config", "plotting", "sweep"},
    "layers": set(),
    "recurrent": set(),
    "losses": set(),
    "runs": {"config"},
    "tokenizer": {"vocabulary"},
    "embeddings": {"vocabulary"},
    "datasets": {"treebank"},
    "corpora": {"config", "treebank", "datasets", "tokenizer"},
    "input_pipeline": {"config", "corpora", "vocabulary"},
    "models": {"config", "layers", "recurrent"},
    "optimizers": {"config"},
    "callbacks": {"history"},
    "plotting": {"history"},
    "evaluation": {
        "config", "corpora", "input_pipeline", "layers", "metrics", "recurrent", "runs",
        "vocabulary",
    },
    "training": {
        "callbacks", "config", "corpora", "embeddings", "evaluation", "input_pipeline", "losses",
        "models", "optimizers", "runs", "vocabulary",
    },
    "export": {"evaluation", "input_pipeline", "runs", "tokenizer"},
    "prediction": set(),
}  # fmt: skip
WITHOUT_TENSORFLOW = (
    "errors", "files", "locations", "treebank", "vocabulary", "history", "metrics", "config",
    "runs", "embeddings", "plotting", "sweep", "records", "reproduction",
    "report", "datasets.sst5.source",
)  # fmt: skip
HEAVY = {
    "tensorflow", "keras", "gensim", "matplotlib", "numpy", "scipy", "tensorflow_datasets", "rich",
    "markdown",
}  # fmt: skip


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "cli" and not path.name.endswith("_test.py"):
            yield path, room


def imported_rooms(path):
    """The modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "sst_keras" and len(parts) > 1:
                yield parts[1]


def test_the_table_of_imports():
    for path, room in modules():
        if room == "__init__" or room in LEAVES:
            continue
        beyond = set(imported_rooms(path)) - ALLOWED[room] - LEAVES - {room}
        assert not beyond, f"{path.name} imports {beyond}"


def test_leaves_import_leaves_alone():
    for leaf in LEAVES:
        assert set(imported_rooms(PACKAGE / f"{leaf}.py")) <= LEAVES


def test_every_module_stands_in_the_table():
    rooms = {room for _, room in modules()}
    assert rooms == set(ALLOWED) | LEAVES | {"__init__"}


def test_nothing_private_of_keras():
    for path in PACKAGE.rglob("*.py"):
        assert "keras.src" not in path.read_text("utf-8")


def loaded_after(code):
    """The names of all modules that are loaded once `code` has run in a new process."""
    code = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["pipelines"]]
    + [
        [command, "--help"]
        for command in (
            "train", "reproduce", "report", "evaluate", "plot", "export", "predict", "runs",
            "pipelines", "data", "vectors",
        )
    ]
    + [["data", "stats", "--help"], ["vectors", "info", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_help_loads_nothing_heavy(arguments):
    code = f"from sst_keras.cli import main\nmain({arguments!r}, standalone_mode=False)"
    assert not loaded_after(code) & HEAVY


def test_modules_without_tensorflow():
    code = "\n".join(f"import sst_keras.{name}" for name in WITHOUT_TENSORFLOW)
    assert not loaded_after(code) & {"tensorflow", "keras", "gensim"}
