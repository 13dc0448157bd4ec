import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


@pytest.fixture
def explain(run_copy):
    def run(*arguments):
        return CliRunner().invoke(main, ["explain", str(run_copy.path), *arguments])

    return run


@pytest.mark.slow
def test_on_the_screen_and_in_files(explain, tmp_path):
    text = "It's not a great film."
    shown = explain(text)
    assert shown.exit_code == 0, shown.output
    assert "words: It 's not a great film ." in shown.stdout and "attention:" in shown.stdout
    assert "in points:" in shown.stdout
    report = json.loads(explain(text, "Dull.", "--json").stdout)["explanations"]
    assert [each["text"] for each in report] == [text, "Dull."]
    assert len(report[0]["effects"]) == len(report[0]["tokens"]) == 7
    assert sum(report[0]["attention"]) == pytest.approx(1, abs=1e-5)
    (tmp_path / "link").symlink_to(tmp_path)  # as /tmp is on macOS
    for name in ("page.html", "link/picture.png", "numbers.json"):
        made = explain(text, "--out", str(tmp_path / name))
        assert made.exit_code == 0 and (tmp_path / name).stat().st_size > 1000
    saved = json.loads((tmp_path / "numbers.json").read_text("utf-8"))
    assert saved["format"] == 1 and saved["explanations"] == report[:1]
    both = explain(text, "--json", "--out", str(tmp_path / "again.html"))
    assert json.loads(both.stdout)["explanations"] == report[:1]
    assert (tmp_path / "again.html").is_file()


def test_usage_errors(explain, tmp_path):
    for arguments, message in (
        ((), "expected a text after the model"),
        (("Good.", "--out", "x.pdf"), "--out: expected a file ending in .html"),
        (("Good.", "Bad.", "--out", "x.png"), "expected one text for a picture. Received: 2"),
        (("Good.", " "), "Text 2 is blank"),
        (("Good.", "a " * 1001), "at most 1,000 tokens, because each is left out in turn. Text 2"),
    ):
        result = explain(*arguments)
        assert result.exit_code == 2 and message in result.stderr, result.output


@pytest.mark.slow
def test_a_tree(explain, tmp_path):
    tree = "(3 (2 It) (4 (2 's) (4 wonderful)))"
    shown = explain(tree)
    assert shown.exit_code == 0, shown.output
    assert (
        "of 5 nodes are predicted as labelled" in shown.stdout and " 's wonderful" in shown.stdout
    )
    report = json.loads(explain(tree, "--json").stdout)
    assert len(report["nodes"]) == 5 and report["nodes"][0]["true_class"] == "positive"
    assert explain(tree, "--out", str(tmp_path / "tree.png")).exit_code == 0
    assert (tmp_path / "tree.png").stat().st_size > 5000
    both = explain(tree, "--json", "--out", str(tmp_path / "tree.json"))
    assert json.loads(both.stdout) == report
    refused = explain(tree, "--out", str(tmp_path / "tree.html"))
    assert refused.exit_code == 2 and "a tree alone" in refused.stderr
    damaged = explain("(3 (2 It) (4 works)")
    assert damaged.exit_code == 1 and "cut off" in damaged.stderr
    for text in ("(3 stars) A good film.", "(3 stars)", "(2 (two) thumbs up)"):  # no trees
        result = explain(text)
        assert result.exit_code == 0 and "words:" in result.stdout
