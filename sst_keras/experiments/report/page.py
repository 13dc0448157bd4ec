"""Sections of a report → one Markdown text, and one HTML page with its figures inside."""

import base64
import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import markdown as markdown_library
from matplotlib.figure import Figure

from sst_keras.experiments.report.wording import text


class Picture(NamedTuple):
    """A figure in a text, with the name of its file and a description."""

    name: str
    alt: str
    figure: Figure


Part = str | Picture | dict[str, Any]  # a paragraph as Markdown, a figure, or scores for JSON


class Report:
    """The parts of a report, from top to bottom. Empty ones are left out.

    Attributes:
        figures: The figures by name.
        summary: The scores behind the text, for JSON.
        markdown: The text, in which figures have the address `FIGURES/<name>.png`.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self.figures: dict[str, Figure] = {}
        self.summary: dict[str, Any] = {}
        paragraphs = []
        for part in filter(None, parts):
            if isinstance(part, Picture):
                self.figures[part.name] = part.figure
                paragraphs.append(f"![{text(part.alt)}](FIGURES/{part.name}.png)")
            elif isinstance(part, dict):
                self.summary |= part
            else:
                paragraphs.append(part)
        self.markdown = "\n\n".join(paragraphs)


def to_html(title: str, markdown: str, images: Mapping[str, Path]) -> str:
    """Returns Markdown as a page that needs no other file; `images` has address → PNG file."""
    body = markdown_library.markdown(
        markdown, extensions=["tables", "toc", "sane_lists"], output_format="html"
    )
    for address, path in images.items():
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        body = body.replace(f'src="{address}"', f'src="data:image/png;base64,{data}"')
    body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    page = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
    return page.substitute(title=html.escape(title), body=body)
