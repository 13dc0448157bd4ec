import math
import os

import numpy as np
import pytest

from sst_keras.errors import InputError
from sst_keras.history import (
    COLUMNS,
    History,
    rank,
    read_history,
    shown,
    write_history,
)

HEADER = "epoch,loss,accuracy,dev_loss,dev_accuracy,learning_rate,seconds,examples_per_second\n"


def row(epoch=1, dev_accuracy=0.4, dev_loss=1.3, **others):
    return {
        "epoch": epoch,
        "loss": 1.5,
        "accuracy": 0.3,
        "dev_loss": dev_loss,
        "dev_accuracy": dev_accuracy,
        "learning_rate": 0.001,
        "seconds": 2.0,
        "examples_per_second": 4272.0,
        **others,
    }


def test_file_is_plain_csv(tmp_path):
    write_history(tmp_path / "history.csv", [row(1), row(2)])
    assert (tmp_path / "history.csv").read_text() == (
        HEADER + "1,1.5,0.3,1.3,0.4,0.001,2.0,4272.0\n" + "2,1.5,0.3,1.3,0.4,0.001,2.0,4272.0\n"
    )


def test_checks_within_epochs(tmp_path):
    write_history(tmp_path / "history.csv", [row(0.5), row(1, 0.5), row(1.5)])
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == ["0.5", "1", "1.5"]
    history = read_history(tmp_path / "history.csv")
    assert history.column("epoch") == [0.5, 1, 1.5] and history.best_epoch == 1


def test_epochs_as_they_are_shown():
    assert [shown(epoch) for epoch in (4, 10, 10.0, 2.333, 2.5)] == ["4", "10", "10", "2.33", "2.5"]


def test_numbers_read_back_exactly(tmp_path):
    rows = [row(loss=0.1 + 0.2, dev_loss=math.pi * 1e-9, learning_rate=np.float32(0.1))]
    write_history(tmp_path / "history.csv", rows)
    history = read_history(tmp_path / "history.csv")
    assert history == History(tuple(rows))
    assert history.column("learning_rate") == [0.10000000149011612]


def test_rate_of_the_embeddings_is_a_column_of_its_own(tmp_path):
    write_history(tmp_path / "history.csv", [row(embedding_learning_rate=0.02)])
    history = read_history(tmp_path / "history.csv")
    assert history.column("embedding_learning_rate") == [0.02]
    assert tuple(history.rows[0]) == tuple(c for c in COLUMNS if c != "dev_macro_f1")


def test_nan_is_read_and_written(tmp_path):
    write_history(tmp_path / "history.csv", [row(1), row(2, loss=math.nan, dev_loss=math.inf)])
    history = read_history(tmp_path / "history.csv")
    assert history.column("loss")[0] == 1.5
    assert math.isnan(history.column("loss")[1])
    assert history.column("dev_loss") == [1.3, math.inf]


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.40, 1.3), (0.45, 1.4), (0.42, 1.2)], 2),
        ([(0.45, 1.3), (0.45, 1.2), (0.40, 1.0)], 2),
        ([(0.40, 1.0), (0.45, 1.2), (0.45, 1.2)], 2),
        ([(math.nan, 1.0), (0.30, 1.5)], 2),
        ([(0.45, math.nan), (0.45, 9.0)], 2),
        ([(math.nan, math.nan)], 0),
        ([(0.0, 1.0)], 1),
    ],
)
def test_best_epoch(scores, best):
    rows = (row(epoch, *score) for epoch, score in enumerate(scores, start=1))
    assert History(tuple(rows)).best_epoch == best


def test_best_epoch_by_macro_f1():
    scores = [(0.9, 0.2), (0.8, 0.5), (0.7, 0.5)]
    rows = (row(n, accuracy) | {"dev_macro_f1": f1} for n, (accuracy, f1) in enumerate(scores, 1))
    assert History(tuple(rows), "macro-f1").best_epoch == 2


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.45, 1.3), (0.40, 1.2), (0.42, 1.4)], 2),
        ([(0.40, 1.2), (0.45, 1.2)], 2),
        ([(0.45, math.nan), (0.40, 9.0)], 2),
    ],
)
def test_best_epoch_by_loss(scores, best):
    rows = (row(epoch, *score) for epoch, score in enumerate(scores, start=1))
    assert History(tuple(rows), "loss").best_epoch == best


def test_a_history_has_the_score_by_which_its_epoch_was_chosen(tmp_path):
    write_history(tmp_path / "history.csv", [row(1)])
    with pytest.raises(InputError, match="Missing: dev_macro_f1"):
        read_history(tmp_path / "history.csv", "macro-f1")


def test_rank_sorts_best_first():
    epochs = [(0.4, 1.0), (0.5, math.nan), (0.5, 2.0), (0.5, 1.0), (0.5, math.inf)]
    assert sorted(epochs, key=lambda one: rank(*one))[:2] == [(0.5, 1.0), (0.5, 2.0)]
    assert rank(0.5, math.nan) == rank(0.5, math.inf)


def test_order_of_columns_does_not_matter(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(
        "\ufeffepoch,note,dev_accuracy,loss,accuracy,dev_loss,seconds,learning_rate,"
        "examples_per_second\n1,first,0.5,1,0.25,1.25,2,0.001,100\n\n",
        encoding="utf-8",
    )
    history = read_history(path)
    assert history.best_epoch == 1
    assert history.column("dev_accuracy") == [0.5]
    assert "note" not in history.rows[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Missing: epoch, loss, .* Received: an empty file"),
        ("epoch,loss\n1,2\n", "Missing: accuracy, dev_loss, .* Received: epoch, loss"),
        (HEADER, "only the header"),
        (HEADER + "1,1,1,1,1,1,1,1\n2,1,1,much,1,1,1,1\n", "line 3: .*dev_loss.* 'much'"),
        (HEADER + "1,1,1,1,1,1,1,\n", "line 2: .*examples_per_second.* ''"),
        (HEADER + "1,1,1\n", "line 2: .*column dev_loss.*cut short"),
        (HEADER + "0,1,1,1,1,1,1,1\n", "line 2: expected a number above 0 in the column epoch"),
        (HEADER + "nan,1,1,1,1,1,1,1\n", "a number above 0 in the column epoch"),
    ],
)
def test_unsound_files(tmp_path, content, message):
    path = tmp_path / "history.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_history(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "history.csv"
    with pytest.raises(InputError, match="No such file"):
        read_history(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="can't decode"):
        read_history(path)


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    write_history(path, [row()])
    before = path.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_history(path, [row(1), row(2)])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["history.csv"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "Received none"),
        ([{"epoch": 1}], "Expected the columns"),
        ([row(), row(embedding_learning_rate=0.1)], "Expected the columns"),
        ([row(typo=1)], "Expected the columns"),
    ],
)
def test_rows_of_other_columns_are_not_written(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        write_history(tmp_path / "history.csv", rows)
    assert not os.listdir(tmp_path)
