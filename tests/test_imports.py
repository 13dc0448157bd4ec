"""Who may import whom, and what a quick command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sst_keras
from sst_keras.cli import COMMANDS

PACKAGE = Path(sst_keras.__file__).parent
LEAVES = {
    "controls", "engines", "errors", "fields", "files", "locations", "locks", "packed", "plugins",
    "registration", "runtime", "settings",
}  # for anyone  # fmt: skip
# Module or folder → those of ours that it may import besides. `cli` may import everything.
ALLOWED = {
    "__init__": {"classifier", "memory", "registration", "runs", "serving", "training"},
    "memory": {"config", "runs", "training"},
    "__main__": {"cli"},
    "treebank": set(),
    "vocabulary": set(),
    "history": set(),
    "metrics": set(),
    "calibration": set(),
    "config": set(),
    "tables": set(),
    "layers": set(),
    "recurrent": set(),
    "losses": set(),
    "environment": set(),
    "runs": {"config", "history"},
    "tokenizer": {"vocabulary"},
    "vectors": {"config", "vocabulary"},
    "datasets": {"treebank"},
    "texts": {"tokenizer", "vocabulary"},
    "findings": {"tables", "texts", "vocabulary"},
    "reviews": {"findings", "tables", "texts"},
    "corpora": {"datasets", "findings", "reviews", "tables", "texts", "treebank"},
    "encoder": {"corpora", "texts", "vocabulary"},
    "input_pipeline": {"corpora", "encoder", "texts"},
    "pretrained": {"lexicon", "runs"},  # the lexicon's type only
    "pseudo_labels": {"runs", "texts"},
    "pretraining": {
        "classifier", "config", "corpora", "datasets", "encoder", "environment", "optimizers",
        "pretrained", "pseudo_labels", "recurrent", "runs", "tables", "texts", "vectors",
        "vocabulary",
    },
    "lexicon": {"corpora", "encoder", "vectors", "vocabulary"},
    "models": {"layers", "recurrent", "vocabulary"},
    "optimizers": {"models"},
    "replication": set(),
    "callbacks": {"history", "input_pipeline", "metrics"},
    "checkpoints": {"callbacks"},
    "plotting": {"history", "runs", "treebank"},
    "classifier": {
        "corpora", "encoder", "input_pipeline", "layers", "models", "recurrent", "runs", "serving",
        "tokenizer", "vocabulary",
    },
    "checklist": {"serving"},
    "error_analysis": {"corpora", "metrics", "texts"},
    "evaluation": {"calibration", "classifier", "corpora", "error_analysis", "metrics", "runs"},
    "ensemble": {
        "classifier", "corpora", "encoder", "environment", "evaluation", "layers", "models",
        "runs", "vocabulary",
    },
    "finetuning": {
        "classifier", "layers", "lexicon", "models", "pretrained", "runs", "vocabulary",
    },
    "training": {
        "callbacks", "checkpoints", "classifier", "corpora", "environment", "evaluation",
        "finetuning", "history", "input_pipeline", "lexicon", "losses", "metrics", "models",
        "optimizers", "pretrained", "pseudo_labels", "replication", "runs", "texts", "vocabulary",
    },
    "serving": {
        "checklist", "classifier", "history", "models", "recurrent", "runs", "tables", "texts",
        "tokenizer", "treebank", "vocabulary",
    },
    "experiments": {
        "config", "corpora", "datasets", "history", "lexicon", "plotting", "pretrained",
        "pseudo_labels", "runs", "training", "vectors",
    },
}  # fmt: skip
WITHOUT_TENSORFLOW = (
    "calibration", "config", "engines.local", "errors", "experiments.records", "experiments.report",
    "experiments.running", "experiments.sweep", "files", "history", "locations", "metrics",
    "plotting", "pretrained", "pseudo_labels", "registration", "runs", "settings", "tables.columns",
    "tables.encodings",
    "tables.folders", "tables.formats", "tables.labels", "tables.reading", "tables.scales",
    "tables.spelling", "tables.splits", "treebank", "vectors.archives", "vectors.files",
    "vectors.keys", "vectors.matching", "vectors.sets", "vocabulary", "datasets.sst5.source",
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
    """Yields the modules of ours that a file imports, anywhere in it."""
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
        if room in LEAVES:
            continue
        beyond = set(imported_rooms(path)) - ALLOWED[room] - LEAVES - {room}
        assert not beyond, f"{path.name} imports {beyond}"


def test_leaves_import_only_leaves():
    for path, room in modules():
        if room in LEAVES:
            assert set(imported_rooms(path)) <= LEAVES, path


def test_every_module_stands_in_the_table():
    rooms = {room for _, room in modules()}
    assert rooms == set(ALLOWED) | LEAVES


def test_nothing_private_of_keras():
    for path in PACKAGE.rglob("*.py"):
        assert "keras.src" not in path.read_text("utf-8")


def test_tensorflow_and_keras_come_from_the_runtime():
    for path, room in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            heavy = {name.partition(".")[0] for name in names} & {"tensorflow", "keras"}
            assert not heavy or room == "runtime", path


def loaded_after(code):
    """The names of all modules that are loaded once `code` has run in a new process."""
    code = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["pipelines"]]
    + [[command, "--help"] for command in COMMANDS]
    + [["data", "stats", "--help"], ["vectors", "info", "--help"], ["vectors", "train", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_help_loads_nothing_heavy(arguments):
    code = f"from sst_keras.cli import main\nmain({arguments!r}, standalone_mode=False)"
    assert not loaded_after(code) & HEAVY


def test_modules_without_tensorflow():
    code = "\n".join(f"import sst_keras.{name}" for name in WITHOUT_TENSORFLOW)
    assert not loaded_after(code) & {"tensorflow", "keras", "gensim"}
