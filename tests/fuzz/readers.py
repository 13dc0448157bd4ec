"""Our readers as functions of bytes. Each returns, or raises an error that a user can act upon."""

import contextlib
import functools
import hashlib
import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors

from sst_keras.config import load_pipeline, load_saved
from sst_keras.errors import InputError
from sst_keras.experiments.records import read_records
from sst_keras.experiments.report.results import build_report
from sst_keras.experiments.searching import Search
from sst_keras.experiments.sweep import Experiment, Range, Sweep, load_sweep
from sst_keras.files import read_arrays, sealed_line
from sst_keras.history import read_history
from sst_keras.pretrained import LanguageModelRun
from sst_keras.pseudo_labels import PseudoLabels
from sst_keras.runs import RunDirectory
from sst_keras.serving import parts, scoring
from sst_keras.serving.rest import RequestError, parse_predict
from sst_keras.settings import FORMAT, DataConfig, Pipeline
from sst_keras.tables.labels import read_labels
from sst_keras.tables.reading import open_lines, open_table
from sst_keras.treebank import read_trees
from sst_keras.vectors import archives
from sst_keras.vectors.files import read_vectors
from sst_keras.vocabulary import Vocabulary


def _trees(path: Path) -> None:
    for tree in read_trees(path):
        str(tree)


def _table(path: Path) -> None:
    table = open_table(path, DataConfig())
    spellings: dict[str, int] = {}
    for block in table.blocks():
        assert len(block.texts) == len(block.labels) == len(block.lines)
        for label in block.labels:
            spellings[label] = spellings.get(label, 0) + 1
    table.notes()
    if spellings:
        read_labels(spellings)


def _lenient_table(path: Path) -> None:
    for opened in (open_lines, functools.partial(open_table, with_label=False)):
        table = opened(path, DataConfig(), lenient=True)
        for _ in table.blocks():
            pass
        table.notes()


def _run(path: Path) -> None:
    run = RunDirectory(path.parent)
    run.metrics()
    run.environment()


def _records(path: Path) -> None:
    experiments = (Experiment("s", "x", None, 1, Pipeline()),)
    sweep = Sweep("s", "", experiments, {}, "s.md", "s.html", curves=("x",))
    build_report(sweep, read_records(path.parent), path.parent)


_SEARCHED = {"model.units": Range(1, 9), "model.dropout": Range(choices=(0.1, 0.5))}
_SEARCH = Sweep(
    "s", "", (Experiment("s", "best", None, 1, Pipeline()),), {}, "", "", ranges=_SEARCHED
)  # fmt: skip
_JOB = parts.Job((Path("a.csv"),), DataConfig(), Path("m"), "f", Path("o"), stats=((1, 2),))


def _trials(path: Path) -> None:
    search = Search(_SEARCH, path.parent)
    _, trials = search._read()
    if trials:
        search.experiment(search.best([*trials.values()]))


def _parts_log(path: Path) -> None:
    job, summary = replace(_JOB, out=path.parent), parts.Summary(_JOB.files)
    job.part(0, 0).write_bytes(b"")
    for item in parts._Log(job).read(resume=True):
        summary.add(item)
    summary.notes()


def _part_state(path: Path) -> None:
    part = path.with_name("o.csv.part")
    part.write_bytes(b"text\n")
    state, _ = scoring._state(part, path, {}, resume=True)
    for _, (number, lines) in state.get("counts", {}).items():
        assert number >= 0 and all(line > 0 for line in lines)


def _pseudo_labels(path: Path) -> None:
    PseudoLabels(path.parent).summary()


def _language_model(path: Path) -> None:
    LanguageModelRun(path.parent).summary()


def _request(path: Path) -> None:
    with contextlib.suppress(RequestError):
        parse_predict(path.read_bytes(), ("serving_default", "explain"))


_METRICS = {
    "n": 2, "accuracy": 0.5, "macro_f1": 0.3, "loss": 1.2, "dataset": "a", "class_names": ["a"],
    "expected_calibration_error": 0.1, "confusion_matrix": [[2]], "calibration": [],
    "per_class": [{"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}],
}  # fmt: skip
_RECORD = {
    "format": 1, "sweep": "s", "row": "x", "variant": None, "seed": 1, "settings": {},
    "seconds": 1.0, "ended": "2026-01-01T00:00:00+00:00", "jobs": 1, "cores": 1, "error": "e",
}  # fmt: skip
_SCORES = {"epoch": 1, "dev": 0.5, "test": 0.5, "confusion_matrix": [[1, 1], [0, 2]]}
_TRIAL = {
    "number": 0, "drawn": {"model.units": 3, "model.dropout": "0.1"}, "scores": [0.5],
    "is_pruned": False, "error": "",
}  # fmt: skip
_STATE = {
    "format": 2, "rows": 1, "bytes": 5, "content": hashlib.sha256(b"text\n").hexdigest(),
    "counts": {"x": [1, [2]]},
}  # fmt: skip
_LABELLED = {
    "format": 1, "settings": {"seed": 1}, "corpus": {"name": "c", "fingerprint": "f"},
    "teachers": {"names": ["a"], "sources": [{"vectors": [{"name": "v", "dim": 3}]}]},
    "class_names": ["bad", "good"], "lowercase": True, "sentences": 2,
}  # fmt: skip
_ABOUT_LANGUAGE = {
    "format": 1, "settings": {"units": 3, "epochs": 1}, "corpus": {"name": "c"},
    "vectors": {"name": "v", "fingerprint": "f"},
}  # fmt: skip
_COLUMNS = {"epoch": [1], "loss": [1], "accuracy": [1], "dev_loss": [1], "dev_accuracy": [None]}
_FINISHED = _RECORD | {
    "format": FORMAT, "epochs": 1, "commit": None, "versions": {"keras": "3"},
    "data_fingerprint": "f", "class_names": ["a", "b"], "last": _SCORES, "best": _SCORES,
    "history": _COLUMNS, "checks": _COLUMNS, "learned_from": {"language_model": "f"},
}  # fmt: skip
del _FINISHED["error"]
_HISTORY = "epoch,loss,accuracy,dev_loss,dev_accuracy,learning_rate,seconds,examples_per_second\n"


def _gensim(protocol: int) -> bytes:
    keyed = KeyedVectors(2)
    keyed.add_vectors(["film", "good"], np.eye(2, dtype=np.float32))
    return pickle.dumps(keyed, protocol)


def _lines(*rows: dict) -> list[bytes]:
    """Returns objects as a line each, without and with checksums."""
    plain = "".join(f"{json.dumps(row)}\n" for row in rows)
    return [plain.encode(), "".join(map(sealed_line, rows)).encode()]


def _zipped(path: Path) -> None:
    archives.is_file(path / "a.txt")
    read_vectors(path)


def _zip(compression: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), b"film 1 2\n" * 9, compression)
    return packed.getvalue()


# Name → the reader, the name of its file, and first inputs.
READERS: dict[str, tuple[Callable[[Path], None], str, list[bytes]]] = {
    "trees": (_trees, "train.txt", [b"(4 (2 A) (4 (4 great) (2 film)))\n", b"(2\n (2 a)\n (1 b))"]),
    "tables": (
        _table, "a.csv",
        [
            b"text,label\na film,1\nb,2\n", b'"text";"label"\n"a ""b""";1,0\n', b"__label__1 a\n",
            b'{"text": "a", "label": 1}\n', b'[{"text": "a", "label": "x"}]', b"1\ta\n2\tb\n",
            "\ufefftext\tlabel\na\tb\n".encode("utf-16"), b"label,text\n1,caf\xe9\n",
        ],
    ),
    "lenient": (_lenient_table, "a.csv", [b"text,n\na film,1\n\n\xff,2\n", b'{"text": "a"}\n{"te']),
    "vectors": (
        read_vectors, "v.txt",
        [b"film 0.1 0.2\ngood 1 2\n", b"2 2\nfilm 1 2\ngood 1e-3 .5\n", b"word,0,1\na,1,2\n"],
    ),
    "binary-vectors": (read_vectors, "v.bin", [b"1 2\nab \0\0\0\0\0\0\x80?\n"]),
    "zip-vectors": (
        _zipped, "v.zip",
        [
            _zip(kind)
            for kind in (
                zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
            )
        ],
    ),
    "gensim-vectors": (read_vectors, "v.kv", [_gensim(protocol) for protocol in (0, 2, 4, 5)]),
    "pipelines": (
        load_pipeline, "p.toml",
        [b'extends = "lstm"\n[model]\nunits = 5\n', b'description = "x"\n[data]\nlabels = ["a"]\n'],
    ),
    "saved-pipelines": (load_saved, "pipeline.toml", [b"format = 6\n[model]\n"]),
    "sweeps": (
        load_sweep, "s.toml",
        [b'pipeline = "lstm"\nseeds = 2\n[grid]\nmodel.units = [1, 2]\n[rows]\na = {}\n'],
    ),
    "records": (
        _records, "x-seed1.json",
        [json.dumps(record).encode() for record in (_RECORD, _FINISHED)],
    ),
    "histories": (
        read_history, "history.csv", [f"{_HISTORY}1,1,1,1,1,1,1,1\n".encode()],
    ),
    "metrics": (
        _run, "metrics.json",
        [json.dumps({"format": 1, "seconds": 1, "dev": _METRICS, "test": _METRICS}).encode()],
    ),
    "trials": (_trials, "trials.jsonl", _lines(Search(_SEARCH, Path())._about(1), _TRIAL)),
    "parts-logs": (
        _parts_log, "_parts.jsonl",
        _lines(_JOB.about(), *(parts._item(0, n) | {"content": ""} for n in (0, -1))),
    ),
    "part-states": (_part_state, "o.csv.part.json", _lines(_STATE)),
    "pseudo-labels": (_pseudo_labels, "pseudo_labels.json", _lines(_LABELLED)),
    "language-models": (_language_model, "language_model.json", _lines(_ABOUT_LANGUAGE)),
    "vocabularies": (Vocabulary.load, "vocabulary.txt", [b"<pad>\n<unk>\na\n"]),
    "arrays": (read_arrays, "a.npz", [b"PK\x05\x06" + bytes(18)]),
    "requests": (
        _request, "body.json",
        [b'{"instances": ["a", {"b64": "YQ=="}]}', b'{"inputs": {"text": ["a"]}}', b'{"x": 1}'],
    ),
}  # fmt: skip


def read(name: str, content: bytes) -> None:
    """Reads bytes with a reader. What it raises besides an `InputError` is a finding."""
    reader, file_name, _ = READERS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / file_name
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            reader(path)
