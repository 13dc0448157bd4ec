"""The records and results that the repository holds, against the sweep that made them."""

import re
from pathlib import Path

from sst_keras.experiments.records import read_records
from sst_keras.experiments.running import pending_jobs
from sst_keras.experiments.sweep import load_sweep

REPOSITORY = Path(__file__).parents[1]
RECORDS = REPOSITORY / "results" / "paper.jsonl"


def test_every_row_and_variant_has_all_its_seeds_once():
    sweep, records = load_sweep("paper"), read_records(RECORDS)
    jobs = [*sweep.select(), *sweep.select(variants=["*"])]
    assert len(sweep.select()) == 27 * 5
    assert pending_jobs(jobs, records) == []  # of these very settings, too
    assert len(records) == len(jobs)
    assert len({(row["pipeline"], row["variant"], row["seed"]) for row in records}) == len(jobs)


def test_every_record_is_whole_and_from_a_clean_checkout():
    for record in read_records(RECORDS):
        assert "error" not in record
        assert re.fullmatch(r"[0-9a-f]{40}", record["commit"])
        assert {"tensorflow", "keras", "sst_keras"} <= set(record["versions"])
        assert record["dataset"] == "sst5" and record["seconds"] > 0
        assert record["epochs"] == len(record["history"]["epoch"])
        for name, matrix in (
            ("test", "confusion_matrix"),
            ("test_at_best_dev", "confusion_matrix_at_best"),
        ):
            counts = record[matrix]
            assert sum(map(sum, counts)) == 2210
            assert record[name] == sum(counts[place][place] for place in range(5)) / 2210


def test_no_path_of_a_machine_is_in_the_records():
    for file in (REPOSITORY / "results").glob("*.jsonl"):
        text = file.read_text("utf-8")
        assert not re.search(
            r'"/|(?<![\w.])/(?:home|root|tmp|work|Users|var|mnt)/|[A-Z]:\\', text
        ), file
