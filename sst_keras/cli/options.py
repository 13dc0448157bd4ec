"""Options and arguments that several commands share, and the data set that they name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from sst_keras.config import with_settings
from sst_keras.settings import READING, SETTINGS, Pipeline

if TYPE_CHECKING:
    from sst_keras.corpora import Corpus

dataset = click.option(
    "--dataset",
    metavar="sst5|sample|auto|PATH",
    help="SST-5, the bundled sample, auto (SST-5 if available, else the sample), or a path: CSV, "
    "TSV, JSON or trees, one file or a folder with a file or folder per split or class.",
)
data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    help="Folder with sst/ and vectors/.  [default: $SST_KERAS_DATA, then the user's cache]",
)
vectors = click.option(
    "--vectors",
    multiple=True,
    metavar="NAME|PATH|auto|none",
    help="Word vectors instead of the pipeline's; several are concatenated. auto: the set with the "
    "highest coverage.",
)
overrides = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Any setting, such as model.units=256; `sst-keras pipelines --settings` lists them.",
)
count = click.option(
    "-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many."
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print only a JSON object on standard output."
)
run = click.argument("run", metavar="RUN")
_METAVARS = {
    "labels": "A,B,...", "split_seed": "N", "delimiter": "CHARACTER", "header": "LINE|none",
    "encoding": "NAME", "text_column": "NAME", "label_column": "NAME", "group_column": "NAME",
}  # fmt: skip


def reading(*names: str) -> Callable:
    """Returns a decorator that adds the options of these settings of `data`; by default all."""

    def add(command: Callable) -> Callable:
        for name in reversed(names or READING):
            item = SETTINGS[f"data.{name}"]
            about = item.metadata["about"]
            default = f"  [default: {item.default}]" if item.default else ""
            choices = item.metadata["choices"]
            command = click.option(
                f"--{name.replace('_', '-')}",
                type=click.Choice(choices) if choices else item.type if item.type is int else str,
                metavar=_METAVARS.get(name),
                callback=_split if name == "labels" else None,
                help=f"{about[0].upper()}{about[1:]}.{default}",
            )(command)
        return command

    return add


class FiniteRange(click.FloatRange):
    """A range of numbers. Click's own has `nan` in it, and if it has no end, also `inf`."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the number that a text states."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def settings_of(config: type) -> Callable:
    """Returns a decorator that adds an option for each setting that a dataclass gives a meaning."""

    def add(command: Callable) -> Callable:
        for item in reversed([item for item in dataclasses.fields(config) if item.metadata]):
            about = item.metadata["about"]
            choices, low, high = (item.metadata[key] for key in ("choices", "low", "high"))
            kinds = {
                int: click.IntRange(low, high),
                float: FiniteRange(low, high),
                str: click.Choice(choices) if choices else str,
                bool: bool,
            }
            option = f"--{item.name.replace('_', '-')}"
            if item.type is bool:
                option = f"{option}/--no{option[1:]}"
            command = click.option(
                option,
                type=kinds[item.type],
                # To click, a default of None counts as given.
                **({"default": item.default} if item.default != "" else {"required": True}),
                metavar="NAME|PATH" if item.name == "vectors" else None,
                show_default=True,
                help=f"{about[0].upper()}{about[1:]}.",
            )(command)
        return command

    return add


def _split(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    return value and [label.strip() for label in value.split(",")]


def changed(pipeline: Pipeline, given: Mapping[str, object], section: str = "data") -> Pipeline:
    """Returns a pipeline with the settings of a section whose options were given."""
    for name, value in given.items():
        if value not in (None, ()):
            source = f"--{name.replace('_', '-')}"
            pipeline = with_settings(pipeline, {f"{section}.{name}": value}, source)
    return pipeline


def read_corpus(dataset: str | None, data_dir: str | None, **given: object) -> Corpus:
    """Reads the data set that a command's options name, SST-5 by default."""
    from sst_keras.corpora import load_corpus

    return load_corpus(changed(Pipeline(), {"dataset": dataset, **given}).data, data_dir)
