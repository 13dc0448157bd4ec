"""The committed records, against the sweep that they belong to."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from sst_keras.errors import UsageError
from sst_keras.experiments.records import RunRecord, read_records
from sst_keras.experiments.running import pending_jobs
from sst_keras.experiments.sweep import load_sweep

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "results"
PLANNED = {"flagship": 15, "main": 30, "paper": 135}  # runs of the rows
NOT_RUN_YET: dict[str, set[str]] = {}  # sweep → variants and rows


@pytest.fixture(params=PLANNED)
def sweep(request):
    return load_sweep(request.param)


@pytest.fixture
def records(sweep):
    return read_records(RESULTS / sweep.name)


def jobs(sweep):
    variants = sweep.select(variants=["*"]) if sweep.questions else []
    return [*sweep.select(), *variants]


def test_every_row_and_variant_has_all_its_seeds_with_these_settings(sweep, records):
    assert len(sweep.select()) == PLANNED[sweep.name]
    pending = pending_jobs(jobs(sweep), records)
    missing = {item.variant or item.row for item, _ in pending}
    assert missing == NOT_RUN_YET.get(sweep.name, set())
    planned = {experiment.key(seed) for experiment, seed in jobs(sweep)}
    assert set(records) <= planned and len(records) == len(planned) - len(pending)


def test_another_default_is_not_taken_for_the_recorded_one():
    """A record states every setting, so a default that changes later is a difference."""

    def with_batches_of_32(pipeline):
        data = dataclasses.replace(pipeline.data, batch_size=32)
        return dataclasses.replace(pipeline, data=data)

    sweep = load_sweep("paper")
    folder = RESULTS / sweep.name
    records = read_records(folder)
    planned = [
        (dataclasses.replace(item, pipeline=with_batches_of_32(item.pipeline)), seed)
        for item, seed in jobs(sweep)
        if item.variant not in NOT_RUN_YET.get(sweep.name, ())
    ]
    for job in planned:
        with pytest.raises(UsageError, match="data.batch_size is 64, not 32"):
            pending_jobs([job], records)
    for path in folder.rglob("*.json"):  # the file itself, before defaults fill what it lacks
        settings = json.loads(path.read_text("utf-8"))["settings"]
        assert settings["data.batch_size"] == 64 and len(settings) >= 36


def test_records_survive_being_written_and_read(records):
    for record in records.values():
        assert RunRecord.from_dict(record.to_dict()) == record


def test_every_record_is_complete_and_from_a_clean_checkout(records):
    for record in records.values():
        assert record.error is None
        assert re.fullmatch(r"[0-9a-f]{40}", record.commit)
        assert {"tensorflow", "keras", "sst_keras"} <= set(record.versions)
        assert record.dataset == "sst5" and record.seconds > 0 and len(record.class_names) == 5
        checks = record.settings["training.checks_per_epoch"]
        assert record.epochs == record.last.epoch == len(record.history["epoch"]) / checks
        # Vectors are rounded to 8 bits after training, and the model is scored again.
        rounding = 0.002 if record.settings["embedding.quantized"] else 1e-6
        best = max(record.history["dev_accuracy"])
        assert record.best.dev == pytest.approx(best, abs=rounding)
        assert (record.checks is not None) == (record.key.variant == "quarters")
        for scores in (record.last, record.best):
            counts = scores.confusion_matrix
            assert sum(map(sum, counts)) == 2210
            assert scores.test == sum(counts[place][place] for place in range(5)) / 2210


def test_no_path_of_a_machine_is_in_the_records():
    for file in [
        *(REPOSITORY / "results").glob("*.jsonl"),
        *(REPOSITORY / "results").rglob("*.json"),
    ]:
        text = file.read_text("utf-8")
        assert not re.search(
            r'"/|(?<![\w.])/(?:home|root|tmp|work|Users|var|mnt)/|[A-Z]:\\', text
        ), file
