"""Searches, with trainings that are formulas."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.engines.local import JobError, Machine
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments import searching
from sst_keras.experiments.searching import JOURNAL, best, search
from sst_keras.experiments.sweep import Range, load_sweep

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

SWEEP = """
description = "Small."
pipeline = "mlp"
seeds = 2
[base]
data.dataset = "sample"
[search]
model.units = { low = 4, high = 64, log = true }
training.learning_rate = { low = 1e-4, high = 1e-1, log = true }
model.dropout = [0.1, 0.5]
embedding.vectors = ["sample", ["sample", "none"]]
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "s.toml").write_text(SWEEP)
    return load_sweep(tmp_path / "s.toml")


@pytest.fixture
def formula(monkeypatch):
    """Replaces training by a formula, which a trial's pruner watches as in training."""

    def run(job, data_dir):
        model = job.pipeline.model
        if model.units == 5:
            raise ValueError("five")
        score = 1 / (1 + abs(model.units - 20) + model.dropout)
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.MedianPruner(searching._UNPRUNED, 1)
        )
        study.add_trials(job.earlier)
        trial, scores = study.ask(), []
        for step in (1, 2, 3):
            scores.append(score * step)
            trial.report(scores[-1], step)
            if trial.should_prune():
                return scores, True
        return scores, False

    monkeypatch.setattr(searching, "_run", run)


class Here:
    """An engine that runs jobs in this process, and is killed after some of them."""

    slots, cpus = 2, 1

    def __init__(self, jobs=10**6):
        self.left = jobs

    def run(self, jobs, work):
        for job in jobs:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            try:
                yield job, work(job)
            except ValueError as error:
                yield job, JobError(f"ValueError: {error}", 1.0)


def test_ranges(sweep):
    assert sweep.ranges == {
        "model.units": Range(4, 64, True),
        "training.learning_rate": Range(1e-4, 1e-1, True),
        "model.dropout": Range(choices=(0.1, 0.5)),
        "embedding.vectors": Range(choices=(("sample",), ("sample", "none"))),
    }
    assert [item.short_name for item in sweep.experiments] == ["best"]
    drawn = {"model.units": 8, "embedding.vectors": "sample+none"}
    assert sweep.settings(drawn) == {
        "model.units": 8, "embedding.vectors": ("sample", "none"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("model.units = 4", "search.model.units: expected .*low.* or a list. Received: 4"),
        ("model.units = { low = 4 }", "expected .*low"),
        ("model.units = { low = 8, high = 4 }", "low below high"),
        ("model.units = { low = 4.5, high = 8 }", "a whole number"),
        ("model.units = { low = 0, high = 8 }", "at least 1"),
        ("model.units = { low = 4, high = 8, step = 2 }", "no key 'step'"),
        ("model.units = { low = 4, high = 8, log = 1 }", "low below high"),
        ("training.l2 = { low = 0.0, high = 1.0, log = true }", "above 0 with log"),
        ("model.pooling = { low = 'mean', high = 'attention' }", "expected numbers"),
        ("model.pooling = ['mean']", "expected different values"),
        ("model.pooling = ['mean', 'mean']", "expected different values"),
        ("model.nothing = [1, 2]", "unknown setting"),
    ],
)
def test_ranges_that_do_not_fit(tmp_path, given, message):
    (tmp_path / "s.toml").write_text(f"[search]\n{given}\n")
    with pytest.raises(UsageError, match=message):
        load_sweep(tmp_path / "s.toml")


def test_a_search_has_no_rows(tmp_path):
    (tmp_path / "s.toml").write_text("[search]\nmodel.units = [1, 2]\n[rows]\na = {}\n")
    with pytest.raises(UsageError, match="alone"):
        load_sweep(tmp_path / "s.toml")


def test_the_best_settings_are_found(sweep, tmp_path, formula):
    trials = list(search(sweep, tmp_path, Here(), 30))
    assert [trial.number for trial in trials] == list(range(30))
    chosen = best(trials)
    assert abs(chosen.settings["model.units"] - 20) <= 3 and not chosen.is_pruned
    assert len({trial.settings["model.units"] for trial in trials}) > 8
    pruned = [trial for trial in trials if trial.is_pruned]
    assert pruned and all(len(trial.scores) < 3 for trial in pruned)
    assert list(search(sweep, tmp_path, Here(0), 30)) == trials  # nothing is run again


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("killed_after", [1, 4, 11])
def test_a_killed_search_ends_with_the_same_trials(sweep, tmp_path, formula, batch, killed_after):
    whole = list(search(sweep, tmp_path / "whole", Here(), 14, batch=batch))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            list(search(sweep, tmp_path / "killed", Here(killed_after), 14, batch=batch))
        if killed_after > 6:
            break
    assert list(search(sweep, tmp_path / "killed", Here(), 14, batch=batch)) == whole
    other = list(search(sweep, tmp_path / "other", Here(), 14, seed=2, batch=batch))
    assert [trial.settings for trial in other] != [trial.settings for trial in whole]


def test_a_search_goes_on_to_more_trials(sweep, tmp_path, formula):
    few = list(search(sweep, tmp_path / "a", Here(), 4))
    more = list(search(sweep, tmp_path / "a", Here(), 8))
    assert more[:4] == few and more == list(search(sweep, tmp_path / "b", Here(), 8))


def test_a_trial_that_fails(tmp_path, formula):
    (tmp_path / "s.toml").write_text("[search]\nmodel.units = [5, 20]\n")
    trials = list(search(load_sweep(tmp_path / "s.toml"), tmp_path, Here(), 8))
    failed = [trial for trial in trials if trial.error]
    assert failed and {trial.error for trial in failed} == {"ValueError: five"}
    assert best(trials).settings == {"model.units": 20}
    with pytest.raises(InputError, match="all 1 trials failed. The first: ValueError: five"):
        best(failed[:1])
    with pytest.raises(InputError, match="all 0 trials failed"):
        best([])


def test_lower_losses_are_better():
    trials = [searching.Trial(n, {}, (score,), score) for n, score in enumerate((0.5, 0.3, 0.3))]
    assert best(trials, lower_is_better=True).number == 1 and best(trials).number == 0


def test_the_journal_of_another_search(sweep, tmp_path, formula):
    list(search(sweep, tmp_path, Here(), 2))
    for options, what in (({"seed": 2}, "seed"), ({"batch": 2}, "batch")):
        with pytest.raises(UsageError, match=f"other {what}"):
            list(search(sweep, tmp_path, Here(), 2, **options))
    (tmp_path / JOURNAL).write_text("not a journal\n")
    with pytest.raises(InputError, match=JOURNAL):
        list(search(sweep, tmp_path, Here(), 2))


def test_usage_errors(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.toml").write_text("[rows]\na = {}\n")
    for command, message in (
        (["search", "rows.toml"], "expected a sweep with [search]"),
        (["reproduce", "s.toml"], "`sst-keras search s.toml` makes this search"),
        (["search", "s.toml", "--cpus", "2"], "--cpus: expected --engine ray"),
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2 and message in result.stderr, result.output


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["model.units = { low = 4, high = 64, log = true }", "model.dropout = [0.1, 0.5]"]
    base = 'data.dataset = "sample"\ntraining.epochs = 2'
    text = f'pipeline = "mlp"\nseeds = 2\n[base]\n{base}\n[search]\n' + "\n".join(lines)
    Path("s.toml").write_text(text)
    command = ["search", "s.toml", "--trials", "2", "--jobs", "2"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("trial ") == 2 and "With seeds 1 to 2: dev" in result.stdout
    again = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert len(again["trials"]) == 2 and len(again["test"]) == 2
    shown = CliRunner().invoke(main, ["train", "results/s/best.toml", "--run-dir", "r", "--json"])
    trained = json.loads(shown.stdout)
    assert trained["dev"]["accuracy"] == pytest.approx(again["dev"][0])
    assert Machine(2).cpus >= 1
