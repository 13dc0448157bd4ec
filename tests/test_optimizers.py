import numpy as np
import pytest

from sst_keras.models import build_model
from sst_keras.optimizers import has_own_rate, make_optimizer, pipeline_optimizer
from sst_keras.runtime import keras, tf
from sst_keras.settings import OPTIMIZERS, EmbeddingConfig, ModelConfig, TrainingConfig


def step(optimizer, value, gradient, steps=1):
    """Returns a weight after some steps with the same gradient."""
    variable = keras.Variable(np.array([value], "float32"))
    for _ in range(steps):
        optimizer.apply([tf.constant([gradient], tf.float32)], [variable])
    return float(variable.numpy()[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_goes_down(name):
    assert step(make_optimizer(name, 0.1), 1.0, 2.0) < 1.0


def test_sgd_by_hand():
    assert step(make_optimizer("sgd", 0.1), 1.0, 2.0) == pytest.approx(0.8)
    # Momentum 0.9: the second step is 0.1 · (2 + 0.9 · 2).
    assert step(make_optimizer("momentum", 0.1), 1.0, 2.0, 2) == pytest.approx(0.8 - 0.38)


def test_adams_first_step_is_the_rate():
    assert step(make_optimizer("adam", 0.1), 1.0, 2.0) == pytest.approx(0.9, abs=1e-6)


def test_adagrad_starts_from_zero_like_pytorch():
    # 0.1 · 2 / √4, then 0.1 · 2 / √8.
    after = 1.0 - 0.1 - 0.1 * 2 / np.sqrt(8)
    assert step(make_optimizer("adagrad", 0.1), 1.0, 2.0, 2) == pytest.approx(after, abs=1e-6)


def test_l2_goes_into_the_gradient():
    # SGD: w - 0.1 · (2 + 0.5 · 3).
    assert step(make_optimizer("sgd", 0.1, l2=0.5), 3.0, 2.0) == pytest.approx(3 - 0.1 * 3.5)
    # In Adam it vanishes in the first step, which depends only on the sign.
    assert step(make_optimizer("adam", 0.1, l2=0.5), 3.0, 2.0) == pytest.approx(2.9, abs=1e-6)


def test_decoupled_decay_is_not_part_of_the_gradient():
    after = 3 - 0.1 * 0.5 * 3 - 0.1
    assert step(make_optimizer("adam", 0.1, weight_decay=0.5), 3.0, 2.0) == pytest.approx(after)


def test_clipping_comes_before_l2():
    # The gradient 2 is cut to 1, then λ w = 1.5 is added.
    clipped = make_optimizer("sgd", 0.1, l2=0.5, clip_norm=1.0)
    assert step(clipped, 3.0, 2.0) == pytest.approx(3 - 0.1 * 2.5, rel=1e-5)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="'adm'"):
        make_optimizer("adm", 0.1)


@pytest.mark.parametrize(
    "name, stock",
    [
        ("adam", keras.optimizers.Adam(0.1, epsilon=1e-8)),
        ("lazy-adam", keras.optimizers.Adam(0.1, epsilon=1e-8)),
        ("adamw", keras.optimizers.AdamW(0.1, epsilon=1e-8, weight_decay=0.0)),
        ("adagrad", keras.optimizers.Adagrad(0.1, 0.0, epsilon=1e-20)),
    ],
)
def test_one_operation_moves_weights_as_keras_does(name, stock):
    ours = make_optimizer(name, 0.1)
    gradients = np.random.default_rng(0).normal(0, 1, (5, 3, 2)).astype("float32")
    weights = []
    for optimizer in (stock, ours):
        variable = keras.Variable(np.ones((3, 2), "float32"))
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
        weights.append(variable.numpy())
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-5)


def test_lazy_adam_does_not_move_unused_rows():
    results = {}
    for name in ("adam", "lazy-adam"):
        variable = keras.Variable(np.ones((3, 2), "float32"))
        optimizer = make_optimizer(name, 0.1)
        for rows in ([0, 1], [0, 0], [1]):
            values = tf.ones((len(rows), 2))
            gradient = tf.IndexedSlices(values, tf.constant(rows), tf.constant([3, 2]))
            optimizer.apply([gradient], [variable])
        results[name] = variable.numpy()
    # Row 0 in the third step: Adam's moments keep moving it.
    assert results["adam"][0, 0] < results["lazy-adam"][0, 0] < 1
    assert (results["lazy-adam"][2] == 1).all()
    # Row 1 by hand: steps 1 and 3; step 3 starts from its moments after step 1.
    m, v = 0.1 * 0.9 + 0.1, 0.001 * 0.999 + 0.001
    third = 0.1 * np.sqrt(1 - 0.999**3) / (1 - 0.9**3) * m / np.sqrt(v)
    np.testing.assert_allclose(results["lazy-adam"][1], 1 - 0.1 - third, rtol=1e-4)


@pytest.mark.parametrize("name", ["lazy-adam", "adagrad"])
def test_clipping_does_not_move_unused_rows(name):
    variable = keras.Variable(np.ones((3, 2), "float32"))
    optimizer = make_optimizer(name, 0.1, clip_norm=100.0)
    for rows in ([0], [1], [1]):
        before = variable.numpy()
        gradient = tf.IndexedSlices(tf.ones((1, 2)), tf.constant(rows), tf.constant([3, 2]))
        optimizer.apply([gradient], [variable])
        moved = (variable.numpy() != before).all(axis=1)
        assert moved.tolist() == [row in rows for row in range(3)]


def test_clipping_adds_up_a_row_that_occurs_four_times():
    variable = keras.Variable(np.zeros((3, 1), "float32"))
    gradient = tf.IndexedSlices(tf.ones((4, 1)), tf.constant([1] * 4), tf.constant([3, 1]))
    make_optimizer("sgd", 1.0, clip_norm=1.0).apply([gradient], [variable])
    np.testing.assert_allclose(variable.numpy(), [[0], [-1], [0]], rtol=1e-6)


def test_lazy_adam_with_l2_is_adam():
    results = []
    for name in ("adam", "lazy-adam"):
        variable = keras.Variable(np.ones((3, 1), "float32"))
        optimizer = make_optimizer(name, 0.1, l2=0.1)
        gradient = tf.IndexedSlices(tf.ones((1, 1)), tf.constant([1]), tf.constant([3, 1]))
        for _ in range(2):
            optimizer.apply([gradient], [variable])
        results.append(variable.numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"lazy-adam"}))
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_row_that_occurs_twice_moves_as_in_a_dense_update(name, l2):
    results = []
    for dense in (True, False):
        variable = keras.Variable(np.arange(8, dtype="float32").reshape(4, 2))
        optimizer = make_optimizer(name, 0.1, l2=l2)
        for _ in range(2):
            with tf.GradientTape() as tape:
                picked = tf.gather(variable.value, [1, 1, 2])
                loss = tf.reduce_sum(picked**2)
            gradient = tape.gradient(loss, variable.value)
            assert isinstance(gradient, tf.IndexedSlices)
            optimizer.apply([tf.convert_to_tensor(gradient) if dense else gradient], [variable])
        results.append(variable.numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_embeddings_with_their_own_rate():
    embedding = EmbeddingConfig(learning_rate=0.5, optimizer="sgd")
    training = TrainingConfig(optimizer="sgd", learning_rate=0.1)
    model = build_model(ModelConfig(name="mlp", units=2), embedding, 5, 3, np.ones((5, 2)))
    optimizer = pipeline_optimizer(training, embedding, model, steps=10)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    ones = [tf.ones_like(variable.value) for variable in model.trainable_variables]
    optimizer.apply(ones, model.trainable_variables)
    moved = {v.path: float((before[v.path] - v.numpy()).mean()) for v in model.trainable_variables}
    rates = {path: 0.5 if path == "embedding/embeddings" else 0.1 for path in moved}
    assert moved == pytest.approx(rates, rel=1e-5)
    assert [float(group.learning_rate.numpy()) for group in optimizer.groups] == pytest.approx(
        [0.1, 0.5]
    )


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, (1 + np.sqrt(0.5)) / 2, 0.5, (1 - np.sqrt(0.5)) / 2]),
    ],
)
def test_schedules_of_both_rates(schedule, rates):
    embedding = EmbeddingConfig(learning_rate=0.5, optimizer="sgd")
    training = TrainingConfig(optimizer="sgd", learning_rate=0.1, schedule=schedule)
    model = build_model(ModelConfig(name="mlp", units=2), embedding, 5, 3, np.ones((5, 2)))
    optimizer = pipeline_optimizer(training, embedding, model, steps=4)
    weights = model.trainable_variables
    found = []
    for _ in range(4):
        before = [weight.numpy() for weight in weights]
        optimizer.apply([tf.ones_like(weight.value) for weight in weights], weights)
        moved = [float((b - w.numpy()).mean()) for b, w in zip(before, weights, strict=True)]
        found.append(sorted({round(move, 5) for move in moved}))
    assert found == [pytest.approx([0.1 * rate, 0.5 * rate], abs=1e-5) for rate in rates]
    left = [float(group.learning_rate) for group in optimizer.groups]
    assert left == pytest.approx([0.1, 0.5] if schedule == "constant" else [0, 0], abs=1e-7)


def test_frozen_embeddings_have_no_rate_of_their_own():
    assert has_own_rate(EmbeddingConfig())
    assert not has_own_rate(EmbeddingConfig(trainable=False))
    assert not has_own_rate(EmbeddingConfig(learning_rate=0.0))
