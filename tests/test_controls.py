import json

from sst_keras.controls import in_json, visible
from sst_keras.files import to_json


def test_visible():
    assert visible("a\tb\nc é 漢 🙂") == "a\tb\nc é 漢 🙂"
    assert visible("caf\udce9.txt") == "caf\\udce9.txt"
    assert visible("\x1b[2J\x07\r\x9b\u202e") == "\\x1b[2J\\x07\\r\\x9b\\u202e"


def test_json_of_control_characters_reads_back():
    text = "".join(map(chr, range(0x300))) + "\u202e\u2028\udcff\U0001f642"
    written = to_json({text: [text]})
    assert visible(written) == written  # nothing is left to escape
    assert json.loads(written) == {text: [text]}
    assert in_json('"é"') == '"é"'
