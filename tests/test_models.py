import keras
import numpy as np
import pytest

from sst_keras.config import load_pipeline, pipeline_names
from sst_keras.errors import InputError
from sst_keras.losses import CrossEntropy
from sst_keras.models import ENCODERS, build_model, least_parameters
from sst_keras.optimizers import make_optimizer
from sst_keras.settings import EmbeddingConfig, ModelConfig

IDS = np.array([[3, 4, 5, 6], [7, 8, 0, 0], [9, 0, 0, 0]])
VARIANTS = {
    **{name: load_pipeline(name).model for name in pipeline_names()},
    "bidirectional": ModelConfig(bidirectional=True),
    "bidirectional, last": ModelConfig(bidirectional=True, pooling="last"),
    "stacked, last": ModelConfig(num_layers=3, pooling="last"),
    "mean": ModelConfig(pooling="mean"),
    "last, padded": ModelConfig(pooling="last_padded", padded_length=15, bidirectional=True),
    "shortcuts": ModelConfig(num_layers=3, shortcuts=True, bidirectional=True),
    "max": ModelConfig(pooling="max", bidirectional=True, num_layers=2),
    "side by side": ModelConfig(pooling="max-mean-attention", bidirectional=True),
    "weight dropout": ModelConfig(weight_dropout=0.5),
    "bfloat16": ModelConfig(matmul_dtype="bfloat16", bidirectional=True),
    "one width": ModelConfig(name="cnn", kernel_sizes=(2,)),
}
VARIANTS = {
    name: ModelConfig(**{**vars(model), "units": 6, "filters": 4, "dropout": 0.0})
    for name, model in VARIANTS.items()
}


def make(model, embedding=None, matrix=None):
    keras.utils.set_random_seed(0)
    return build_model(model, embedding or EmbeddingConfig(dim=3, dropout=0.0), 10, 5, matrix)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_least_number_of_parameters(name):
    number, built = least_parameters(VARIANTS[name], 10, 3), make(VARIANTS[name])
    assert 0.3 * built.count_params() < number < built.count_params()


@pytest.mark.parametrize("name", ["lstm", "mlp", "cnn"])
def test_a_model_that_is_larger_than_the_memory(name):
    large = ModelConfig(name=name, units=10**10, filters=10**10)
    with pytest.raises(InputError, match=r"takes at least [\d,]+ GB, and \d+ GB of memory"):
        make(large)


def logits(model, ids):
    return keras.ops.convert_to_numpy(model({"token_ids": ids}))


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_more_padding_gives_the_same_logits(variant):
    model = make(variant)
    assert model.output.shape == (None, 5)
    padded = np.pad(IDS, ((0, 0), (0, 9)))
    np.testing.assert_allclose(logits(model, padded), logits(model, IDS), atol=1e-5)
    unpadded = logits(model, IDS[2:, :1])
    np.testing.assert_allclose(unpadded, logits(model, IDS)[2:], atol=1e-5)


def test_shortcuts_read_everything_below():
    model = make(VARIANTS["shortcuts"])
    heights = [
        model.get_layer(f"bidirectional_{number}").forward_layer.cell.kernel.shape[0]
        for number in (1, 2, 3)
    ]
    assert heights == [3, 3 + 12, 3 + 12 + 12]


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_fully_padded_row_is_finite(variant):
    assert np.isfinite(logits(make(variant), np.zeros((2, 6), int))).all()


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_every_weight_moves_in_one_step(variant):
    model = make(variant)
    model.compile(make_optimizer("adam", 0.1), CrossEntropy(), jit_compile=False)
    before = model.get_weights()
    model.train_on_batch({"token_ids": IDS}, np.array([0, 1, 4]))
    still = {
        variable.path
        for variable, old in zip(model.weights, before, strict=True)
        if np.array_equal(variable.numpy(), old)
    }
    assert still == (
        {"frozen_embedding/embeddings"} if variant.name == "cnn-multichannel" else set()
    )


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_saved_model_gives_the_same_logits(variant, tmp_path):
    model = make(variant)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(loaded, IDS), logits(model, IDS))


def test_last_is_the_last_real_step():
    model = make(VARIANTS["lstm"])
    lstm = model.get_layer("lstm_1")
    vectors = model.get_layer("embedding")(IDS[1:2, :2])  # only the two real words
    state = lstm(vectors)
    expected = model.get_layer("logits")(state)
    np.testing.assert_allclose(logits(model, IDS)[1:2], expected, atol=1e-6)


def test_the_given_vectors_are_in_the_model_but_not_in_its_config():
    matrix = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    for name in ENCODERS:
        model = make(ModelConfig(name=name, units=2, filters=2), matrix=matrix)
        np.testing.assert_array_equal(model.get_layer("embedding").get_weights()[0], matrix)
        assert len(model.to_json()) < 20_000
    frozen = model.get_layer("frozen_embedding")
    np.testing.assert_array_equal(frozen.get_weights()[0], matrix)


def test_frozen_vectors_do_not_train():
    model = make(VARIANTS["lstm"], EmbeddingConfig(dim=3, trainable=False))
    assert "embedding/embeddings" not in {v.path for v in model.trainable_variables}


def test_a_matrix_of_another_height():
    with pytest.raises(ValueError, match=r"10 rows.*\(9, 3\)"):
        make(VARIANTS["lstm"], matrix=np.zeros((9, 3)))


def test_depth_and_direction():
    model = make(ModelConfig(num_layers=3, bidirectional=True, units=6))
    assert [layer.name for layer in model.layers if "bidirectional" in layer.name] == [
        "bidirectional_1",
        "bidirectional_2",
        "bidirectional_3",
    ]
    assert model.get_layer("bidirectional_3").output.shape == (None, None, 12)


def test_the_last_padded_step_is_where_the_length_says():
    # The same weights with texts padded to 4 steps, and to 6, where the LSTM reads two more zeros.
    four, six = (make(ModelConfig(pooling="last_padded", padded_length=n, units=6)) for n in (4, 6))
    last = make(ModelConfig(pooling="last", units=6))
    for model in (four, six):
        model.set_weights(last.get_weights())
    full, short = IDS[:1], IDS[1:2]
    np.testing.assert_allclose(logits(four, full), logits(last, full), atol=1e-6)
    assert np.abs(logits(six, full) - logits(last, full)).max() > 1e-4
    assert np.abs(logits(four, short) - logits(last, short)).max() > 1e-4
