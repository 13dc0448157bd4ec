"""Several runs as one: a run whose probabilities are the mean of its members'."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files
from sst_keras.classifier import Classifier
from sst_keras.corpora import Corpus
from sst_keras.encoder import TokenEncoder
from sst_keras.environment import describe_environment
from sst_keras.errors import InputError, UsageError
from sst_keras.evaluation import Evaluation, calibrate, own_corpus
from sst_keras.layers import Lookup, MeanOfMembers
from sst_keras.models import ATTENTION, attention_of, summarized
from sst_keras.runs import RunDirectory, lasting_name, open_run
from sst_keras.runtime import keras
from sst_keras.settings import Pipeline
from sst_keras.vocabulary import UNKNOWN_ID, Vocabulary

log = logging.getLogger(__name__)

NAME = "ensemble"  # of its pipeline


@dataclass(frozen=True)
class EnsembleResult:
    """What an ensemble scored: `dev` and `test` → the evaluation."""

    run: RunDirectory
    scores: Mapping[str, Evaluation]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the contents of `metrics.json`."""
        scores = {split: evaluation.to_dict() for split, evaluation in self.scores.items()}
        return {"seconds": self.seconds} | scores


def find_members(names: Sequence[str | Path]) -> list[RunDirectory]:
    """Returns the runs of an ensemble.

    Raises:
        UsageError: If there are fewer than two, one is missing, not finished or given twice, or
            they do not fit: all must have the same data, classes and order of them, and read
            capitals alike.
    """
    members = [open_run(name) for name in names]
    if len(members) < 2:
        raise UsageError(f"expected at least two runs. Received: {len(members)}.", setting="runs")
    for member in members:
        if not member.is_finished:
            raise UsageError(f"{member.name} is not finished. Train it first.", setting="runs")
    paths = [member.path.resolve() for member in members]
    if twice := [str(path) for path in names if paths.count(open_run(path).path.resolve()) > 1]:
        raise UsageError(f"expected each run once. Received again: {twice[0]}.", setting="runs")
    first, *others = members
    for other in others:
        both = (first, other)
        pairs = {
            "classes": [member.class_names for member in both],
            "data": [member.environment().get("data_fingerprint") for member in both],
            "data.lowercase": [member.pipeline.data.lowercase for member in both],
            "data.ordinal": [member.pipeline.data.ordinal for member in both],
        }
        for what, (mine, given) in pairs.items():
            if mine != given:
                raise UsageError(
                    f"expected runs with the same {what}. {first.name} has {_shown(mine)}, "
                    f"{other.name} has {_shown(given)}.",
                    setting="runs",
                )
    return members


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)[:12]


def pipeline_of(members: Sequence[RunDirectory], dataset: str) -> Pipeline:
    """Returns the settings of an ensemble: its first member's, with a name of its own."""
    first = members[0].pipeline
    about = f"the mean of {len(members)} runs: {', '.join(member.name for member in members)}"
    data = replace(first.data, dataset=dataset)
    return replace(first, name=NAME, description=about, data=data)


def read_corpus(
    members: Sequence[RunDirectory],
    data_dir: str | Path | None = None,
    dataset: str | None = None,
) -> Corpus:
    """Reads the data set of an ensemble: that of the first member whose path of it exists.

    `dataset` is its current path, if it has moved.

    Raises:
        InputError: If it is not there, cannot be read, or has changed.
    """
    here = (member for member in members if Path(member.pipeline.data.dataset).exists())
    corpus, notes = own_corpus(next(here, members[0]), data_dir, dataset)
    if notes:
        raise InputError(f"{notes[0]} Name the one that they were trained on, or train them again.")
    return corpus


def ensemble(members: Sequence[RunDirectory], corpus: Corpus, run: RunDirectory) -> EnsembleResult:
    """Makes a run of several runs, and scores it on dev and test.

    The run holds its members' models: it works without them. It is exported, evaluated and used as
    any other run; it has no history.

    Args:
        members: The runs, as `find_members` checks them.
        corpus: Their data set, as `read_corpus` reads it.
        run: The folder of the new run.

    Raises:
        InputError: If a file of a member is damaged.
    """
    with run.locked():
        return _ensemble(members, corpus, run)


def _ensemble(members: Sequence[RunDirectory], corpus: Corpus, run: RunDirectory) -> EnsembleResult:
    started = time.perf_counter()
    pipeline = pipeline_of(members, corpus.name)
    vocabularies = [Vocabulary.load(member.vocabulary_file) for member in members]
    vocabulary = vocabularies[0]
    for other in vocabularies[1:]:
        vocabulary = vocabulary.extended(other.tokens)
    models = [Classifier.load(member).model for member in members]
    model = averaged(models, [_table(vocabulary, each) for each in vocabularies])
    run.begin()
    environment = members[0].environment()
    same = ("dataset", "data_fingerprint", "rows_fingerprint", "examples")
    about = {name: environment[name] for name in same if name in environment}
    about |= {"vocabulary_size": len(vocabulary), "members": [_about(each) for each in members]}
    files.write_json(run.environment_file, describe_environment() | about)
    files.write_text(run.pipeline_file, pipeline.to_toml())
    vocabulary.save(run.vocabulary_file)
    files.write_text(run.model_summary_file, summarized(model))
    keys = np.unique(np.concatenate([member.training_texts() for member in members]))
    files.write_array(run.training_texts_file, keys)
    encoder = TokenEncoder(vocabulary, pipeline.data.lowercase)
    together = Classifier(model, encoder, corpus.class_names, pipeline.data.batch_tokens)
    mean = next(layer for layer in model.layers if isinstance(layer, MeanOfMembers))
    scores, _ = calibrate(together, corpus, mean.temperature.assign)
    with files.whole_file(run.model_file) as partial:
        model.save(partial)
    result = EnsembleResult(run, scores, time.perf_counter() - started)
    run.finish(result.to_dict())
    return result


def _table(vocabulary: Vocabulary, own: Vocabulary) -> np.ndarray | None:
    """Returns int32[vocabulary], the ids of a member; None if they are the ensemble's."""
    if own == vocabulary:
        return None
    ids = {token: number for number, token in enumerate(own.tokens)}
    return np.array([ids.get(token, UNKNOWN_ID) for token in vocabulary.tokens], np.int32)


def _about(member: RunDirectory) -> dict[str, Any]:
    return {
        "name": lasting_name(member.path),
        "pipeline": member.pipeline.name,
        "seed": member.pipeline.training.seed,
        "fingerprint": files.sha256(member.model_file),
        **member.sources(),
    }


def averaged(
    models: Sequence[keras.Model], tables: Sequence[np.ndarray | None] = ()
) -> keras.Model:
    """Puts models together whose mean probability is the answer.

    The attention is the mean of those that have it.

    Args:
        models: `{token_ids: int32[batch, time]}` → `logits: float32[batch, classes]`.
        tables: For each model int32[vocabulary], its ids by those of the ensemble; None if they
            are the same.
    """
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    logits, attention = [], []
    for number, model in enumerate(models, start=1):
        ids, table = token_ids, tables[number - 1] if tables else None
        if table is not None:
            lookup = Lookup(len(table), name=f"words_{number}")
            ids = lookup(token_ids)
            lookup.set_weights([table])
        weights = attention_of(model)
        outputs = [model.output] if weights is None else [model.output, weights]
        member = keras.Model(model.input, outputs, name=f"member_{number}")
        answer = member({"token_ids": ids})
        logits.append(answer[0])
        attention += [] if weights is None else answer[1:]
    mean = MeanOfMembers(name=ATTENTION if attention else "mean")
    answer = mean(logits, attention=attention) if attention else mean(logits)
    return keras.Model({"token_ids": token_ids}, answer[0] if attention else answer, name=NAME)
