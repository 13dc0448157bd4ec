"""Texts and labels in memory → a run, whose data set is a file of them."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sst_keras import files
from sst_keras.config import load_pipeline
from sst_keras.errors import UsageError
from sst_keras.runs import new_run
from sst_keras.training import TrainingResult, train


def train_in_memory(
    texts: Iterable[str],
    labels: Iterable[str | int | float],
    pipeline: str | Path,
    settings: Iterable[str],
    run_dir: str | Path | None,
    data_dir: str | Path | None,
) -> TrainingResult:
    """Does what `sst_keras.train` says."""
    lines = _lines(texts, labels)
    loaded = load_pipeline(pipeline, settings)
    run = new_run(loaded, run_dir)
    file = run.path.resolve() / "texts.jsonl"
    files.write_text(file, "".join(lines))
    return train(replace(loaded, data=replace(loaded.data, dataset=str(file))), run, data_dir)


def _lines(texts: Iterable[str], labels: Iterable[Any]) -> list[str]:
    """Returns texts and labels as lines of JSON."""
    found, classes = ([each] if isinstance(each, str) else list(each) for each in (texts, labels))
    if len(found) != len(classes):
        raise UsageError(
            f"expected a label for each text. Received: {len(found):,} texts and {len(classes):,} "
            f"labels.",
            setting="labels",
        )
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise UsageError(
                f"expected strings. Received: {text!r:.60}, at place {number:,}, counted from 0.",
                setting="texts",
            )
    # NumPy's numbers become Python's.
    plain = (each.item() if hasattr(each, "item") else each for each in classes)
    pairs = zip(found, plain, strict=True)
    return [
        json.dumps({"text": text, "label": label}, default=repr) + "\n" for text, label in pairs
    ]
