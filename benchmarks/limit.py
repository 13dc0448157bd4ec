"""A training step over the machine's limit, and where the rest of its time goes.

    python benchmarks/limit.py

The limit of a step is the longer of two times: its matrix products' floating-point operations at
the rate of large matrix products, and Adam's bytes read and written at the rate of large copies.
Both rates are measured in the same run, on all cores. The limit does not include padding.

Two more times show where the rest goes: only the LSTM's products, at the sizes and in the order of
a step, and a step at a length of 0, extrapolated from two lengths.

TensorFlow computes bfloat16 on every CPU, slowly on those without bfloat16 instructions.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

import click
import records
from sides import DIM, Data, make_model, milliseconds_a_step, repeated_batch, tf, timed

from sst_keras import training

_LENGTHS = (10, 40)
_RATES = """
import statistics, time
import tensorflow as tf
def seconds(function):
    function()
    times = []
    for _ in range(9):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
for dtype in ("float32", "bfloat16"):
    matrix = tf.cast(tf.random.normal((2048, 2048)), dtype)
    print(2 * 2048**3 / seconds(lambda: tf.matmul(matrix, matrix)))
block = tf.random.normal((64, 2**20))  # 256 MiB
print(2 * 4 * 64 * 2**20 / seconds(lambda: tf.identity(block) + 0))
"""


def machine_rates() -> dict[str, float]:
    """Returns operations per second by dtype, and bytes per second."""
    # In a separate process, which uses all cores for one operation.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_NUM_")}
    done = subprocess.run(
        [sys.executable, "-c", _RATES],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        check=True,
    )
    float32, bfloat16, copied = map(float, done.stdout.split())
    return {"float32": float32, "bfloat16": bfloat16, "bytes": copied}


def operations(units: int, tokens: int, batch: int) -> float:
    """Returns the operations of a step with one layer, frozen vectors and folded attention.

    Forward: inputs and states times their kernels; the first step's state is zero. Backward: the
    gradients of the states and of both kernels; frozen vectors need none. Attention: its products
    of one vector per sentence, times three for the backward pass.
    """
    inputs = 2 * tokens * DIM * 4 * units
    states = 2 * (tokens - batch) * units * 4 * units
    attention = 3 * (2 * batch * 2 * units * units + 2 * 2 * tokens * units)
    return 2 * inputs + 3 * states + attention


def products_alone(units: int, length: int, dtype: str, rounds: int) -> float:
    """Returns the milliseconds of a step's LSTM products, in two halves of 32 rows."""
    rows = 32 * length

    def random(*shape: int) -> tf.Tensor:
        return tf.cast(tf.random.normal(shape) / shape[-1] ** 0.5, dtype)

    def half() -> tuple[tf.Tensor, ...]:
        """Returns random inputs, states, gates' gradients and one step's states."""
        return random(rows, DIM), random(rows, units), random(rows, 4 * units), random(32, units)

    kernel, recurrent = random(DIM, 4 * units), random(units, 4 * units)
    halves = half(), half()

    @tf.function
    def products(kernel: tf.Tensor, recurrent: tf.Tensor, halves: tuple) -> list[tf.Tensor]:
        back = tf.transpose(recurrent)
        done = []
        for inputs, states, gates, start in halves:
            # One product per step forward, and one backward.
            _, h = tf.while_loop(
                lambda t, _: t < length,
                lambda t, h: (t + 1, tf.matmul(tf.matmul(h, recurrent), back)),
                (tf.constant(0), start),
                parallel_iterations=1,
            )
            done += [
                h,
                tf.matmul(inputs, kernel),
                tf.matmul(inputs, gates, transpose_a=True),
                tf.matmul(states, gates, transpose_a=True),
            ]
        return done

    def run() -> None:
        products(kernel, recurrent, halves)

    run()
    return 1000 * statistics.median(timed(run) for _ in range(rounds))


@click.command()
@click.option("--units", multiple=True, type=int, default=(128, 256, 384, 512), show_default=True)
@click.option("--batches", default=16, show_default=True)
@click.option("--rounds", default=9, show_default=True)
def main(units: tuple[int, ...], batches: int, rounds: int) -> None:
    """Time a step at each width; writes one record for each dtype."""
    tf.config.experimental.enable_op_determinism()  # as in training
    data = Data()
    dataset = data.batches(batches)
    tokens = sum(int((inputs["token_ids"].numpy() != 0).sum()) for inputs, _ in dataset) / batches
    padded = sum(inputs["token_ids"].numpy().size for inputs, _ in dataset) / batches
    for width in units:
        settings = {"units": width, "num_layers": 1, "bidirectional": False, "tuned": False}
        for dtype in ("float32", "bfloat16"):
            model = make_model(data, settings, dtype)
            milliseconds_a_step(model, dataset, batches)
            rates = [machine_rates()]
            step = statistics.median(
                milliseconds_a_step(model, dataset, batches) for _ in range(rounds)
            )
            rates.append(machine_rates())
            rate, copied = (statistics.mean(r[name] for r in rates) for name in (dtype, "bytes"))
            count = training.STEPS_PER_EXECUTION
            short, long = (
                statistics.median(
                    milliseconds_a_step(model, repeated_batch(64, length), count)
                    for _ in range(rounds)
                )
                for length in _LENGTHS
            )
            fixed = short - _LENGTHS[0] * (long - short) / (_LENGTHS[1] - _LENGTHS[0])
            length = round(padded / 64)
            products = products_alone(width, length, dtype, rounds) * padded / 64 / length
            weights = sum(weight.shape.num_elements() for weight in model.trainable_weights)
            flops = operations(width, tokens, 64)
            # Adam reads weight, gradient and both moments, and writes all but the gradient.
            limit = 1000 * max(flops / rate, 7 * 4 * weights / copied)
            records.append(
                "limit",
                ("tensorflow", "keras", "numpy"),
                units=width,
                dtype=dtype,
                tokens_per_batch=tokens,
                padded_tokens_per_batch=padded,
                gflop=flops / 1e9,
                gflop_per_second=rate / 1e9,
                gigabytes_per_second=copied / 1e9,
                weights=weights,
                step_ms=step,
                limit_ms=limit,
                products_ms=products,
                fixed_ms=fixed,
                step_over_limit=step / limit,
            )
            click.echo(
                f"{width} units, {dtype}: {step:.1f} ms, limit {limit:.1f} ms ({flops / 1e9:.2f} "
                f"GFLOP at {rate / 1e9:.0f} GFLOP/s): {step / limit:.2f}; products "
                f"{products:.1f} ms, fixed {fixed:.1f} ms"
            )


if __name__ == "__main__":
    main()
