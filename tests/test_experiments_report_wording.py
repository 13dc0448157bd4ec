import html
import re

import markdown
import pytest
from report_records import experiment, record

from sst_keras.experiments.report import wording
from sst_keras.experiments.report.comparison import Summary, summarize


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.5, 1.25, 2.0), "+1.2 [−0.61, +3.11]"),
        ((1.0, 1.1, 1.2), "**+1.1 [+0.85, +1.35]**"),
        ((-1.0, -1.1, -1.2), "**−1.1 [−1.35, −0.85]**"),
        ((0.0, 0.0, 0.0), "0.0 [0.00, 0.00]"),
        ((-0.04, 0.0), "0.0 [−0.27, +0.23]"),  # no 0 has a sign
        ((2.0,), "+2.0 (one seed)"),
    ],
)
def test_differences_have_signs_and_are_bold_if_0_is_excluded(values, words):
    assert wording.difference(summarize(values)) == words


def test_means():
    assert wording.mean(Summary(41.26, 0.54, 5)) == "41.3 ± 0.5 (5)"
    assert wording.mean(Summary(41.26, None, 1)) == "41.3 (1)"
    assert (wording.mean(None), wording.spread(None), wording.difference(None)) == ("–",) * 3
    assert [wording.published(value) for value in (40.62, 42.0, None)] == ["40.62", "42.0", "–"]


def test_values():
    values = (True, 0.0005, 1, ("auto",), ("none",), ("/far/away/glove.txt", "b"), "sgd", "nadam")
    words = ["yes", "0.0005", "1", "pretrained", "none", "glove.txt + b", "SGD", "nadam"]
    assert list(map(wording.value, values)) == words
    records = [record(experiment("a"), seed, 40) for seed in (1, 2)]
    assert wording.vectors(records) == ["glove.small"]


@pytest.mark.parametrize(
    "text",
    [
        "a|b *c* **d** `e` _f_ own_rate 1.5",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](http://example.org/x.png) [y](javascript:alert(1))",
        "# heading",
        "- item",
        "1. item",
        "> quotation",
        "[bold]rich[/bold] &lt; &amp;",
        "back\\slash ~~gone~~",
    ],
)
def test_texts_are_shown_as_they_are(text):
    for shown in (wording.text(text), wording.table([{"a": wording.text(text)}])):
        page = markdown.markdown(shown, extensions=["tables", "toc", "sane_lists"])
        *_, cell = re.findall(r"<(?:td|p)>(.*)</(?:td|p)>", page)
        assert "<" not in cell and html.unescape(cell) == text
