"""How far attention and the effect of leaving a word out agree, on the test sentences of SST-5.

    SST_KERAS_DATA=... python benchmarks/agreement.py small --plot docs/explaining/agreement.png

For each sentence of two tokens or more, Kendall's rank correlation (tau-b) of the attention of its
tokens with the size of their effects, as Jain and Wallace have it ("Attention is not Explanation",
NAACL 2019). 1: the same order; 0: no relation; -1: the opposite order.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import records
from scipy.stats import kendalltau

NAME = "agreement"


def agreement(attention: np.ndarray, effects: np.ndarray) -> tuple[float, bool]:
    """Returns tau-b, 0 if one side is constant, and whether both have the same first token."""
    sizes = np.abs(effects)
    found = kendalltau(attention, sizes).statistic
    return float(np.nan_to_num(found)), bool(attention.argmax() == sizes.argmax())


@click.command()
@click.argument("model", default="small")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw a histogram.")
def main(model: str, plot: Path | None) -> None:
    """Compare both for a RUN or EXPORT with attention."""
    import sst_keras
    from sst_keras.corpora import load_corpus
    from sst_keras.serving.explanation import explain
    from sst_keras.settings import DataConfig

    texts = load_corpus(DataConfig(dataset="sst5")).test.texts
    predictor = sst_keras.load(model)
    if not predictor.has_attention:
        raise click.UsageError(f"{model} has no attention.")
    found = []
    with click.progressbar(range(len(texts)), label="Explaining") as rows:
        for row in rows:
            (one,) = explain(predictor, [" ".join(texts.row(row))])
            if len(one.tokens) > 1:
                attention = np.array(one.prediction.attention)
                found.append(agreement(attention, np.array(one.effects)))
    taus, tops = map(np.array, zip(*found, strict=True))
    record = records.append(
        NAME,
        ("keras", "tensorflow", "scipy", "sst-keras"),
        model=Path(model).name,
        sentences=len(taus),
        mean=float(taus.mean()),
        sd=float(taus.std(ddof=1)),
        quartiles=np.quantile(taus, [0.25, 0.5, 0.75]).tolist(),
        below_zero=float((taus < 0).mean()),
        same_first=float(tops.mean()),
    )
    if plot:
        draw(taus, plot)
    click.echo(
        f"{record['sentences']:,} sentences: tau {record['mean']:.2f} ± {record['sd']:.2f}; the "
        f"same token is first in {record['same_first']:.0%}."
    )


def draw(taus: np.ndarray, path: Path) -> None:
    """Draws how many sentences have which correlation."""
    from sst_keras.plotting import BLUE, GREY, new_figure, save_figures, style_axis

    figure = new_figure("", "Attention and the effect of leaving words out", 6.4, 3.6)
    axis = figure.subplots()
    counts, *_ = axis.hist(taus, np.linspace(-1, 1, 41), color=BLUE)
    axis.set_ylim(0, 1.15 * counts.max())  # room for the mean
    axis.axvline(taus.mean(), color=GREY, linestyle="--")
    axis.annotate(f"mean {taus.mean():.2f}", (taus.mean(), 0.95), (6, 0),
                  xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    axis.set_xlabel("Kendall's rank correlation in a sentence")
    axis.set_ylabel("Test sentences of SST-5")
    style_axis(axis)
    save_figures({path.stem: figure}, path.parent, dpi=150)


if __name__ == "__main__":
    main()
