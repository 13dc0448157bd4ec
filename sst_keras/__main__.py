"""`python -m sst_keras` is `sst-keras`."""

from sst_keras.cli import main

main(prog_name="python -m sst_keras")
