"""The benchmarks' README says what the records say; what they time is not tested here."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def readme(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("readme", "records"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import readme

    return readme


def test_the_tables_are_those_of_the_records(readme):
    text = readme.README.read_text("utf-8")
    assert readme.rendered(text) == text
    assert text.count("**") > 20  # there are ratios in it


def test_of_each_kind_the_last_record_counts(readme, monkeypatch, tmp_path):
    monkeypatch.setattr(readme.records, "RESULTS", tmp_path)
    for seconds in (3, 2):
        readme.records.append("made-up", ("numpy",), units=1, seconds=seconds)
    readme.records.append("made-up", ("numpy",), units=2, seconds=1)
    found = readme.latest("made-up", "units")
    assert [record["seconds"] for record in found] == [2, 1]
    assert found[0]["packages"].keys() == {"numpy"}
