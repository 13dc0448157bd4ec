from sst_keras.tables.encodings import find_encoding


def test_a_long_line_costs_no_more_than_its_length(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é\n".encode() * 20 + b"a" * 500_000 + b"\n\xff bad\xff\n")
    assert find_encoding(path, lenient=True).codec == "utf-8"
