import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig


def load(dataset, data_dir=None, **settings):
    return load_corpus(DataConfig(dataset=str(dataset), **settings), data_dir)


def texts(split):
    return [b" ".join(row).decode() for row in split.tokens.to_list()]


def write_csv(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


# === Trees ===


def test_a_folder_of_trees(tree_folder):
    corpus = load(tree_folder)
    assert texts(corpus.train) == ["A great film", "A bad film", "A film"]
    assert corpus.train.labels.tolist() == [4, 0, 2]
    assert corpus.test.row(1) == (["great"], 4)
    assert corpus.class_names[0] == "very negative" and len(corpus.class_names) == 5
    assert corpus.spans is None


def test_phrases_and_distinct_phrases(tree_folder):
    corpus = load(tree_folder, examples="phrases")
    assert len(corpus.training_split("phrases")) == 5 + 5 + 3
    distinct = corpus.training_split("unique-phrases")
    assert texts(distinct) == [
        "A great film", "A", "great film", "great", "film",
        "A bad film", "bad film", "bad", "A film",
    ]  # fmt: skip
    assert distinct.labels.tolist() == [4, 2, 4, 4, 2, 0, 0, 0, 2]
    # Dev and test are always complete sentences.
    assert len(corpus.dev) == 1 and len(corpus.test) == 2


def test_the_fingerprint_is_the_contents(tree_folder, tmp_path):
    before = load(tree_folder).fingerprint()
    moved = tree_folder.rename(tmp_path / "elsewhere")
    assert load(moved).fingerprint() == before
    (moved / "dev.txt").write_text("(3 great)\n")
    assert load(moved).fingerprint() != before


def test_wrong_folders(tree_folder, tmp_path):
    with pytest.raises(UsageError, match="no 'nowhere'|there is no"):
        load("nowhere")
    (tree_folder / "dev.txt").unlink()
    with pytest.raises(UsageError, match=r"train\.txt but no dev\.txt"):
        load(tree_folder)
    with pytest.raises(UsageError, match=r"train\.csv"):
        load(tmp_path)
    with pytest.raises(UsageError, match=r"\.csv"):
        load(tree_folder / "train.txt")


def test_wrong_trees(tree_folder):
    (tree_folder / "train.txt").write_text("(3 (2 A) (2 b))\n(7 c)\n")
    with pytest.raises(InputError, match=r"train\.txt, line 2: the label '7'"):
        load(tree_folder)
    (tree_folder / "train.txt").write_text("\n")
    with pytest.raises(InputError, match="empty file"):
        load(tree_folder)


def test_the_classes_of_trees_are_fixed(tree_folder):
    with pytest.raises(InputError, match="data.labels: .*of trees are fixed"):
        load(tree_folder, labels=("bad", "good"))


def test_the_sample():
    corpus = load("sample")
    assert [len(corpus.split(name)) for name in ("train", "dev", "test")] == [1100, 150, 250]


# === Tables ===


def test_a_folder_of_tables(tmp_path):
    for name, label in (("train", "good"), ("dev", "bad"), ("test", "good")):
        write_csv(tmp_path / f"{name}.csv", [f'"It\'s {name}, yes.",{label}', "x,bad"])
    corpus = load(tmp_path)
    assert corpus.class_names == ("bad", "good")
    assert texts(corpus.train) == ["It 's train , yes .", "x"]
    assert corpus.train.labels.tolist() == [1, 0]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_columns_by_name(tmp_path, ending):
    rows = [(f"text {number}", number % 3) for number in range(30)]
    if ending == "jsonl":
        lines = [json.dumps({"review": text, "stars": stars}) for text, stars in rows]
    else:
        comma = "\t" if ending == "tsv" else ","
        lines = [f"review{comma}stars", *(f"{text}{comma}{stars}" for text, stars in rows)]
    path = tmp_path / f"x.{ending}"
    path.write_text("\n".join(lines) + "\n")
    corpus = load(path, text_column="review", label_column="stars")
    assert corpus.class_names == ("0", "1", "2")
    assert len(corpus.train) + len(corpus.dev) + len(corpus.test) == 30


def test_one_file_is_split_by_seed_each_class_alike(tmp_path):
    rows = [f"text number {number},{'ab'[number % 4 == 0]}" for number in range(200)]
    path = write_csv(tmp_path / "x.csv", rows)
    corpus = load(path)
    sizes = {"train": 160, "dev": 20, "test": 20}
    for name, size in sizes.items():
        labels = corpus.split(name).labels
        assert len(labels) == size and (labels == 1).sum() == size / 4
    assert texts(load(path).test) == texts(corpus.test)
    assert texts(load(path, split_seed=2).test) != texts(corpus.test)
    everything = [text for name in sizes for text in texts(corpus.split(name))]
    assert len(set(everything)) == 200


def test_equal_texts_stay_in_one_split(tmp_path):
    rows = [f"text {number // 5},{number // 5 % 2}" for number in range(200)]
    corpus = load(write_csv(tmp_path / "x.csv", rows))
    groups = [set(texts(corpus.split(name))) for name in ("train", "dev", "test")]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 40
    assert any("160 of 200 rows repeat" in note for note in corpus.notes)


def test_the_order_of_the_classes(tmp_path):
    path = write_csv(tmp_path / "x.csv", [f"t{i},{[2, 10, 1][i % 3]}" for i in range(60)])
    assert load(path).class_names == ("1", "2", "10")
    assert load(path, labels=("10", "2", "1")).class_names == ("10", "2", "1")
    with pytest.raises(InputError, match=r"x\.csv, line \d+: the label '10'"):
        load(path, labels=("1", "2"))


def test_blank_texts_are_kept_and_counted(tmp_path):
    rows = [f"{'' if number < 2 else f't{number}'},{number % 2}" for number in range(60)]
    corpus = load(write_csv(tmp_path / "x.csv", rows))
    everything = [t for name in ("train", "dev", "test") for t in texts(corpus.split(name))]
    assert everything.count("<unk>") == 2
    assert any("2 texts are blank" in note for note in corpus.notes)


def test_a_byte_order_mark_and_line_breaks_within_quotes(tmp_path):
    path = tmp_path / "x.csv"
    rows = "".join(f'"one\r\nline {number}",{number % 2}\r\n' for number in range(40))
    path.write_bytes(f"\ufefftext,label\r\n{rows}".encode())
    assert "one line 3" in {t for n in ("train", "dev", "test") for t in texts(load(path).split(n))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"text,label\n", "no rows"),
        (
            b"review,label\na,1\n",
            r"data.text_column: .*line 2: .*'text'.*review, label",
        ),
        (b"text,stars\na,1\n", "data.label_column"),
        (b"text,label\na,1\nb\n", "line 3: expected a column 'label'"),
        (b"text,label\na,\n", "line 2: expected a label"),
        (b"text,label\na,b,c\n", "line 2: expected 2 fields.*Received 3"),
        (b"text,label\ncaf\xe9,1\n", "expected UTF-8.*0xe9"),
        (b'text,label\n"a,1\n', r"x\.csv, line \d+: unexpected end"),
        (b"text,label\na,1\nb,1\n", "2 to 20 classes"),
    ],
)
def test_wrong_tables(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", '{"text": "a"}', '{"text": "\\ud800", "label": 2}', '{"text": "a", "label": ""}'],
)
def test_wrong_json_lines(tmp_path, line):
    (tmp_path / "x.jsonl").write_text(f'{{"text": "a", "label": 1}}\n{line}\n')
    with pytest.raises(InputError, match="line 2"):
        load(tmp_path / "x.jsonl")


def test_too_few_rows_and_too_many_classes(tmp_path):
    with pytest.raises(InputError, match="4 rows are too few"):
        load(write_csv(tmp_path / "x.csv", ["a,1", "b,2", "c,1", "d,2"]))
    with pytest.raises(InputError, match="Received 30"):
        load(write_csv(tmp_path / "y.csv", [f"t{i},{i}" for i in range(30)]))


def test_complete_texts_have_no_phrases(tmp_path):
    path = write_csv(tmp_path / "x.csv", [f"t{i},{i % 2}" for i in range(40)])
    with pytest.raises(UsageError, match="only trees have"):
        load(path, examples="phrases").training_split("phrases")


# === SST-5 ===


@pytest.mark.slow
def test_the_real_phrases(real_data):
    corpus = load(real_data / "sst", examples="phrases")
    assert len(corpus.training_split("phrases")) == 318582
    assert len(corpus.training_split("unique-phrases")) == 159274
    assert len(corpus.training_split("sentences")) == 8544


@pytest.mark.slow
def test_sst5_through_its_builder(real_data):
    corpus = load("sst5", data_dir=real_data)
    counts = [len(corpus.split(name)) for name in ("train", "dev", "test")]
    assert counts == [8544, 1101, 2210]
    assert np.bincount(corpus.test.labels).tolist() == [279, 633, 389, 510, 399]
    assert int(corpus.train.tokens.row_lengths().numpy().sum()) == 163563
    # The same as its own trees, read without the builder.
    assert corpus.fingerprint() == load(real_data / "sst").fingerprint()


@pytest.mark.slow
def test_two_processes_may_prepare_sst5_at_once(real_data, tmp_path):
    # Both find nothing prepared, and both start; the one that ends last finds the other's.
    code = f"""
from sst_keras.settings import DataConfig
from sst_keras.corpora import load_corpus
print(len(load_corpus(DataConfig(), data_dir={str(real_data)!r}).test))
"""
    environment = os.environ | {"TFDS_DATA_DIR": str(tmp_path / "tfds")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    assert [process.communicate()[0].split() for process in processes] == [[b"2210"], [b"2210"]]
    leftovers = [path.name for path in (tmp_path / "tfds").rglob("*incomplete*")]
    assert leftovers == []


def test_auto_takes_the_sample_where_sst5_cannot_be_had(offline):
    assert load("auto").name == "sample"


def test_sst5_that_cannot_be_had(offline):
    with pytest.raises(InputError, match="data.dataset=sample"):
        load("sst5")


def test_a_data_folder_without_sst5(tmp_path, offline):
    with pytest.raises(UsageError, match="data_dir"):
        load("sst5", data_dir=tmp_path)
