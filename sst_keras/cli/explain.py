"""`sst-keras explain`: why texts get their classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.cli.predict import (
    TextsCommand,
    find_model,
    model_and_texts,
    print_predictions,
)
from sst_keras.cli.terminal import say
from sst_keras.controls import visible
from sst_keras.errors import UsageError
from sst_keras.files import to_json, write_text

if TYPE_CHECKING:
    from sst_keras.serving.explanation import Explanation

_ENDINGS = (".html", ".png", ".json")
_SHOWN = 5  # words of each direction
_TREE = re.compile(r"\s*\(\s*\d\s*\(\s*\d\s")  # with a node in it


@click.command(cls=TextsCommand)
@click.argument("arguments", metavar="[RUN|EXPORT] TEXT...", nargs=-1, required=True)
@click.option("--out", metavar="FILE", help="Write a page (.html), a picture (.png) or .json.")
@options.as_json
def explain(arguments: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Show what each word of a text does for its prediction.

    The effect of a word is how much it raises the probability of the predicted class: that
    probability, less the one if the word is left out. Attention, if the model has it, is where the
    model looked. It does not say why the model decided so.

    A picture shows one text; a page shows any number.

    If TEXT is a sentiment tree, such as (3 (2 It) (4 works)), each of its nodes is predicted and
    shown beside its label, on the screen, as a picture or JSON.
    """
    model, texts = model_and_texts(arguments)
    if not texts:
        raise UsageError(f"expected a text after the model {model}.", setting="TEXT")
    if out and not out.endswith(_ENDINGS):
        message = f"expected a file ending in {', '.join(_ENDINGS)}. Received: {out!r}"
        raise UsageError(message, setting="out")
    if out and out.endswith(".png") and len(texts) > 1:
        raise UsageError(
            f"expected one text for a picture. Received: {len(texts)}. A page, .html, has any "
            f"number.",
            setting="out",
        )
    lines = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    if blank := [number for number, text in enumerate(lines, start=1) if not text.strip()]:
        raise UsageError(f"expected texts. Text {blank[0]} is blank.")

    from sst_keras.serving.explanation import explain as explain_texts
    from sst_keras.serving.prediction import Predictor

    if any(map(_TREE.match, lines)):
        _explain_tree(model, lines, out, as_json)
        return
    explanations = explain_texts(Predictor.load(find_model(Path(model))), lines)
    if out:
        _write(explanations, Path(out))
    if as_json:
        click.echo(to_json({"explanations": [each.to_dict() for each in explanations]}))
    elif out:
        say(out)
    else:
        for each in explanations:
            _print(each)


def _explain_tree(model: str, lines: Sequence[str], out: str | None, as_json: bool) -> None:
    from sst_keras.serving.explanation import explain_tree
    from sst_keras.serving.prediction import Predictor
    from sst_keras.treebank import parse_tree

    if len(lines) > 1 or (out and out.endswith(".html")):
        raise UsageError("expected a tree alone, and --out with .png or .json.")
    tree = parse_tree(lines[0])
    predictor = Predictor.load(find_model(Path(model)))
    found = explain_tree(predictor, tree)
    if out and out.endswith(".png"):
        from sst_keras.plotting import plot_tree, save_figures

        predicted = [prediction.label for prediction in found.predictions]
        figure = plot_tree(tree, predicted, predictor.class_names)
        save_figures({Path(out).stem: figure}, Path(out).parent.resolve(), dpi=150)
    elif out:
        write_text(Path(out), to_json({"format": 1} | found.to_dict(), indent=2) + "\n")
    if as_json:
        click.echo(to_json(found.to_dict()))
    elif out:
        say(out)
    else:
        names = predictor.class_names
        width = max(map(len, names))
        for span, label, prediction in zip(
            found.spans, found.labels, found.predictions, strict=True
        ):
            is_right = label == prediction.label
            said = names[label] if is_right else f"{names[label]} ≠ {prediction.class_name}"
            mark = "✓" if is_right else "✗"
            click.echo(f"{mark} {visible(said):<{2 * width + 3}} {visible(span)}")
        click.echo(f"{found.right} of {len(found.spans)} nodes are predicted as labelled.")


def _write(explanations: Sequence[Explanation], out: Path) -> None:
    from sst_keras.serving.explanation import to_html

    if out.suffix == ".html":
        write_text(out, to_html(explanations, "What each word does"))
    elif out.suffix == ".json":
        found = {"format": 1, "explanations": [each.to_dict() for each in explanations]}
        write_text(out, to_json(found, indent=2) + "\n")
    else:
        from sst_keras.plotting import plot_explanation, save_figures

        (one,) = explanations
        found = one.prediction
        share = found.probabilities[found.class_name]
        title = f"{found.class_name} ({share:.0%})"
        figure = plot_explanation(one.tokens, one.effects, found.attention or (), title)
        save_figures({out.stem: figure}, out.parent.resolve(), dpi=150)


def _print(explanation: Explanation) -> None:
    """Prints a prediction, its words in colours, and those with the largest effects."""
    print_predictions([explanation.prediction])
    effects = explanation.effects
    strongest = max(map(abs, effects)) or 1.0
    shaded = []
    for token, effect in zip(explanation.tokens, effects, strict=True):
        is_strong = abs(effect) >= 0.2 * strongest
        colour = ("blue" if effect > 0 else "red") if is_strong else None
        shaded.append(click.style(visible(token), fg=colour, bold=abs(effect) >= 0.6 * strongest))
    click.echo(f"  words: {' '.join(shaded)}")
    pairs = sorted(zip(effects, explanation.tokens, strict=True))
    for what, found in (("for it", pairs[::-1]), ("against it", pairs)):
        sign = 1 if what == "for it" else -1
        words = [
            f"{visible(word)} {100 * effect:+.1f}"
            for effect, word in found
            if sign * effect > 0.0005
        ]
        if words:
            click.echo(f"  {what}, in points: {', '.join(words[:_SHOWN])}")
