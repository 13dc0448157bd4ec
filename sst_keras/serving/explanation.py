"""Why a text got its class: attention, and what leaving out each token changes.

Leaving out is the occlusion of Li et al., "Understanding Neural Networks through Representation
Erasure", 2016. Attention says where the model looked; what it does not say is in Jain and Wallace,
"Attention is not Explanation", NAACL 2019, and Wiegreffe and Pinter, "Attention is not not
Explanation", EMNLP 2019.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any, Self

from sst_keras.errors import UsageError
from sst_keras.serving.prediction import Prediction, Predictor
from sst_keras.tokenizer import tokenize
from sst_keras.treebank import Tree

_MOST_TOKENS = 1000


@dataclass(frozen=True)
class Explanation:
    """A prediction, and what each token of the text does for it.

    Attributes:
        tokens: The text's tokens.
        joined: The probabilities of the text that the tokens make, with spaces between them. It
            differs from the prediction's only where these are other tokens again, as in addresses.
        without: For each token the probabilities, class → share, if it is left out of that text.
    """

    prediction: Prediction
    tokens: tuple[str, ...]
    joined: dict[str, float]
    without: tuple[dict[str, float], ...]

    @property
    def effects(self) -> tuple[float, ...]:
        """How much each token raises the probability of the predicted class; negative: lowers.

        It is that probability, less the one without the token.
        """
        name = self.prediction.class_name
        whole = self.joined[name]
        return tuple(whole - probabilities[name] for probabilities in self.without)

    def to_dict(self) -> dict[str, Any]:
        """Returns prediction, tokens, attention, effects and probabilities, for JSON."""
        found = self.prediction.to_dict()
        words = {"tokens": list(self.tokens), "effects": list(self.effects)}
        return found | words | {"without": list(self.without)}


@dataclass(frozen=True)
class Occlusion:
    """What has to be predicted to explain texts by leaving out their tokens.

    Attributes:
        tokens: The tokens of each text.
    """

    tokens: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Self:
        """Takes the tokens of predictions, or cuts their texts if the model has no attention."""
        cut = [found.text for found in predictions if found.tokens is None]
        rows = iter(tokenize(cut).numpy().tolist() if cut else ())
        return cls(
            tuple(
                tuple(token.decode("utf-8") for token in next(rows))
                if found.tokens is None
                else found.tokens
                for found in predictions
            )
        )

    def texts(self) -> list[str]:
        """Returns n + 1 texts for a text of n tokens: all of them, then without each in turn."""
        return [
            " ".join(shorter)
            for row in self.tokens
            for shorter in (row, *(row[:n] + row[n + 1 :] for n in range(len(row))))
        ]

    def explanations(
        self, predictions: Sequence[Prediction], probabilities: Iterable[dict[str, float]]
    ) -> list[Explanation]:
        """Returns the explanations of predictions, by the `probabilities` of `texts`, in order."""
        answers, found = iter(probabilities), []
        for prediction, row in zip(predictions, self.tokens, strict=True):
            joined, *without = islice(answers, len(row) + 1)
            found.append(Explanation(prediction, row, joined, tuple(without)))
        return found


def explain(predictor: Predictor, texts: Sequence[str]) -> list[Explanation]:
    """Explains the predictions of texts. Each token's text is predicted in the same batches.

    A text of n tokens takes n + 2 predictions of n tokens, so texts of more than 1,000 tokens raise
    a `UsageError`. Other errors are those of `Predictor.predict`.
    """
    found = predictor.predict(texts, explain=True)
    occlusion = Occlusion.of(found)
    for number, row in enumerate(occlusion.tokens, start=1):
        if len(row) > _MOST_TOKENS:
            raise UsageError(
                f"expected texts of at most {_MOST_TOKENS:,} tokens, because each is left out in "
                f"turn. Text {number} has {len(row):,}. Explain a part of it.",
                setting="texts",
            )
    answers = predictor.predict(occlusion.texts())
    return occlusion.explanations(found, (answer.probabilities for answer in answers))


def to_html(explanations: Sequence[Explanation], title: str) -> str:
    """Returns explanations as a page that needs no other file and sends nothing anywhere."""
    page = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    has_attention = any(each.prediction.attention for each in explanations)
    body = "\n".join(_article(each, number) for number, each in enumerate(explanations, start=1))
    return page.substitute(title=html.escape(title), switch=_switch(has_attention), body=body)


def _switch(has_attention: bool) -> str:
    ways = [("by-effect", "what leaving the word out changes: blue for the class, orange against")]
    ways += [("by-attention", "attention")] if has_attention else []
    choices = "\n".join(
        f'<label><input type="radio" name="shading" id="{name}"{" checked" * (not place)}> '
        f"{what}</label>"
        for place, (name, what) in enumerate(ways)
    )
    return f"<fieldset><legend>Words are shaded by</legend>\n{choices}\n</fieldset>"


def _article(explanation: Explanation, number: int) -> str:
    found, effects = explanation.prediction, explanation.effects
    name = html.escape(found.class_name)
    attention = found.attention or (0.0,) * len(effects)
    strongest = max(map(abs, effects), default=0.0) or 1.0
    most = max(attention, default=0.0) or 1.0
    words, rows = [], []
    for token, effect, share in zip(explanation.tokens, effects, attention, strict=True):
        said = f"effect {100 * effect:+.1f} points"
        said += f", attention {share:.0%}" if found.attention else ""
        plus, minus = max(effect, 0) / strongest, max(-effect, 0) / strongest
        style = f"--plus: {plus:.3f}; --minus: {minus:.3f}; --share: {share / most:.3f}"
        token = html.escape(token)
        words.append(f'<span style="{style}" title="{said}">{token}</span>')
        cells = f'<td class="number">{100 * effect:+.1f}</td>'
        cells += f'<td class="number">{share:.1%}</td>' if found.attention else ""
        rows.append(f'<tr><th scope="row">{token}</th>{cells}</tr>')
    bars = "\n".join(
        f'<tr><th scope="row">{html.escape(each)}</th><td class="number">{share:.0%}</td>'
        f'<td class="wide"><span class="bar" style="width: {share:.1%}"></span></td></tr>'
        for each, share in found.probabilities.items()
    )
    head = '<th scope="col">word</th><th scope="col">effect, points</th>'
    head += '<th scope="col">attention</th>' if found.attention else ""
    return f"""<article aria-labelledby="text-{number}">
<h2 id="text-{number}">{name} ({found.probabilities[found.class_name]:.0%})</h2>
<p class="tokens">{" ".join(words)}</p>
<table>
{bars}
</table>
<details><summary>Numbers</summary>
<table>
<tr>{head}</tr>
{"".join(rows)}
</table></details>
</article>"""


@dataclass(frozen=True)
class TreeExplanation:
    """What a model says of each node of a sentiment tree.

    Attributes:
        spans: The text of each node: the sentence, then its parts from left to right.
        labels: The true class of each, from 0.
        predictions: The prediction for each.
    """

    tree: Tree
    spans: tuple[str, ...]
    labels: tuple[int, ...]
    predictions: tuple[Prediction, ...]

    @property
    def right(self) -> int:
        """How many nodes are predicted as they are labelled."""
        pairs = zip(self.labels, self.predictions, strict=True)
        return sum(label == prediction.label for label, prediction in pairs)

    def to_dict(self) -> dict[str, Any]:
        """Returns text, true class and prediction of each node, for JSON."""
        names = list(self.predictions[0].probabilities)
        nodes = zip(self.spans, self.labels, self.predictions, strict=True)
        return {
            "right": self.right,
            "nodes": [
                {"text": span, "true_class": names[label], "class_name": found.class_name}
                | {"probabilities": found.probabilities}
                for span, label, found in nodes
            ],
        }


def explain_tree(predictor: Predictor, tree: Tree) -> TreeExplanation:
    """Predicts each node of a tree by its text alone.

    Raises:
        UsageError: If the tree has labels that the model has no class for.
    """
    examples = list(tree.examples())
    highest = max(example.label for example in examples)
    if highest >= len(predictor.class_names):
        raise UsageError(
            f"expected a tree of the model's classes, 0 to {len(predictor.class_names) - 1}. "
            f"Received the label {highest}."
        )
    spans = tuple(" ".join(example.tokens) for example in examples)
    distinct = list(dict.fromkeys(spans))
    found = dict(zip(distinct, predictor.predict(distinct), strict=True))
    labels = tuple(example.label for example in examples)
    return TreeExplanation(tree, spans, labels, tuple(found[span] for span in spans))
