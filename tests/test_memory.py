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
        (
            ["a", "b"],
            [1],
            r"labels: expected a label for each text.*2 texts and 1 labels",
        ),
        (["a", None], [1, 2], r"texts: expected strings. Received: None, at place 1"),
        ("abc", [1, 2, 3], r"Received: 1 texts"),
    ],
)
def test_what_is_no_text_or_label(texts, labels, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        sst_keras.train(texts, labels, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_are_no_class_are_named(frame, tmp_path):
    labels = [*frame["stars"][:-1], {"stars": 5}]
    with pytest.raises(InputError, match=r"texts\.jsonl.*60"):
        sst_keras.train(frame["text"], labels, settings=SETTINGS, run_dir=tmp_path / "run")
