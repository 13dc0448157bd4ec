"""A report in the making: its text, its figures, and what all its sections ask of the runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from sst_keras.experiments.report import comparison, wording
from sst_keras.experiments.report.comparison import Key, Runs, Summary

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Sweep


@dataclass
class Document:
    """What a sweep's runs say, section by section.

    Attributes:
        sweep: The sweep.
        runs: Its runs.
        parts: The paragraphs so far, Markdown. A figure's address is `FIGURES/<name>.png`.
        figures: A figure's name → the figure.
        summary: The figures behind the text, as JSON has them.
    """

    sweep: Sweep
    runs: Runs
    parts: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sorts out what several sections need."""
        self.experiments = {comparison.key_of(one): one for one in self.sweep.experiments}
        self.rows = [key for key in self.experiments if key[1] is None]
        self.run_rows = [key for key in self.rows if self.runs.of(key)]
        settings = [comparison.settings_of(self.experiments[key].pipeline) for key in self.rows]
        self.varied = {
            name for one in settings[1:] for name in comparison.differing(settings[0], one)
        }
        self.has_published = any(self.experiments[key].published is not None for key in self.rows)

    @property
    def markdown(self) -> str:
        """The whole text."""
        return "\n\n".join(self.parts) + "\n"

    def add(self, *parts: str) -> None:
        """Adds paragraphs."""
        self.parts += [part for part in parts if part]

    def figure(self, name: str, what: str, figure: Figure) -> None:
        """Adds a figure in its place."""
        self.figures[name] = figure
        self.add(f"![{wording.text(what)}](FIGURES/{name}.png)")

    def records_of(self, keys: Iterable[Key]) -> list[dict]:
        """Returns the records behind several experiments."""
        return [record for key in keys for record in self.runs.of(key)]

    def title(self, keys: Iterable[Key], split: str = "test") -> str:
        """Returns what a figure is of, for its own title."""
        records = self.records_of(keys)
        names = list(dict.fromkeys(record["dataset"] for record in records))
        return f"{', '.join(names)}, {split}; word vectors: {', '.join(wording.vectors(records))}"

    def caption(self, keys: Iterable[Key]) -> str:
        """Returns the line that says which vectors a table or figure stands on."""
        groups: dict[str, list[str]] = {}
        keys = [key for key in dict.fromkeys(keys) if self.runs.of(key)]
        for key in keys:
            name = ", or ".join(wording.vectors(self.runs.of(key)))
            groups.setdefault(name, []).append(wording.name(key))
        if len(groups) < 2:
            return f"*Word vectors: {', '.join(groups)}.*"
        most = max(groups, key=lambda name: len(groups[name]))
        others = [
            f"{name} ({', '.join(dict.fromkeys(tags))})"
            for name, tags in groups.items()
            if name != most
        ]
        return f"*Word vectors: {most}; {'; '.join(others)}.*"

    def mean(self, key: Key, figure: str, seeds: Iterable[int] | None = None) -> Summary | None:
        """Returns an experiment's mean of a figure; None if it has no runs."""
        values = self.runs.figures(key, figure)
        chosen = [values[seed] for seed in (values if seeds is None else seeds)]
        return comparison.summarize(chosen) if chosen else None

    def constant(self, key: Key) -> dict[int, int]:
        """Returns class → how many of an experiment's runs say nothing else."""
        counts: dict[int, int] = {}
        for record in self.runs.of(key):
            told = comparison.constant_class(record)
            if told is not None:
                counts[told] = counts.get(told, 0) + 1
        return counts

    def mark(self, key: Key) -> str:
        """Returns the mark of a row that says one class in some run."""
        return " †" if self.constant(key) else ""

    def constants(self, keys: Iterable[Key]) -> str:
        """Says which rows tell one class alone, and how large the classes are."""
        notes = []
        for key in keys:
            records = self.runs.of(key)
            for told, count in sorted(self.constant(key).items()):
                name = wording.text(records[0]["class_names"][told])
                notes.append(f"{wording.name(key)} in {count} of {len(records)} runs ({name})")
        published = []
        shares = self.class_shares()
        for key in keys:
            figure = self.experiments[key].published
            if key[1] is None and figure is not None:
                near = [name for name, share in shares.items() if abs(figure - share) < 0.1]
                published += [
                    f"{wording.text(key[0])} ({wording.published(figure)}, {name})" for name in near
                ]
        if not notes and not published:
            return ""
        parts = []
        if notes:
            parts.append(
                f"† These say one class of at least 99 % of the test sentences, with the weights "
                f"of the {wording.LAST}, and so learned nothing that helps: {'; '.join(notes)}."
            )
        if published:
            parts.append(
                f"The report's figure is the share of one class, as of a model that says nothing "
                f"else: {'; '.join(published)}."
            )
        parts.append(
            "Of the test sentences "
            + ", ".join(f"{share:.1f} % are {name}" for name, share in shares.items())
            + "."
        )
        return " ".join(parts)

    def class_shares(self) -> dict[str, float]:
        """Returns class → its share of the test sentences, in percent."""
        record = self.runs.records()[0]
        counts = np.sum(record["confusion_matrix"], axis=1)  # int[true classes]
        names = map(wording.text, record["class_names"])
        return dict(zip(names, (100 * counts / counts.sum()).tolist(), strict=True))

    def epochs(self, key: Key) -> int:
        """Returns how many epochs an experiment is trained."""
        return self.experiments[key].pipeline.training.epochs
