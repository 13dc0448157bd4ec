"""The sections of a report on what a source published about the rows of a sweep."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import figures, wording
from sst_keras.experiments.report.comparison import Runs, summarize
from sst_keras.experiments.report.page import Part, Picture


def nearness(runs: Runs) -> str:
    """Returns how far our rows are from the published ones."""
    rows = {row: row for row in runs.run_rows if row in runs.published}
    if not (rows and runs.sweep.published):
        return ""
    average = f"Averaged over {len(rows)} rows, our means differ from the published accuracies by"
    return f"{average} {_distance(runs, rows)}."


def variants_nearness(runs: Runs, rows: Mapping[str, str]) -> str:
    """Returns how far a variant's rows, experiment → row, and the rows are from the published ones.

    Empty with fewer than two published rows.
    """
    rows = {one: row for one, row in rows.items() if row in runs.published and runs.finished[row]}
    if len(rows) < 2 or not runs.sweep.published:
        return ""
    alone = _distance(runs, {row: row for row in rows.values()})
    return (
        f"Averaged over these {len(rows)} rows, the variant's means differ from the published "
        f"accuracies by {_distance(runs, rows)}. Those of the rows differ by {alone}."
    )


def _distance(runs: Runs, rows: Mapping[str, str]) -> str:
    """Returns the mean distance of experiments from the published accuracies of their rows."""
    texts = {}
    for weights in Weights:
        gaps = np.array(
            [runs.scores(name, weights).mean() - runs.published[row] for name, row in rows.items()]
        )
        texts[weights] = f"{np.abs(gaps).mean():.1f} points (ours are higher in {sum(gaps > 0)})"
    return wording.by_weights(texts)


def best_row(runs: Runs) -> Iterator[Part]:
    """Yields the row with the highest published accuracy, compared with ours."""
    if not (runs.sweep.published and runs.published):
        return
    row, score = max(runs.published.items(), key=lambda item: item[1])
    yield "## The highest published accuracy"
    yield (
        f"{wording.text(row)} has the highest published accuracy, {wording.published(score)}. It "
        f"is the highest of {len(runs.published)} single runs, chosen by their test scores. On "
        f"average, repeating the best of many runs gives a lower score."
    )
    if not runs.finished[row]:
        yield "We have no runs of this row."
        return
    size = int(np.sum(runs.of([row])[0].last.confusion_matrix))
    error = math.sqrt(score * (100 - score) / size)
    table, summary = [], {"row": row, "published": score, "error": error}
    for weights, mean in runs.means(row).items():
        scores, gap = runs.scores(row, weights), score - mean.mean
        low, high = mean.expected_range or (None, None)
        summary[weights.key] = {"low": low, "high": high, "gap": gap}
        cells = {"weights": weights.value, "ours": wording.mean(mean)}
        cells["our single runs"] = f"{scores.min():.1f} to {scores.max():.1f}"
        cells["95 % of further runs"] = "–" if low is None else f"{low:.2f} to {high:.2f}"
        inside = "–" if low is None else "inside" if low <= score <= high else "outside"
        table.append(cells | {"published": inside, "published − ours": wording.points(gap)})
    yield {"published_best": summary}
    yield wording.caption(runs, [row])
    yield wording.table(table)
    yield (
        f"The range of further runs is expected to contain 95 % of them. The sampling error of one "
        f"accuracy on {size:,} sentences, √(p (1 − p) / {size:,}), is {error:.2f} points here. The "
        f"choice of test sentences can explain differences of up to 1.96 sampling errors "
        f"({1.96 * error:.1f} points). Both systems are scored on the same sentences, so they "
        f"share part of this error."
    )


def constant_classes(runs: Runs, name: str) -> list[str]:
    """Returns the class of each run that predicts one class for 99 % of the test texts."""
    found = []
    for record in runs.of([name]) if runs.sweep.published else ():
        predicted = np.sum(record.last.confusion_matrix, axis=0)  # int[predicted classes]
        if predicted.max() >= 0.99 * predicted.sum():
            found.append(wording.text(record.class_names[predicted.argmax()]))
    return sorted(found)


def single_class(runs: Runs) -> Iterator[Part]:
    """Yields which experiments predict a single class, and which published scores look so."""
    record = runs.of(runs.experiments)[0]
    sizes = np.sum(record.last.confusion_matrix, axis=1)  # int[true classes]
    names = map(wording.text, record.class_names)
    shares = dict(zip(names, 100 * sizes / sizes.sum(), strict=True))
    theirs = [
        f"{wording.text(row)} ({wording.published(score)}, {name})"
        for row, score in runs.published.items()
        for name, share in shares.items()
        if runs.sweep.published and abs(score - share) < 0.1
    ]
    ours = [
        f"{wording.text(one)} in {count} of {len(runs.finished[one])} runs ({name})"
        for one in runs.experiments
        for name, count in Counter(constant_classes(runs, one)).items()
    ]
    if theirs or ours:
        yield "## † Models that predict one class"
        listed = ", ".join(f"{share:.1f} % are {name}" for name, share in shares.items())
        yield f"Of the test sentences, {listed}."
    if theirs:
        yield (
            f"These published accuracies equal the share of one class, which is the accuracy of a "
            f"model that predicts nothing else: {'; '.join(theirs)}."
        )
    if ours:
        yield (
            f"With the weights of the last epoch, these runs of ours predict one class for at "
            f"least 99 % of the test sentences, so they have learned nothing useful: "
            f"{'; '.join(ours)}. The tables mark them with †."
        )


def distances(scores: np.ndarray, published: Sequence[float]) -> dict[str, np.ndarray]:
    """Returns how far readings are from the published scores: float[readings, seeds] each.

    `distance` is the mean absolute difference; `course` is the same after both are centred on their
    means over the rows. `scores` is float[readings, rows, seeds].
    """
    gaps = scores - np.array(published)[:, None]
    centred = gaps - gaps.mean(axis=1, keepdims=True)
    return {"distance": np.abs(gaps).mean(axis=1), "course": np.abs(centred).mean(axis=1)}


def readings(runs: Runs) -> Iterator[Part]:
    """Yields the readings of what the source leaves open, compared: table and figure."""
    source = runs.sweep.published
    if not source or not source.reading_rows:
        return
    yield "## Which reading is nearest to the published scores"
    yield (
        "Some of the questions above are readings of what the source leaves open. Here they are "
        "compared over the same rows and seeds. The distance of a reading is the mean absolute "
        "difference between its single runs and the published scores, in points. The course is the "
        "same distance after both are centred on their means over the rows. It shows how alike "
        "they rise and fall at any level: other word vectors may shift the level."
    )
    wanted = {row: runs.published[row] for row in source.reading_rows if row in runs.published}
    readings = {f"the rows, {weights.value}": (list(wanted), weights) for weights in Weights}
    for variant in source.reading_variants:
        names = [f"{row}/{variant}" for row in wanted]
        readings[f"{variant}, last epoch"] = (names, Weights.LAST)
    used = list(itertools.chain(*(names for names, _ in readings.values())))
    if not used or not (seeds := runs.seeds(*used)):
        yield "No seed was run in all of them, so there is no comparison."
        return
    scores = np.array(
        [[runs.scores(name, w, seeds) for name in names] for names, w in readings.values()]
    )  # float[readings, rows, seeds]
    epochs = {row: runs.experiments[row].pipeline.training.epochs for row in wanted}
    places = [f"{row} ({n} epoch{'s' * (n > 1)})" for row, n in epochs.items()]
    heads = ["reading", *map(wording.text, places)]
    shown = [wording.text(runs.source), *map(wording.published, wanted.values())]
    off = distances(scores, list(wanted.values()))
    for what in off:
        heads += [what, f"{what} beyond the nearest"]
        shown += ["", ""]
    table, lines, summary = [shown], {runs.source: list(wanted.values())}, {}
    for number in off["distance"].mean(axis=1).argsort(kind="stable"):
        name, means = list(readings)[number], scores[number].mean(axis=1).tolist()
        lines[name], summary[name] = means, {"means": dict(zip(wanted, means, strict=True))}
        shown = [wording.text(name), *(f"{mean:.1f}" for mean in means)]
        for what, values in off.items():
            score, nearest = summarize(values[number]), values[values.mean(axis=1).argmin()]
            farther = summarize(values[number] - nearest)
            shown += [wording.spread(score)]
            shown += [wording.difference(farther) if farther.mean else "nearest"]
            summary[name][what] = vars(score)
        table.append(shown)
    yield {"readings": summary}
    yield wording.caption(runs, used)
    yield wording.table([dict(zip(heads, cells, strict=True)) for cells in table])
    figure = figures.plot_pattern(places, lines, wording.title(runs, used))
    yield Picture("readings", f"Test accuracy in {', '.join(wanted)}: published, ours", figure)
    yield (
        f"All readings have the same {len(seeds)} seeds. Bold: farther than the nearest reading. "
        f"The others may be as near. The nearest need not be what the source did: each published "
        f"score is a single run, other readings were not tried, and the nearest is chosen by the "
        f"runs that it is judged by."
    )
