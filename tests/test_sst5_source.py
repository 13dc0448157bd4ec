import os
import shutil
import zipfile

import pytest

from sst_keras import locations
from sst_keras.datasets.sst5 import source
from sst_keras.errors import InputError, UsageError

FILES = ("train.txt", "dev.txt", "test.txt")


@pytest.fixture
def original(tmp_path, monkeypatch):
    """A data folder with files made up for this test, whose sums pass for the original's."""
    import hashlib

    folder = tmp_path / "data"
    (folder / "sst").mkdir(parents=True)
    sums = {}
    for name in FILES:
        content = f"(3 {name})\n".encode()
        (folder / "sst" / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(tmp_path / source.ZIP_NAME, "w") as archive:
        for name in FILES:
            archive.write(folder / "sst" / name, f"trees/{name}")
    content = (tmp_path / source.ZIP_NAME).read_bytes()
    sums[source.ZIP_NAME] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(source, "SHA256", sums)
    return folder


def test_the_three_files(original, monkeypatch):
    assert source.locate(original) == original / "sst"
    monkeypatch.setenv("SST_KERAS_DATA", str(original))
    assert source.locate() == original / "sst"
    assert source.is_available()


def test_the_zip_holds_the_same(original, tmp_path):
    folder = tmp_path / "zipped"
    (folder / "sst").mkdir(parents=True)
    shutil.copy(tmp_path / source.ZIP_NAME, folder / "sst")
    located = source.locate(folder)
    for name in FILES:
        assert (located / name).read_bytes() == (original / "sst" / name).read_bytes()


def test_the_users_cache(original):
    assert source.locate() is None
    shutil.copytree(original / "sst", locations.cache_dir() / "sst")
    assert source.locate() == locations.cache_dir() / "sst"
    shutil.rmtree(locations.cache_dir() / "sst")


def test_two_files_of_three_are_none(original):
    (original / "sst" / "dev.txt").unlink()
    assert source.locate(original) is None
    with pytest.raises(UsageError, match=r"data_dir: expected SST-5 at .*train\.txt"):
        source.require(original)


@pytest.mark.parametrize("name", ["train.txt", source.ZIP_NAME])
def test_a_wrong_sum_is_named(original, name):
    (original / "sst" / name).write_bytes(b"(3 other)\n")
    with pytest.raises(InputError) as error:
        source.locate(original)
    message = str(error.value)
    assert str(original / "sst" / name) in message and source.SHA256[name] in message
    assert "set data.dataset" in message


def test_nothing_to_be_had(offline):
    assert not source.is_available()
    message = str(source.unavailable())
    assert source.URL in message and source.SHA256[source.ZIP_NAME] in message
    assert str(locations.cache_dir() / "sst") in message and "SST_KERAS_DATA" in message


def test_what_tensorflow_datasets_has_ready(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert not source.is_prepared()
    folder = tmp_path / "sst5" / "sentences" / source.VERSION
    folder.mkdir(parents=True)
    assert not source.is_prepared()  # a half-made folder is none
    (folder / "dataset_info.json").write_text("{}")
    assert source.is_prepared() and not source.is_prepared("phrases")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert source.tfds_dir() == source.Path.home() / "tensorflow_datasets"


def test_the_checksums_file_says_the_same():
    url, size, sha256, name = (
        (source.Path(source.__file__).parent / "checksums.tsv").read_text().split()
    )
    assert (url, sha256, name) == (source.URL, source.SHA256[source.ZIP_NAME], source.ZIP_NAME)
    assert size == "789539"


def test_the_real_files(real_data, tmp_path):
    (tmp_path / "sst").mkdir()
    for name in FILES:
        os.symlink(real_data / "sst" / name, tmp_path / "sst" / name)
    unpacked, zipped = source.locate(tmp_path), source.locate(real_data)
    assert isinstance(zipped, zipfile.Path)
    for name in FILES:
        assert (zipped / name).read_bytes() == (unpacked / name).read_bytes()


def test_the_first_form_of_the_treebank(tmp_path):
    folder = tmp_path / "stanfordSentimentTreebank"
    folder.mkdir()
    assert not source.is_first_form(folder) and not source.is_first_form(tmp_path / "none")
    (folder / "datasetSentences.txt").write_text("sentence_index\tsentence\n1\tDull .\n")
    for path in (tmp_path, folder, folder / "datasetSentences.txt"):
        assert source.is_first_form(path)
    (tmp_path / "stanfordSentimentTreebank.zip").write_bytes(b"")
    assert source.is_first_form(tmp_path / "stanfordSentimentTreebank.zip")
    (tmp_path / "own.txt").write_text("")
    assert not source.is_first_form(tmp_path / "own.txt")
    error = source.first_form(folder)
    assert error.setting == "data.dataset"
    assert "first form" in error.message and source.URL in error.message
