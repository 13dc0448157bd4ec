from sst_keras.cli.terminal import visible


def test_controls_are_shown_and_other_characters_kept():
    assert visible("a\tb\nc é 漢 🙂") == "a\tb\nc é 漢 🙂"
    assert visible("\x1b[2J\x07\r\x9b\u202e") == "\\x1b[2J\\x07\\r\\x9b\\u202e"
