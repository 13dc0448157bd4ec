"""Sections of a report → one Markdown text, and one HTML page with its figures inside."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import markdown as markdown_library
from matplotlib.figure import Figure

from sst_keras.experiments.report.wording import text

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --text: #1b1b1b; --page: #fff; --line: #d5d5d5; --dim: #595959;
  --shade: #f4f4f4; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #e4e4e4; --page: #16181b; --line: #3d4147; --dim: #a6a6a6; --shade: #22252a; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 1rem/1.55 system-ui, sans-serif; }}
main {{ max-width: 84rem; margin: 0 auto; padding: 1rem 1rem 4rem; }}
p, ul, h1, h2, h3 {{ max-width: 44rem; }}  h1, h2, h3 {{ line-height: 1.25; }}
h2 {{ margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }}
h3 {{ margin-top: 2.5rem; }}  ul {{ padding-left: 1.25rem; }}  em {{ color: var(--dim); }}
code {{ background: var(--shade); padding: 0.1em 0.3em; border-radius: 3px; }}
img {{ display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }}
.scroll {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line); }}
th {{ background: var(--shade); vertical-align: bottom; min-width: 4rem; white-space: normal; }}
th:empty {{ padding: 0; min-width: 0; }}
td:first-child, td:first-child + td:last-child {{ white-space: normal; min-width: 5.5rem; }}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Picture:
    """A figure in a text, with the name of its file and a description."""

    name: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        parts: Its paragraphs, as Markdown, and its pictures. Empty ones are left out.
        summary: The scores behind the text, for JSON.
    """

    parts: tuple[str | Picture, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {part.name: part.figure for part in self.parts if isinstance(part, Picture)}

    @property
    def markdown(self) -> str:
        """The text, in which figures have the address `FIGURES/<name>.png`."""
        return "\n\n".join(
            f"![{text(part.alt)}](FIGURES/{part.name}.png)" if isinstance(part, Picture) else part
            for part in self.parts
            if part
        )


def join(sections: Iterable[Section]) -> Section:
    """Returns one section with the content of several."""
    parts: tuple[str | Picture, ...] = ()
    summary: dict[str, Any] = {}
    for section in sections:
        parts += section.parts
        summary |= section.summary
    return Section(parts, summary)


def to_html(markdown: str, images: Mapping[str, Path]) -> str:
    """Returns a Markdown text as an HTML page that needs no other file.

    Args:
        markdown: The text. Its first heading is the title of the page.
        images: Address of an image in the text → the PNG file with that image.
    """
    body = markdown_library.markdown(
        markdown, extensions=["tables", "toc", "sane_lists"], output_format="html"
    )
    for address, path in images.items():
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        body = body.replace(f'src="{address}"', f'src="data:image/png;base64,{data}"')
    body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", body, re.DOTALL)
    title = html.unescape(re.sub(r"<[^>]+>", "", heading[1])) if heading else "Results"
    return _PAGE.format(title=html.escape(title), body=body)
