"""Puts what the runs of a sweep read into one folder, which other machines get a copy of."""

import math
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sst_keras.datasets.sst5 import source
from sst_keras.errors import UsageError
from sst_keras.experiments.sweep import Experiment
from sst_keras.pretrained import LanguageModelRun
from sst_keras.pseudo_labels import PseudoLabels
from sst_keras.runs import RUNS_DIR, is_run, open_run
from sst_keras.settings import DataConfig, Pipeline
from sst_keras.vectors import archives, sets

_DATA, _PREPARED, _GENSIM = "data", "tensorflow_datasets", "gensim-data"
# Where the jobs find what was shipped. They run in the folder.
ENVIRONMENT = {"SST_KERAS_DATA": _DATA, "TFDS_DATA_DIR": _PREPARED, "GENSIM_DATA_DIR": _GENSIM}
_NOT_SHIPPED = (".gitignore", ".rayignore")  # Ray would leave out what they name
_NOT_FILES = ("auto", "none", "sample")


def settle(
    jobs: Iterable[tuple[Experiment, int]], data_dir: str | Path | None = None
) -> list[tuple[Experiment, int]]:
    """Returns the jobs with what is found here for `auto`.

    What another machine finds could be something else.
    """
    known: dict[str, Pipeline] = {}
    settled = []
    for experiment, seed in jobs:
        key = repr(experiment.pipeline)
        if key not in known:
            known[key] = _settled(experiment.pipeline, data_dir)
        settled.append((replace(experiment, pipeline=known[key]), seed))
    return settled


def _settled(pipeline: Pipeline, data_dir: str | Path | None) -> Pipeline:
    data, embedding = pipeline.data, pipeline.embedding
    if data.dataset != "auto" and embedding.vectors != ("auto",):
        return pipeline
    from sst_keras.corpora import load_corpus
    from sst_keras.lexicon import vector_names

    corpus = load_corpus(data, data_dir)
    if embedding.vectors == ("auto",):
        embedding = replace(embedding, vectors=vector_names(pipeline, corpus, data_dir))
    dataset = corpus.name if data.dataset == "auto" else data.dataset
    return replace(pipeline, data=replace(data, dataset=dataset), embedding=embedding)


def ship(
    jobs: Iterable[tuple[Experiment, int]],
    folder: Path,
    data_dir: str | Path | None = None,
    largest: float = math.inf,
) -> int:
    """Copies the data sets, vectors and earlier runs of settled jobs, and returns the bytes.

    SST-5 is downloaded and prepared first if it is nowhere here.

    They are found below the folder by the names that the settings have for them, by a process that
    runs in it with the variables of `ENVIRONMENT`.

    Raises:
        InputError: If one is missing or damaged.
        UsageError: If a path does not lie below the present folder, or all have more bytes than
            `largest`; then nothing is copied.
    """
    copies = {to: path for path, to in _copies(jobs, folder, data_dir)}
    size = sum(map(_size, copies.values()))
    if size > largest:
        raise UsageError(
            f"expected at most {largest / 1e6:,.0f} MB of data, vectors and earlier runs, of which "
            f"each node gets a copy. Received {size / 1e6:,.0f} MB. Cut vectors with `sst-keras "
            f"vectors subset`, or use --shared-files.",
            setting="engine",
        )
    (folder / _DATA).mkdir(parents=True)
    for to, path in copies.items():
        _copy(path, to)
    return size


# What is copied, and where to.
_Copies = Iterator[tuple[Path, Path]]


def _copies(
    jobs: Iterable[tuple[Experiment, int]], folder: Path, data_dir: str | Path | None
) -> _Copies:
    pipelines = {repr(item.pipeline): item.pipeline for item, _ in jobs}.values()
    for name in {pipeline.data.dataset for pipeline in pipelines} - {"sample"}:
        if name == "sst5":
            yield from _sst5(folder, data_dir)
        else:
            yield Path(name), folder / _below_here(name, "data.dataset")
    for name in vectors_of(pipelines):
        yield from _vectors(name, folder, data_dir)
    for name in {pipeline.model.init for pipeline in pipelines} - {""}:
        found = open_run(name) if is_run(name) else LanguageModelRun.find(name)
        yield from _run(found.path, name, folder, "model.init")
    for name in {pipeline.data.pseudo_labels for pipeline in pipelines} - {""}:
        yield from _run(PseudoLabels.find(name).path, name, folder, "data.pseudo_labels")


def vectors_of(pipelines: Iterable[Pipeline]) -> set[str]:
    """Returns the names of the sets that pipelines read. A run that they start from has its own."""
    needing = [pipeline for pipeline in pipelines if not is_run(pipeline.model.init or "/")]
    return {
        name
        for pipeline in needing
        for name in pipeline.embedding.vectors
        if name not in _NOT_FILES
    }


def _sst5(folder: Path, data_dir: str | Path | None) -> _Copies:
    found = source.locate(data_dir)
    if found is not None:
        for file in source.files_at(found):
            yield file, folder / _DATA / "sst" / file.name
        return
    if not source.is_available(data_dir):
        raise source.unavailable(data_dir)
    if not source.is_prepared():
        from sst_keras.corpora import load_corpus

        load_corpus(DataConfig(dataset="sst5"), data_dir)  # which downloads and prepares it
    yield source.tfds_dir() / "sst5", folder / _PREPARED / "sst5"


def _vectors(name: str, folder: Path, data_dir: str | Path | None) -> _Copies:
    path, place = sets.find_vectors(name, data_dir), Path(name)
    if archives.is_file(place):
        to = folder / _below_here(name, "embedding.vectors")
    elif path.parent.name == path.name.removesuffix(".gz"):  # as gensim's downloader lays it out
        to = folder / _GENSIM / path.parent.name / path.name
    else:
        to = folder / _DATA / "vectors" / path.name
    if member := archives.split_member(path):
        path, name_in_zip = member
        if not archives.is_file(place):
            to = folder / _DATA / "vectors" / path.name
        else:
            to = to.parents[len(Path(name_in_zip).parts) - 1]
    yield path, to
    for file in (*path.parent.glob(f"{path.name}.*.np[yz]"), sets.facts_file(path)):
        if file.is_file():
            yield file, to.with_name(file.name)


def _run(path: Path, name: str, folder: Path, setting: str) -> _Copies:
    """Yields a run's own files; not its plots, exports or what else is in folders there."""
    to = folder / (_below_here(name, setting) if Path(name).exists() else RUNS_DIR / name)
    for file in path.iterdir():
        if file.is_file():
            yield file, to / file.name


def _below_here(name: str, setting: str) -> Path:
    """Returns a path as it is if it is relative and lies below the present folder."""
    path = Path(os.path.normpath(name))
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(
            f"expected a path below the present folder, which other machines get a copy of. "
            f"Received: {name!r}. Start the command where the file is, or use --shared-files if "
            f"all machines see the same files.",
            setting=setting,
        )
    return path


def _size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.stat().st_size
    found = os.walk(path, followlinks=True)
    return sum(Path(place, name).stat().st_size for place, _, names in found for name in names)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        ignored = shutil.ignore_patterns(*_NOT_SHIPPED)
        shutil.copytree(path, to, dirs_exist_ok=True, ignore=ignored)
    else:
        shutil.copyfile(path, to)
