"""Searches, with trainings that are formulas."""

import errno
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.config import load_pipeline
from sst_keras.engines.local import JobError, Machine
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments import searching
from sst_keras.experiments.running import data_sets
from sst_keras.experiments.searching import TRIALS, Search, Trial
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
    """Replaces training by a formula, and by a pruner that stops at less than half of the best."""

    def train(job, data_dir, lower_is_better, folder=None):
        trial, pipeline, earlier = job
        model = pipeline.model
        assert trial.number not in [each.number for each in earlier]
        if model.units == 5:
            raise ValueError("five")
        score = 1 / (1 + abs(model.units - 20) + model.dropout)
        best_so_far = max((each.score(False) or 0 for each in earlier), default=0)
        is_pruned = score < best_so_far / 8
        return [score / 2] if is_pruned else [score / 2, score], is_pruned

    monkeypatch.setattr(searching, "_train", train)


class Here(Machine):
    """An engine that runs jobs in this process, and is killed after some of them."""

    def __init__(self, jobs=10**6):
        super().__init__(2)
        object.__setattr__(self, "left", jobs)

    def run(self, jobs, work):
        for job in jobs:
            if not self.left:
                raise KeyboardInterrupt
            object.__setattr__(self, "left", self.left - 1)
            try:
                yield job, work(job)
            except ValueError as error:
                yield job, JobError(f"ValueError: {error}", 1.0)


def search(sweep, folder, engine, trials, **options):
    return sorted(Search(sweep, folder, **options).run(trials, engine), key=lambda t: t.number)


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
        ("training.monitor = ['loss', 'accuracy']", "not be comparable"),
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
    trials = search(sweep, tmp_path, Here(), 30)
    assert [trial.number for trial in trials] == list(range(30))
    plan = Search(sweep, tmp_path)
    chosen = plan.best(trials)
    assert abs(chosen.drawn["model.units"] - 20) <= 3 and not chosen.is_pruned
    assert len({trial.drawn["model.units"] for trial in trials}) > 8
    assert any(trial.is_pruned and len(trial.scores) == 1 for trial in trials)
    assert search(sweep, tmp_path, Here(0), 30) == trials  # nothing is run again
    found = plan.experiment(chosen)
    assert found.row == f"trial-{chosen.number}" and found.pipeline.name == f"s/{found.row}"
    assert found.pipeline.model.units == chosen.drawn["model.units"]


def test_settings_that_are_searched_cannot_be_given(sweep):
    changed = searching.searched(sweep, overrides=["training.epochs=3"])
    assert changed.experiments[0].pipeline.training.epochs == 3 and changed.ranges == sweep.ranges
    for given in ({"overrides": ["model.units = 5"]}, {"vectors": ["none"]}):
        with pytest.raises(UsageError, match="is searched"):
            searching.searched(sweep, **given)


def test_what_auto_stands_for_is_that_of_the_trials_own_files(tmp_path):
    search = '[base]\ndata.dataset = "auto"\n[search]\nembedding.vectors = ["auto", "none"]\n'
    (tmp_path / "s.toml").write_text(search)
    plan = Search(load_sweep(tmp_path / "s.toml"), tmp_path)
    choices = searching.choices_of_files(plan.sweep)
    assert [item.pipeline.embedding.vectors for item, _ in choices] == [
        plan.sweep.experiments[0].pipeline.embedding.vectors, ("auto",), ("none",),
    ]  # fmt: skip
    settled = [(item.changed(overrides=["data.dataset=sample"]), seed) for item, seed in choices]
    settled[1] = (settled[1][0].changed(["glove"]), 1)
    settled[0] = (settled[0][0].changed(["glove"]), 1)
    for drawn, vectors in (("auto", "glove"), ("none", "none")):
        trial = plan.experiment(Trial(0, {"embedding.vectors": drawn}))
        found = searching.with_found(trial, choices, settled).pipeline
        assert (found.data.dataset, found.embedding.vectors) == ("sample", (vectors,))
        assert found.name == "s/trial-0"


def test_how_many_trials_a_search_draws_at_a_time(sweep, tmp_path):
    def batch(given, slots):
        return searching.plan(sweep, tmp_path, 1, given, slots).batch

    assert (batch(None, 3), batch(None, 30), batch(9, 3)) == (3, 8, 9)
    (tmp_path / TRIALS).write_text("")
    assert batch(None, 3) is None


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("killed_after", [1, 6, 17])
def test_a_killed_search_ends_with_the_same_trials(sweep, tmp_path, formula, batch, killed_after):
    whole = search(sweep, tmp_path / "whole", Here(), 22, batch=batch)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(sweep, tmp_path / "killed", Here(min(killed_after, 9)), 22, batch=batch)
    with (tmp_path / "killed" / TRIALS).open("a") as file:
        file.write('{"number": 9, "dra')  # as a killed process leaves it
    assert search(sweep, tmp_path / "killed", Here(), 22) == whole  # the batch is the file's
    other = search(sweep, tmp_path / "other", Here(), 22, seed=2, batch=batch)
    assert [trial.drawn for trial in other] != [trial.drawn for trial in whole]


@pytest.mark.parametrize("trials", [4, 14])
def test_a_search_goes_on_to_more_trials(sweep, tmp_path, formula, trials):
    few = search(sweep, tmp_path / "a", Here(), trials, batch=4)
    assert Search(sweep, tmp_path / "a").drawn_together() == 4
    more = search(sweep, tmp_path / "a", Here(), 26)
    assert more[:trials] == few and more == search(sweep, tmp_path / "b", Here(), 26, batch=4)


def test_a_trial_that_fails(tmp_path, formula):
    (tmp_path / "s.toml").write_text("[search]\nmodel.units = [5, 20]\n")
    plan = Search(load_sweep(tmp_path / "s.toml"), tmp_path)
    trials = list(plan.run(8, Here()))
    failed = [trial for trial in trials if trial.error]
    assert failed and {trial.error for trial in failed} == {"ValueError: five"}
    assert plan.best(trials).drawn == {"model.units": "20"}
    with pytest.raises(InputError, match="all 1 trials failed. The first: ValueError: five"):
        plan.best(failed[:1])
    with pytest.raises(InputError, match="all 0 trials failed"):
        plan.best([])
    engine = Here(len(failed))
    assert sorted(plan.run(8, engine, retry=True), key=lambda t: t.number) == trials
    assert engine.left == 0  # those that failed, and no others


def test_a_full_disk_stops_a_search(sweep, tmp_path, monkeypatch):
    def train(*args, **options):
        raise ValueError(f"[Errno 28] {os.strerror(errno.ENOSPC)}: 'x'")

    monkeypatch.setattr(searching, "_train", train)
    with pytest.raises(InputError, match="trial 0 stopped: .* Free some space"):
        search(sweep, tmp_path, Here(), 3)
    assert (tmp_path / TRIALS).read_text().count("\n") == 1  # no trial is recorded as failed


def test_scores_that_are_not_finite(sweep, tmp_path, monkeypatch):
    nan = float("nan")

    def train(job, data_dir, lower_is_better, folder=None):
        return [nan, nan] if job[0].number == 1 else [nan, 0.5], False

    monkeypatch.setattr(searching, "_train", train)
    trials = search(sweep, tmp_path, Here(), 8)
    assert [trial.score(True) for trial in trials] == [0.5, None, *[0.5] * 6]
    assert [bool(trial.error) for trial in trials] == [False, True, *[False] * 6]
    assert len(search(sweep, tmp_path, Here(1), 9)) == 9


def test_lower_losses_are_better(tmp_path):
    text = "[base]\ntraining.monitor = 'loss'\n[search]\nmodel.units = [1, 2]\n"
    (tmp_path / "s.toml").write_text(text)
    plan = Search(load_sweep(tmp_path / "s.toml"), tmp_path)
    trials = [Trial(n, {}, (score, 9.0)) for n, score in enumerate((0.5, 0.3, 0.3))]
    assert plan.best(trials).number == 1
    assert Trial(0, {}, (0.5, 0.25)).score(lower_is_better=False) == 0.5


def test_the_trials_of_another_search(sweep, tmp_path, formula, monkeypatch):
    search(sweep, tmp_path, Here(), 2)
    for options, what in (({"seed": 2}, "seed"), ({"batch": 2}, "batch")):
        with pytest.raises(UsageError, match=f"other {what}"):
            search(sweep, tmp_path, Here(), 2, **options)
    message = r"other backend \(tensorflow, not jax\)"
    with monkeypatch.context() as patch, pytest.raises(UsageError, match=message):
        patch.setattr(searching, "check_backend", lambda: "jax")
        search(sweep, tmp_path, Here(), 2)
    search(sweep, tmp_path, Here(0), 2, data="a")  # which was not known before, and is now
    with pytest.raises(UsageError, match="other data. Choose"):
        search(sweep, tmp_path, Here(), 2, data="b")
    about, *trials = map(json.loads, (tmp_path / TRIALS).read_text().splitlines())
    del about["backend"], about["data"]  # as an earlier version wrote it
    rows = [about, *trials]
    for row in rows:
        del row["sha256"]
    (tmp_path / TRIALS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert len(search(sweep, tmp_path, Here(0), 2, data="b")) == 2
    for content in ("not JSON\n", "{}\n[]\n", '{}\n{"number": "0"}\n'):
        (tmp_path / TRIALS).write_text(content)
        with pytest.raises(InputError, match=TRIALS):
            search(sweep, tmp_path, Here(), 2)


DRAWN = {
    "model.units": 8, "training.learning_rate": 0.01, "model.dropout": "0.1",
    "embedding.vectors": "sample",
}  # fmt: skip


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize(
    "line, change",
    [
        (0, {"batch": 0}), (0, {"batch": -3}), (0, {"batch": "1"}), (0, {"batch": None}),
        (2, {"number": -1}), (2, {"number": 0}), (2, {"number": "1"}), (2, {"number": True}),
        (2, {"scores": [0.9066]}), (2, {"scores": ["0.5"]}), (2, {"scores": [10**400]}),
        (2, {"is_pruned": 1}), (2, {"error": None}), (2, {"drawn": {}}), (2, {"drawn": []}),
        (2, {"drawn": DRAWN | {"model.units": 65}}), (2, {"drawn": DRAWN | {"model.units": "8"}}),
        (2, {"drawn": DRAWN | {"training.learning_rate": 1.0}}),
        (2, {"drawn": DRAWN | {"training.learning_rate": float("nan")}}),
        (2, {"drawn": DRAWN | {"model.dropout": "99"}}),
        (2, {"drawn": DRAWN | {"embedding.vectors": ["sample"]}}),
        (2, {"drawn": DRAWN | {"model.layers": 1}}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_trials_that_were_changed_are_refused(sweep, tmp_path, formula, line, change, is_sealed):
    search(sweep, tmp_path, Here(), 3)
    rows = [json.loads(row) for row in (tmp_path / TRIALS).read_text().splitlines()]
    rows[line] |= change
    if not is_sealed:  # as an earlier version wrote it
        if change == {"scores": [0.9066]}:
            return  # as it could have written it
        for row in rows:
            del row["sha256"]
    (tmp_path / TRIALS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    message = rf"{TRIALS}, line {line + 1}: .* Delete the file to start anew"
    with pytest.raises(InputError, match=message):
        search(sweep, tmp_path, Here(0), 3)


def test_a_search_whose_data_have_changed(tmp_path, formula, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"film {n},{label}" for n in range(20) for label in ("bad", "good")]
    Path("reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    base = 'data.dataset = "reviews.csv"\nembedding.vectors = ["none"]\ndata.examples = "sentences"'
    Path("s.toml").write_text(f"[base]\n{base}\n[search]\nmodel.units = [4, 8]\n")
    loaded = load_sweep("s.toml")
    ((_, corpus),) = data_sets([(loaded.experiments[0], 1)])
    data = corpus.fingerprint()
    made = search(loaded, tmp_path / "results/s", Here(), 1, data=data)
    assert [trial.number for trial in made] == [0]
    Path("reviews.csv").write_text("\n".join(["text,label", *rows, "new,good"]) + "\n")
    result = CliRunner().invoke(main, ["search", "s.toml", "--trials", "1"])
    assert result.exit_code == 2 and "of a search with other data" in result.stderr, result.output


def test_two_searches_in_one_folder(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(self, *args):
        again = CliRunner().invoke(main, ["search", "s.toml"])
        assert again.exit_code == 2 and "another process is writing into" in again.stderr
        raise InputError("the first one ran")

    monkeypatch.setattr(Search, "run", run)
    result = CliRunner().invoke(main, ["search", "s.toml"])
    assert result.exit_code == 1 and "the first one ran" in result.stderr, result.output


def test_trials_that_are_not_utf_8(sweep, tmp_path, formula):
    search(sweep, tmp_path, Here(), 1)
    with (tmp_path / TRIALS).open("ab") as file:
        file.write(b"\xff\xfe\n")
    with pytest.raises(InputError, match="line 3: expected a JSON object"):
        search(sweep, tmp_path, Here(), 2)


def test_usage_errors(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.toml").write_text("[rows]\na = {}\n")
    for command, message in (
        (["search", "rows.toml"], "expected a sweep with [search]"),
        (["reproduce", "s.toml"], "`sst-keras search s.toml` makes this search"),
        (["search", "s.toml", "--cpus", "2"], "--cpus: expected --engine ray"),
        (["search", "s.toml", "--set", "model.units=5"], "model.units is searched"),
        (["search", "s.toml", "--vectors", "none"], "embedding.vectors is searched"),
        (["train", "s.toml/best"], "s.toml is a search"),
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2 and message in result.stderr, result.output


def test_a_large_cluster_draws_eight_at_a_time(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = lambda stack, request, jobs, data_dir: (Machine(30), jobs, data_dir)  # noqa: E731
    monkeypatch.setattr("sst_keras.cli.search.cluster.check", lambda *args: None)
    monkeypatch.setattr("sst_keras.cli.search.cluster.for_sweep", place)

    def run(self, *args):
        raise InputError(f"{self.batch} at a time")

    monkeypatch.setattr(Search, "run", run)
    result = CliRunner().invoke(main, ["search", "s.toml", "--engine", "ray"])
    assert result.exit_code == 1 and "8 at a time" in result.stderr, result.output
    assert "20 trials, of which 8 are drawn at a time" in result.stderr


@pytest.mark.parametrize(
    ("scores", "lower_is_better", "stops_at"),
    [
        ([0.99] * 6, False, 2),  # not by its first check
        ([0.0] * 6, False, 3),
        ([0.99] * 4, False, 3),  # too few to compare with
        ([0.0] * 6, True, 2),
    ],
)
def test_a_trial_below_the_median_is_stopped(monkeypatch, scores, lower_is_better, stops_at):
    found, logged = [], "val_loss" if lower_is_better else "val_accuracy"

    def train(pipeline, run, data_dir, callbacks):
        (watch,) = callbacks
        for epoch in range(3):
            found.append(epoch)
            watch.on_epoch_end(epoch, {logged: 0.5})
        watch.on_train_end()

    monkeypatch.setattr("sst_keras.training.train", train)
    monitor = "training.monitor=loss" if lower_is_better else "training.monitor=accuracy"
    earlier = [Trial(number, {}, (score,) * 3) for number, score in enumerate(scores)]
    job = (Trial(len(earlier), {}), load_pipeline("mlp", [monitor]), earlier)
    made, is_pruned = searching._train(job, None, lower_is_better)
    assert made == [0.5] * stops_at == [0.5] * len(found) and is_pruned == (stops_at < 3)


@pytest.mark.slow
def test_a_bad_training_is_stopped():
    small = ["data.dataset=sample", "model.units=4", "training.epochs=4"]
    earlier = [Trial(number, {}, (0.99,) * 4) for number in range(6)]
    job = (Trial(6, {}), load_pipeline("mlp", small), earlier)
    scores, is_pruned = searching._train(job, None, False)
    assert is_pruned and len(scores) == 2 and all(0 <= score < 0.99 for score in scores)
    scores, is_pruned = searching._train((*job[:2], earlier[:4]), None, False)
    assert not is_pruned and len(scores) == 4


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
    best = load_pipeline("results/s/best.toml").settings()
    assert best["model.units"] == again["best"]["settings"]["model.units"]
