"""The benchmarks import and run, and their README has the records' numbers; nothing is timed."""

import asyncio
import csv
import os
import sys
import types
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
REASON = "could not create a primitive descriptor for an LSTM forward propagation primitive"
# Answers as `torch_worker` does on a CPU without bfloat16 instructions, at any speed.
WORKER = f"""#!{sys.executable}
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "load":
        answer = {{"torch": "0.0"}}
    elif request["form"].endswith("bfloat16"):
        answer = {{"refused": {REASON!r}}}
    else:
        answer = {{"seconds": 1.0, "wall": 1.0, "cpu": 2.0, "losses": [1.5] * 8}}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for path in BENCHMARKS.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return __import__


def test_the_tables_are_those_of_the_records(benchmark):
    readme = benchmark("readme")
    for page in readme.PAGES:
        assert readme.rendered(page) == page.read_text("utf-8")
    assert readme.README.read_text("utf-8").count("**") > 20  # there are ratios in it


def test_the_last_record_of_each_kind_counts(benchmark, monkeypatch, tmp_path):
    readme = benchmark("readme")
    monkeypatch.setattr(readme.records, "RESULTS", tmp_path)
    for seconds in (3, 2):
        readme.records.append("made-up", ("numpy",), units=1, seconds=seconds)
    readme.records.append("made-up", ("numpy",), units=2, seconds=1)
    found = readme.latest("made-up", "units")
    assert [record["seconds"] for record in found] == [2, 1]
    assert found[0]["packages"].keys() == {"numpy"}


@pytest.mark.parametrize(
    ("cpuinfo", "cpu", "sets"),
    [
        (
            "model name\t: A CPU\nflags\t\t: fpu avx avx2 avx512_bf16\n",
            "A CPU",
            ["avx2", "avx512_bf16"],
        ),
        ("Features\t: asimd bf16\n", None, []),  # ARM
        (None, None, []),  # not Linux
    ],
)
def test_machines(benchmark, monkeypatch, tmp_path, cpuinfo, cpu, sets):
    records = benchmark("records")
    monkeypatch.setattr(records, "_CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    machine = records.machine()
    assert machine["instruction_sets"] == sets
    assert machine["cpu"] == cpu if cpu else machine["cpu"]


def test_kinds_of_cpu(benchmark):
    new = {"cpu": "B", "instruction_sets": ["avx2", "avx512f"], "cores": 4}
    found = [{"machine": machine} for machine in ({"cpu": "A", "cores": 2}, new, new)]
    assert (
        benchmark("readme").machines(found) == "Measured on A, 2 cores; B (avx2, avx512f), 4 cores."
    )


def test_the_accuracy_of_bfloat16(benchmark, monkeypatch, tmp_path):
    from sst_keras.experiments.records import RunKey, RunRecord, Scores, write_record
    from sst_keras.settings import Pipeline

    readme = benchmark("readme")
    monkeypatch.setattr(readme.records, "RESULTS", tmp_path)
    assert readme.bfloat16() == "Not measured yet."
    settings = {**Pipeline().settings(), "embedding.vectors": ("a", "b")}
    head = {"settings": settings, "seconds": 1.0, "jobs": 1, "cores": 2, "epochs": 1}
    head |= {"ended": "2026-01-01T00:00:00+00:00", "class_names": ("a",)}
    for row, tests in {
        "lstm-attention-384": (0.40, 0.44),
        "lstm-attention-384-bfloat16": (0.41, 0.41),
        "lstm": (0.1, 0.2),
    }.items():
        for seed, test in enumerate(tests, start=1):
            best = Scores(epoch=1, dev=0.5, test=test, confusion_matrix=[[2]])
            record = RunRecord(RunKey("main", row, None, seed), **head, last=best, best=best)
            write_record(tmp_path / "main", record)
    failed = RunRecord(RunKey("main", "lstm-attention-384", None, 3), **head, error="killed")
    write_record(tmp_path / "main", failed)
    assert readme.bfloat16().splitlines()[2:] == [
        "| float32 | 50.0 ± 0.0 | 42.0 ± 2.8 | 2 | a, b |",
        "| bfloat16 | 50.0 ± 0.0 | 41.0 ± 0.0 | 2 | a, b |",
    ]


def test_pytorch_may_refuse_bfloat16_and_nothing_else(benchmark, monkeypatch):
    torch, nn, rnn = (
        types.ModuleType(name) for name in ("torch", "torch.nn", "torch.nn.utils.rnn")
    )
    nn.Module, torch.nn, torch.Tensor = object, nn, object
    rnn.PackedSequence = rnn.pack_padded_sequence = rnn.pad_packed_sequence = None
    for module in (torch, nn, rnn):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "torch.nn.utils", types.ModuleType("torch.nn.utils"))
    torch_worker = benchmark("torch_worker")

    class Worker:
        def train(self, form):
            raise RuntimeError(f"{REASON}\nC++ CapturedTraceback: ...")

    request = {"do": "train", "form": "packed plain bfloat16"}
    assert torch_worker.answer(Worker(), request) == {"refused": REASON}
    with pytest.raises(RuntimeError):
        torch_worker.answer(Worker(), {"do": "train", "form": "packed plain float32"})


@pytest.fixture
def worker(tmp_path):
    path = tmp_path / "python"
    path.write_text(WORKER)
    path.chmod(0o755)
    return str(path)


@pytest.mark.slow
def test_a_training_step_on_a_cpu_without_bfloat16(benchmark, worker, monkeypatch, tmp_path):
    train_step, readme = benchmark("train_step"), benchmark("readme")
    monkeypatch.setattr(train_step.records, "RESULTS", tmp_path)
    monkeypatch.setattr(train_step, "Data", lambda: benchmark("sides").Data("sample"))
    monkeypatch.setitem(train_step.TOLERANCES, "float32", (10.0, 10.0))
    arguments = ["--torch-python", worker, "--batches", "8", "--rounds", "2", "--units", "16"]
    result = CliRunner().invoke(
        train_step.main, [*arguments, "--shape", "one layer"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert result.output.count(REASON) == 1
    (record,) = train_step.records.read("train_step")
    assert record["torch_ms"] == {
        "plain float32": 125.0,
        "plain bfloat16": None,
        "folded float32": 125.0,
        "folded bfloat16": None,
    }
    assert record["runs_ms"]["packed plain bfloat16"] is None
    assert len(record["runs_ms"]["ours bfloat16"]) == 2
    assert record["torch_over_ours"]["plain bfloat16"] is None
    assert record["torch_over_ours"]["our bfloat16, plain float32"] > 0
    cells = readme.train_step().splitlines()[2].split(" | ")
    assert [number for number, cell in enumerate(cells) if cell == "–"] == [7, 8, 9]


@pytest.mark.slow
def test_a_language_model_on_a_cpu_without_bfloat16(benchmark, worker, monkeypatch, tmp_path):
    language_model, readme = benchmark("language_model"), benchmark("readme")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(language_model.records, "RESULTS", tmp_path)
    monkeypatch.setattr(language_model, "_VECTORS", 2)
    monkeypatch.setitem(language_model.TOLERANCES, "float32", (10.0, 10.0))
    assert readme.language_model() == "Not measured yet."
    texts = tmp_path / "reviews.txt"
    texts.write_text("a good film\nnot bad\n" * 1460)  # a 20th of 9/10 is two batches
    arguments = ["--torch-python", worker, "--corpus", str(texts), "--rounds", "2", "--units", "4"]
    result = CliRunner().invoke(
        language_model.main, [*arguments, "--batches", "2"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    (record,) = language_model.records.read("language_model")
    assert record["classes"] == 7  # five words, rare ones, the boundary
    speeds, ratios = record["tokens_per_second"], record["torch_over_ours"]
    # Two batches have 132 sentences of two or three words, and a pass takes a second.
    assert 2 * 132 < record["tokens"] < 3 * 132
    assert speeds["padded float32"] == record["tokens"]
    assert speeds["packed bfloat16"] is ratios["cpu"]["bfloat16"] is None
    assert len(record["runs_s"]["ours bfloat16"]["cpu"]) == 2
    assert ratios["wall"]["our bfloat16, float32"] > 0
    cells = readme.language_model().splitlines()[2].split(" | ")
    assert [number for number, cell in enumerate(cells) if cell == "–"] == [7, 8, 9]
    result = CliRunner().invoke(language_model.main, [*arguments, "--batches", "3"])
    assert "expected more sentences" in str(result.exception)


@pytest.mark.slow
def test_the_exported_classifier_of_the_inference_benchmark(benchmark):
    inference, sides = benchmark("inference"), benchmark("sides")
    settings = {"units": 8, "num_layers": 2, "bidirectional": True, "tuned": False}
    classify, weights = inference.classifier(sides.Data("sample"), settings)
    seconds, probabilities = inference.ours(classify, [sides.tf.constant(["a good film", "bad"])])
    assert len(seconds) == 1
    np.testing.assert_allclose(probabilities[0].sum(axis=1), [1, 1], rtol=1e-5)
    assert weights["lstm_1_1_0"].shape == (16, 32)


def test_batches_that_are_no_multiple_are_refused(benchmark):
    train_step = benchmark("train_step")
    result = CliRunner().invoke(train_step.main, ["--torch-python", "x", "--batches", "2"])
    assert result.exit_code == 2 and "multiple of 8" in result.output


@pytest.mark.parametrize(
    "name",
    [
        "epoch",
        "language_model",
        "learning_curves",
        "kills",
        "limit",
        "phrases",
        "scaling",
        "serving",
        "skew",
        "tables",
        "tokenizer",
        "vectors",
    ],
)
def test_the_other_benchmarks_import_and_have_help(benchmark, name):
    assert CliRunner().invoke(benchmark(name).main, ["--help"]).exit_code == 0


def test_the_clients_of_the_server_compare_probabilities(benchmark):
    serving = benchmark("serving")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"
    good = b'{"predictions": [{"probabilities": [0.25, 0.75]}]}'
    answers = [
        head.replace(b"45", b"%d" % len(good)) + good,
        head.replace(b"45", b"%d" % len(good)) + good.replace(b"0.25", b"0.26"),
        head.replace(b"200 OK", b"503 Unavailable").replace(b"45", b"2") + b"{}",
    ]

    async def measured():
        async def serve(reader, writer):
            for answer in answers:
                await reader.readuntil(b"]}")
                writer.write(answer)
            await reader.read()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            expected = {"a film": np.array([0.25, 0.75])}
            return await serving.load(port, 1, ["a film"], expected, serving.times(3))

    found = serving.summary(asyncio.run(measured()), 1.0)
    assert (found["wrong"], found["statuses"]) == (1, {"200": 2, "503": 1})
    assert serving.failures({"many": found}) == ["many: 1 wrong answers", "many: status 503"]
    refused = {"wrong": 0, "statuses": {"200": 1, "429": 9}}
    assert serving.failures({"overload": refused}) == []
    assert serving.failures({"overload": refused | {"recovery_seconds": 31.0}}) == [
        "overload: no answer within 30 s after it"
    ]
    lazy = {"wrong": 0, "statuses": {"200": 10}}
    assert serving.failures({"overload": lazy}) == ["overload: no request was refused"]
    assert serving.failures({"many": refused}) == ["many: status 429"]
    memory = serving.memory_of(os.getpid())
    assert 1 << 20 < memory["resident"] <= memory["peak"]


@pytest.mark.parametrize("wrong", [0, 1])
def test_wrong_answers_fail_the_benchmark_of_the_server(benchmark, monkeypatch, tmp_path, wrong):
    serving = benchmark("serving")
    options = []

    def start(export, log, *given):
        options.append(given)
        return None, 1

    async def load(port, clients, *others):
        statuses = {200: 1, 429: 1} if options[-1] else {200: 1}  # overloaded
        client = serving.Client(port, [], [1.0], serving.Counter(statuses), wrong)
        return [client] * clients

    async def recovery(*others):
        return 0.1

    class Predictor:
        def answers(self, texts, signature):
            return [{"probabilities": None}] * len(texts)

    for name, fake in (("start", start), ("stop", lambda server: 0), ("load", load)):
        monkeypatch.setattr(serving, name, fake)
    monkeypatch.setattr(serving, "recovery", recovery)
    monkeypatch.setattr(serving.records, "RESULTS", tmp_path)
    monkeypatch.setattr("sst_keras.serving.prediction.Predictor.load", lambda export: Predictor())
    result = CliRunner().invoke(serving.main, ["x", "--clients", "64"])
    assert result.exit_code == wrong, result.output
    # A queue and a batch, a quarter of the clients in all.
    assert options == [(), ("--queue", "8", "--batch", "8")]
    (record,) = serving.records.read("serving")
    assert record["overload"]["recovery_seconds"] == 0.1


def test_phrases_come_once_with_the_number_of_their_first_sentence(benchmark, tmp_path):
    trees = tmp_path / "train.txt"
    trees.write_text("(3 (2 A) (3 film))\n(4 (4 Good) (3 film))\n(0 Bad)\n")
    rows = [(1, "A film", 3), (1, "A", 2), (1, "film", 3), (2, "Good film", 4), (2, "Good", 4)]
    assert benchmark("phrases").phrases(trees, 2) == rows
    assert benchmark("phrases").phrases(trees, None) == [*rows, (3, "Bad", 0)]


def test_learning_curves_share_their_test_texts(benchmark, tmp_path):
    curves = benchmark("learning_curves")
    (tmp_path / "a.txt").write_text("Good.\t1\nBad.\t0\n\n", "utf-8")
    (tmp_path / "b.txt").write_text("A tab\there.\t1\n", "utf-8")
    texts, labels = curves.read([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert texts == ["Good.", "Bad.", "A tab\there."] and labels.tolist() == [1, 0, 1]

    labels = np.array([0] * 60 + [1] * 40)
    found = curves.parts(labels, [20, 50, 81], seed=1)
    assert list(found) == [20, 50]  # a fifth of the 100 is test
    small, large = found.values()
    assert {name: len(rows) for name, rows in small.items()} == {"train": 16, "dev": 4, "test": 20}
    assert set(small["train"]) <= set(large["train"]) and set(small["dev"]) <= set(large["dev"])
    np.testing.assert_array_equal(small["test"], large["test"])
    for rows in (small["train"], large["train"], large["test"]):
        assert labels[rows].mean() == pytest.approx(0.4, abs=0.1)
    assert len(set(np.concatenate(list(large.values())))) == 70
    other = curves.parts(labels, [20], seed=2)[20]
    assert set(other["test"]) != set(small["test"])


def test_pieces_of_reviews_begin_elsewhere_each_time(benchmark, monkeypatch, tmp_path):
    tables = benchmark("tables")
    monkeypatch.setattr(tables, "reviews", lambda data: ["one two three four", "0123456789x"])
    monkeypatch.setattr(tables, "LENGTH", 9)
    monkeypatch.setattr(tables, "SHIFT", 2)
    first = ["one two", "three", "012345678"]
    assert list(islice(tables.pieces(tmp_path), 5)) == [*first, "e two", "three"]


def test_a_table_without_the_reviews(benchmark, tmp_path):
    path = tmp_path / "x.csv"
    assert benchmark("tables").make_table(path, 7) == "sentences of the bundled sample"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list("1234512")
    assert all(row["text"].count(" ") > 10 for row in rows)


def test_the_same_answers_are_those_of_the_document(benchmark):
    record = benchmark("records").read("same_answers")[-1]
    assert record["labels_changed"] == 0 and record["sentences"] == 2210
    assert 1e-7 < record["greatest_difference"] < 2e-6
    assert "by more than 0.000002" in (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_agreement_is_that_of_the_document(benchmark):
    agreement, record = benchmark("agreement"), benchmark("records").read("agreement")[-1]
    text = (BENCHMARKS.parent / "docs" / "explaining.md").read_text("utf-8")
    assert f"{record['sentences']:,} test sentences" in text
    assert f"is {record['mean']:.2f} ± {record['sd']:.2f}" in text
    assert f"{record['below_zero']:.0%}".replace("%", " %") in text
    assert f"In {record['same_first']:.0%}".replace("%", " %") in text
    assert agreement.agreement(np.array([3, 2, 1]), np.array([-0.9, 0.5, 0.1])) == (1, True)
    assert agreement.agreement(np.array([1, 2, 3]), np.array([0.9, 0.5, 0.1])) == (-1, False)
    assert agreement.agreement(np.array([1, 1]), np.array([0.9, 0.5]))[0] == 0


def test_the_rate_of_a_cluster_is_that_of_its_full_rounds(benchmark, tmp_path):
    cluster = benchmark("cluster")
    # Two actors make a part of 100 rows in 2 s; the first ones appear late, the last ones early.
    done = [(9.0, 100), (9.5, 100), (11.0, 100), (11.5, 100), (13.0, 100), (13.5, 100)]
    done += [(13.6, 10), (13.7, 10)]
    assert cluster.rate(done, 2) == {"texts": 400, "seconds": 4.0, "per_second": 100}
    for few in (done[:5], done[:1], []):
        with pytest.raises(cluster.click.ClickException, match="at least 6 parts.* Choose more"):
            cluster.rate(few, 2)
    log = tmp_path / "_parts.jsonl"
    assert cluster.parts_in(log) == {}
    log.write_text(
        '{"format": 1}\n{"file": 0, "number": 1, "rows": 7}\n'
        '{"file": 0, "number": -1, "rows": 0}\n{"file": 1, "num'
    )
    assert cluster.parts_in(log) == {(0, 1): 7}


@pytest.mark.parametrize("is_equal", [True, False])
def test_a_killed_search_is_compared_with_a_whole_one(benchmark, monkeypatch, tmp_path, is_equal):
    kills = benchmark("kills")
    monkeypatch.setattr(kills.records, "RESULTS", tmp_path)
    program = (  # adds a trial each time, and waits until it is killed if there are not two yet
        "import sys, time\nfrom pathlib import Path\n"
        "folder = Path(sys.argv[-1])\nfolder.mkdir(exist_ok=True)\n"
        "log, whole = folder / 'trials.jsonl', folder.name == 'whole'\n"
        "lines = log.read_text().splitlines() if log.exists() else ['{}']\n"
        "for number in (1, 0) if whole else [len(lines) - 1]:\n"
        '    lines.append(\'{"number": %d, "is_pruned": false}\' % number)\n'
        "log.write_text('\\n'.join(lines) + '\\n')\n"
        f"(folder / 'best.toml').write_text('' if {is_equal} else folder.name)\n"
        "if whole: time.sleep(1)\nelif len(lines) < 3: time.sleep(60)\n"
    )
    start = kills.subprocess.Popen

    def popen(command, **options):
        return start([sys.executable, "-c", program, command[-1]], **options)

    monkeypatch.setattr(kills.subprocess, "Popen", popen)
    result = CliRunner().invoke(kills.main, ["--search", "--kills", "1"])
    assert result.exit_code == (not is_equal), result.output
    (record,) = kills.records.read("kills")
    assert (record["equal"], record["trials_before_kills"]) == (is_equal, [1])


def cluster_record(**more):
    sizes = {"in": 100.0, "out": 200.0}
    rates = {"rate": {"per_second": 5000}, "rate_of_one_core": {"per_second": 2500}}
    machine = {"cpu": "A", "cores": 2}
    record = {"texts": 10**6, "cores": 2, "part_rows": 10_000, "read_per_second": 25_000}
    return record | rates | {"bytes_per_text": sizes, "machine": machine} | more


def test_what_many_texts_cost(benchmark, monkeypatch):
    readme = benchmark("readme")
    new = cluster_record(
        rate={"per_second": 5000, "to_first_part": 14.2},
        rate_of_local_engine={"per_second": 4000, "to_first_part": 8.1},
        bytes_by_worker=[[1e8] + [6e8] * 8 + [8e8] * 3, [5e8] * 12, [9e8] * 11],
    )
    old = cluster_record(worker_bytes=[0, 6 * 10**8, 8 * 10**8])
    found = []
    for record in (old, new):
        monkeypatch.setattr(readme, "latest", lambda *keys, record=record, **only: [record])
        found.append(readme.scale())
    before, after = found
    for text in found:
        # A part takes 20 s: 20 parts on 64 cores take as long as one, 2,000 parts 32 times that.
        assert "| 1 million | 0.1 | 7 minutes | 20 seconds | 20 seconds | 100 MB |" in text
        assert "| 100 million | 11.1 | 11 hours | 11 minutes | 40 seconds |" in text
        assert "1 million texts are 20 parts" in text
        assert "1,024 cores together read 256 MB and write 512 MB a second." in text
    assert "at most 0.80 GB of its own; how much each had over time was not recorded" in before
    assert "local engine" not in before and "first part" not in before
    assert "at most 0.90 GB of its own" in after
    quarters = "0.60, 0.60, 0.60, 0.80; 0.50, 0.50, 0.50, 0.50."
    assert f"each that lived for a minute were, in GB: {quarters}" in after
    assert "The local engine predicts 4,000 a second on the same cores" in after
    assert "was there 14 seconds after the start" in after and "after 8 seconds by" in after


def test_what_a_sweep_took(benchmark, monkeypatch):
    readme = benchmark("readme")
    record = {"nodes": 3, "runs": 4, "seconds": {"local": 20.0, "undisturbed": 30.0}}
    record |= {"cases": {"undisturbed": {"equal": 4}, "node killed": {"equal": 3}}}
    record |= {"machine": {"cores": 2}}
    monkeypatch.setattr(readme, "latest", lambda *keys, **only: [record])
    text = readme.sweeps()
    assert "4 small runs took 30 seconds; the local engine took 20" in text
    assert "That is 2.5 seconds more for each run. 3 of 4 records were equal" in text
    record["seconds_to_first_run"] = {"local": 5.0, "undisturbed": 11.0}
    assert "began after 11 seconds; by the local engine, after 5. 3 of 4" in readme.sweeps()


def test_the_memory_of_each_actor(benchmark, monkeypatch, tmp_path):
    cluster = benchmark("cluster")
    monkeypatch.setattr(cluster, "PROCESSES", tmp_path)
    actor = "ray::MapWorker(f)"
    for number, name, own in ((7, actor, 3), (8, actor, 4), (9, "x", 5)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_text(name)
        (tmp_path / str(number) / "status").write_text(f"Name:\tx\nRssAnon:\t {own} kB\n")
    assert cluster.workers() == {7: 3072, 8: 4096}


def test_the_seconds_to_the_first_part_and_run(benchmark, monkeypatch, tmp_path):
    cluster = benchmark("cluster")
    program = (
        "import json, sys, time\nfrom pathlib import Path\n"
        "time.sleep(0.5)\nPath('o').mkdir()\n"
        "for number in range(5):\n"
        "    with open('o/_parts.jsonl', 'a') as log:\n"
        "        print(json.dumps({'file': 0, 'number': number, 'rows': 10}), file=log)\n"
        "    time.sleep(0.2)\n"
    )
    monkeypatch.setattr(cluster, "command", lambda *given: [sys.executable, "-c", program])
    found = cluster.rate_of(tmp_path, ["--out", "o"], actors=1)
    assert found["texts"] == 30 and found["to_first_part"] >= 0.5
    for name, seconds, ended in (("a", 3.0, 110), ("b", 1.0, 106)):
        path = tmp_path / f"{name}.json"
        path.write_text(f'{{"seconds": {seconds}}}')
        os.utime(path, (ended, ended))
    assert cluster.first_start(tmp_path, 100.0) == 5.0
