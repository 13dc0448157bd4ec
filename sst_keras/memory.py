"""Texts and labels in memory → a run, whose data set is a file of them."""

import contextlib
import hashlib
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
    settings = list(settings)
    if any(each.partition("=")[0].strip() == "data.dataset" for each in settings):
        raise UsageError("expected other settings: the texts are given.", setting="data.dataset")
    content = _lines(texts, labels)
    loaded = load_pipeline(pipeline, settings)
    run = new_run(loaded, run_dir)
    # Other texts have another name, so that an unfinished run keeps its own.
    digest = hashlib.sha256(content.encode()).hexdigest()
    file = run.path.resolve() / f"texts-{digest[:8]}.jsonl"
    is_new = not file.exists()
    files.write_text(file, content)
    try:
        loaded = replace(loaded, data=replace(loaded.data, dataset=str(file)))
        return train(loaded, run, data_dir)
    finally:
        settings_file = run.pipeline_file
        began = settings_file.is_file() and file.name in settings_file.read_text("utf-8")
        if is_new and not began:
            file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files are there
                run.path.rmdir()


def _lines(texts: Iterable[str], labels: Iterable[Any]) -> str:
    """Returns texts and labels as lines of JSON."""
    found, classes = ([each] if isinstance(each, str) else list(each) for each in (texts, labels))
    if len(found) != len(classes):
        raise UsageError(
            f"expected a label for each text. Received: {len(found):,} of texts, {len(classes):,} "
            f"of labels.",
            setting="labels",
        )
    # NumPy's numbers become Python's.
    classes = [each.item() if hasattr(each, "item") else each for each in classes]
    for name, values, kinds in (("texts", found, str), ("labels", classes, (str, int, float))):
        for place, value in enumerate(values):
            if not isinstance(value, kinds) or isinstance(value, bool):
                expected = "strings" if name == "texts" else "words or numbers"
                raise UsageError(
                    f"expected {expected}. Received at place {place:,}, from 0: {value!r:.60}",
                    setting=name,
                )
    rows = ({"text": text, "label": label} for text, label in zip(found, classes, strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows)
