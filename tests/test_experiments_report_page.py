import re

from sst_keras.experiments.report.page import to_html


def test_page_carries_all_it_needs(tmp_path):
    image = tmp_path / "dots.png"
    image.write_bytes(b"\x89PNG!")
    markdown = (
        "# Results of `x` & *y*\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n![Dots](F/dots.png)\n"
    )
    page = to_html("Results of x & y", markdown, {"F/dots.png": image})
    assert '<img alt="Dots" src="data:image/png;base64,iVBORyE=">' in page
    assert "<title>Results of x &amp; y</title>" in page
    assert '<div class="scroll" tabindex="0"><table>' in page
    assert '<td style="text-align: right;">2</td>' in page
    assert not re.findall(r'(?:src|href)="(?!data:)[^"#]', page)
    assert 'name="viewport"' in page
