from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import sst_keras
from sst_keras.errors import InputError, UsageError

SETTINGS = ["embedding.vectors=none", "embedding.dim=4", "model.units=4", "training.epochs=1"]


@pytest.fixture
def frame():
    words = ["awful", "fair", "superb"]
    rows = [(f"{words[n % 3]} number {n}", n % 3 + 3) for n in range(60)]
    return pd.DataFrame(rows, columns=["text", "stars"])


@pytest.mark.slow
def test_two_columns_of_a_frame_make_a_run(frame, tmp_path):
    result = sst_keras.train(
        frame["text"], frame["stars"], settings=SETTINGS, run_dir=tmp_path / "run"
    )
    model = sst_keras.load(result.run.path)
    assert model.class_names == ("3", "4", "5") and model("superb").class_name in "345"
    assert result.run.environment()["examples"] == {"train": 48, "dev": 6, "test": 6}
    with pytest.raises(UsageError, match="holds a finished run"):
        sst_keras.train(frame["text"], frame["stars"], run_dir=tmp_path / "run")
    words = np.array(["bad", "good"])[frame["stars"].to_numpy() % 2]
    again = sst_keras.train(list(frame["text"]), words, "mlp", SETTINGS, tmp_path / "other")
    assert again.pipeline.data.labels == ("bad", "good")


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b"], [1], r"labels: expected a label for each text.*2 of texts, 1 of labels"),
        (["a", None], [1, 2], r"texts: expected strings. Received at place 1, from 0: None"),
        ("abc", [1, 2, 3], r"Received: 1 of texts"),
        (["a", "b"], [1, Decimal("2")], r"labels: expected words or numbers.*place 1.*Decimal"),
        (["a", "b"], [True, False], r"labels: expected words or numbers.*place 0.*True"),
        (["a", "b"], ["x", pd.NA], r"labels: expected words or numbers.*<NA>"),
    ],
)
def test_what_is_no_text_or_label(texts, labels, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        sst_keras.train(texts, labels, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_texts_that_cannot_be_trained_on_leave_nothing(frame, tmp_path):
    run = tmp_path / "run"
    for count in (2, 3):  # the second time, too
        with pytest.raises(InputError, match=r"texts-\w+\.jsonl"):
            sst_keras.train(frame["text"][:count], frame["stars"][:count], run_dir=run)
        assert not run.exists()
    with pytest.raises(UsageError, match=r"data\.dataset: expected other settings"):
        sst_keras.train(["a"], [1], settings=["data.dataset=sample"], run_dir=run)


@pytest.mark.slow
def test_an_unfinished_run_keeps_its_texts(frame, tmp_path, monkeypatch):
    def interrupt(*given):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    arguments = {"settings": [*SETTINGS[:3], "training.epochs=2"], "run_dir": run}
    with monkeypatch.context() as patch:
        patch.setattr("sst_keras.callbacks.PartEnds.on_epoch_begin", _at_part(1, interrupt))
        with pytest.raises(KeyboardInterrupt):
            sst_keras.train(frame["text"], frame["stars"], **arguments)
    (kept,) = run.glob("texts-*.jsonl")
    with pytest.raises(UsageError, match="unfinished run with other settings"):
        sst_keras.train(frame["text"][1:], frame["stars"][1:], **arguments)
    assert list(run.glob("texts-*.jsonl")) == [kept]
    assert len(sst_keras.train(frame["text"], frame["stars"], **arguments).history.rows) == 2


def _at_part(number, act):
    return lambda callback, epoch, logs=None: act() if epoch == number else None
