"""Records of runs: one JSON file per run, so that any process or machine can add its own.

A sweep's records are `results/<sweep>/<row>-seed<n>.json` and, for variants,
`results/<sweep>/<variant>/<row>-seed<n>.json`. A run whose file exists is done. To run it again,
delete its file.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Self

from sst_keras import files
from sst_keras.config import RENAMED, complete, with_settings
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import NUMBER, Range, check_fields
from sst_keras.registration import BACKENDS
from sst_keras.settings import FORMAT, SETTINGS, Pipeline

_AUTO = ("auto", ("auto",))
# What a record's file must hold, without what is null, because files are edited by hand.
_AMOUNT = Range(0, 2**31, NUMBER)
_SHARE = Range(0, 1, NUMBER)
_KINDS = {
    "format": int, "sweep": str, "row": str, "variant?": str, "seed": Range(0, 2**63),
    "settings": {}, "seconds": Range(0, 10**10, NUMBER), "ended": str, "jobs": Range(1, 2**31),
    "cores": Range(1, 2**31), "error?": str,
}  # fmt: skip
_SCORES = {
    "epoch": _AMOUNT, "dev": _SHARE, "test": _SHARE, "confusion_matrix": [[Range(0, 2**53)]],
    "test_polarity?": _SHARE,
}  # fmt: skip
_COLUMN = [NUMBER | None]  # JSON has null for nan
_CHECKS = {"epoch": [_AMOUNT], "dev_loss": _COLUMN, "dev_accuracy": _COLUMN, "*": _COLUMN}
_HISTORY = _CHECKS | {"loss": _COLUMN, "accuracy": _COLUMN}
_FINISHED_KINDS = {
    "epochs": Range(1e-6, 2**31, NUMBER), "commit?": str, "versions?": {"*": str},
    "data_fingerprint": str, "class_names": [str], "last": _SCORES, "best": _SCORES,
    "history?": _HISTORY, "checks?": _CHECKS, "learned_from?": {"*": str},
}  # fmt: skip
_AGAIN = "Delete the file to run it again."


class Weights(Enum):
    """The two sets of weights that each run is scored with."""

    LAST = "last epoch"
    BEST = "best epoch by dev"

    @property
    def key(self) -> str:
        """The name of the scores in a record: `last` or `best`."""
        return self.name.lower()


class RunKey(NamedTuple):
    """What identifies a run within all sweeps. The variant is None for the row itself."""

    sweep: str
    row: str
    variant: str | None
    seed: int

    def __str__(self) -> str:
        """Returns the name for messages, such as `paper/V2.3/frozen, seed 1`."""
        return f"{'/'.join(filter(None, self[:3]))}, seed {self.seed}"

    def file(self, folder: Path) -> Path:
        """Returns the run's file in a folder of records."""
        return folder / (self.variant or "") / f"{self.row}-seed{self.seed}.json"


@dataclass(frozen=True)
class Scores:
    """What one set of weights scores.

    Attributes:
        epoch: The epoch after which the weights were taken, from 1; a fraction between epochs.
        dev: Accuracy on dev, 0 to 1; `test` likewise.
        confusion_matrix: int[classes, classes] on test; row: true class, column: predicted class.
        test_polarity: `Metrics.polarity_accuracy` on test; None in older records, if the classes
            are no scale, or if all texts are in its middle.
    """

    epoch: float
    dev: float
    test: float
    confusion_matrix: list[list[int]]
    test_polarity: float | None = None


# What the record of a failed run has, too.
_HEAD = ("format", *RunKey._fields, "settings", "seconds", "ended", "jobs", "cores")


@dataclass(frozen=True)
class RunRecord:
    """What is kept of a run. One that failed has an `error` and none of what follows it.

    Attributes:
        key: Which run it is.
        settings: Every setting, as `section.key` → value. `data.dataset` and `embedding.vectors`
            are those that were found, by name.
        ended: When the run ended, ISO 8601, UTC.
        jobs: How many runs were in progress at a time.
        cores: How many cores the run's process had.
        last: The scores of the last epoch's weights.
        best: The scores of the weights of the best epoch by dev.
        commit: The commit of the code, if it ran from a checkout.
        data_fingerprint: `Corpus.fingerprint` of the data set.
        learned_from: The fingerprints of the `language_model`, the `pseudo_labels` and the
            `earlier_run` that the run learned or started from, if it did; None in older records.
        class_names: The classes, lowest first.
        history: Column of `history.csv` → values, one per epoch.
        checks: Column → values of the dev scores within epochs, if there were any.
    """

    key: RunKey
    settings: Mapping[str, Any]
    seconds: float
    ended: str
    jobs: int
    cores: int
    error: str | None = None
    epochs: float = 0
    last: Scores | None = None
    best: Scores | None = None
    commit: str | None = None
    versions: Mapping[str, str] | None = None
    data_fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    history: Mapping[str, list[float]] | None = None
    checks: Mapping[str, list[float]] | None = None
    learned_from: Mapping[str, str] | None = None

    def scores(self, weights: Weights) -> Scores:
        """Returns the scores of one set of weights."""
        return getattr(self, weights.key)

    @property
    def backend(self) -> str | None:
        """What Keras computed with, by the versions; None if the record has none."""
        if not self.versions:
            return None
        tensorflow, *others = BACKENDS  # the first of which reads the texts for all
        return next((name for name in others if name in self.versions), tensorflow)

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.settings["data.dataset"]

    @property
    def vectors(self) -> tuple[str, ...]:
        """The names of the word vectors; `("none",)` if there were none."""
        return self.settings["embedding.vectors"]

    def to_dict(self) -> dict[str, Any]:
        """Returns the record for JSON."""
        fields = {"format": FORMAT, **self.key._asdict(), **asdict(self)}
        del fields["key"]
        if self.error is None:
            del fields["error"]
            return fields
        return {name: fields[name] for name in (*_HEAD, "error")}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], source: str = "record") -> Self:
        """Reads what `to_dict` returned, from the file `source`.

        Raises:
            InputError: If it is not a record, or a newer version wrote it.
        """
        try:
            fields = _without_nulls(saved)
            is_finished = "error" not in fields
            for weights in Weights:
                if weights.key in fields:
                    fields[weights.key] = _without_nulls(fields[weights.key])
            check_fields(fields, _KINDS | (_FINISHED_KINDS if is_finished else {}), source, _AGAIN)
            if datetime.fromisoformat(fields["ended"]).tzinfo is None:
                raise ValueError(f"no time zone in {fields['ended']!r}")
            format = fields.pop("format")
            key = RunKey(*(fields.pop(name, None) for name in RunKey._fields))
            settings, _ = complete(fields["settings"], format, source)
            # Of a newer version, or of a package that is not installed here.
            chosen = {
                name: value
                for name, value in settings.items()
                if type(value) is str and (choices := SETTINGS[name].metadata["choices"])
                and value not in choices
            }  # fmt: skip
            known = {name: value for name, value in settings.items() if name not in chosen}
            try:
                settings = with_settings(Pipeline(), known, source).settings() | chosen
            except UsageError as error:  # it is not about how a command was called
                raise InputError(f"{error}. {_AGAIN}") from None
            # Settings that this version does not know stay: they set the run apart.
            for name, value in fields["settings"].items():
                if RENAMED.get(name, name) not in SETTINGS:
                    settings[name] = tuple(value) if isinstance(value, list) else value
            fields["settings"] = settings
            fields["class_names"] = tuple(fields.get("class_names", ()))
            size = len(fields["class_names"])
            for weights in Weights if is_finished else ():
                fields[weights.key] = scores = Scores(**fields[weights.key])
                if not size or [len(row) for row in scores.confusion_matrix] != [size] * size:
                    raise ValueError(f"{weights.key} is {scores}")
            for name in {"history", "checks"} & fields.keys():
                fields[name] = {
                    column: [math.nan if value is None else float(value) for value in row]
                    for column, row in fields[name].items()
                }
                if len(set(map(len, fields[name].values()))) != 1:
                    raise ValueError(f"the columns of {name} are not equally long")
            return cls(key, **fields)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{source}: expected the record of a run, as `sst-keras reproduce` writes it "
                f"({type(error).__name__}: {error}). {_AGAIN}"
            ) from None


def _without_nulls(fields: Any) -> Any:
    if not isinstance(fields, Mapping):
        return fields
    return {name: value for name, value in fields.items() if value is not None}


def recorded_settings(pipeline: Pipeline, found: Pipeline | None = None) -> dict[str, Any]:
    """Returns a pipeline's settings as a record has them, without the folders of this machine.

    `found` is the pipeline as it was trained, with what was found for `auto`.
    """
    settings = pipeline.settings()
    for name in ("data.dataset", "embedding.vectors"):
        if found is not None and settings[name] in _AUTO:
            settings[name] = found.settings()[name]
    settings["data.dataset"] = _portable(settings["data.dataset"])
    for name in ("model.init", "data.pseudo_labels"):
        settings[name] = _portable(settings[name])
    settings["embedding.vectors"] = tuple(map(_portable, settings["embedding.vectors"]))
    return settings


def _portable(name: str) -> str:
    """Returns an absolute path as its last part and a digest, so that two files stay apart."""
    if not Path(name).is_absolute():
        return name
    return f"{Path(name).name}#{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def differing_settings(planned: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Returns the settings in which two runs differ, except for the seed.

    This is the only definition of "the same settings". `auto` equals whatever was found for it.
    """
    return [
        name
        for name in {**planned, **recorded}
        if name != "training.seed"
        and planned.get(name) != recorded.get(name)
        and planned.get(name) not in _AUTO
        and recorded.get(name) not in _AUTO
    ]


def write_record(folder: Path, record: RunRecord) -> None:
    """Writes a record to its file in `folder`."""
    files.write_json(record.key.file(folder), record.to_dict(), indent=None)


def read_records(folder: Path) -> dict[RunKey, RunRecord]:
    """Reads all records below a folder; none if there is no such folder.

    Raises:
        InputError: If a file is not the record of the run in its name.
    """
    if folder.is_file():
        raise UsageError(f"expected a folder. Received a file: {str(folder)!r}", setting="records")
    records: dict[RunKey, RunRecord] = {}
    for path in sorted(folder.rglob("*.json")):
        if "/." in f"/{path.relative_to(folder).as_posix()}":  # what a killed writer left
            continue
        record = RunRecord.from_dict(files.read_json(path), str(path))
        if record.key.file(folder) != path:
            raise InputError(
                f"{path}: expected the record of this file's run. Received one of {record.key}. "
                f"Delete or rename the file."
            )
        records[record.key] = record
    return records
