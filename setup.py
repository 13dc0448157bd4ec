"""Metadata, dependencies, extras, and what the wheel ships beside the code."""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "sst_keras/__init__.py").read_text("utf-8"))[1]

# The repository has one copy of the pipelines, the sample, the cases of behaviour and the small
# model, where people look for them. A wheel has them inside the package. An editable install reads
# those of the repository.
BUNDLED = {
    "sst_keras.pipelines": "pipelines",
    "sst_keras.sample": "data/sample",
    "sst_keras.behaviour": "data/behaviour",
    "sst_keras.small": "saved_models/small",
}
if "editable_wheel" in sys.argv:
    BUNDLED = {}

setup(
    name="sst-keras",
    version=VERSION,
    description="Train, evaluate, plot, export and serve LSTM sentiment classifiers on SST-5",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=["sst_keras*"]), *BUNDLED],
    package_dir={"": ".", **BUNDLED},
    package_data={
        "sst_keras": ["py.typed"],
        "sst_keras.experiments.report": ["page.html"],
        "sst_keras.serving": ["explanation.html", "page.html"],
        "sst_keras.pipelines": ["*.toml", "sweeps/*.toml"],
        "sst_keras.sample": ["*.txt", "*.md"],
        "sst_keras.behaviour": ["*.csv", "*.md"],
        "sst_keras.small": ["1/*", "1/variables/*", "1/assets.extra/*"],
        "sst_keras.datasets.sst5": ["*.md", "*.bib", "*.txt", "*.tsv"],
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<4",
        "tensorflow-datasets>=4.9.10",
        "gensim>=4.4",
        "numpy>=2.0.2",  # np.isin of large integers
        "scipy>=1.13",  # Student's t; rows that belong together
        "matplotlib>=3.9",
        "markdown>=3.6",  # reports as HTML
        "click>=8.2",
        "platformdirs>=4",  # the user's cache folder on each system
        "rich>=13",
        "charset-normalizer>=3.3.2",  # encodings of people's files
        "tomli-w>=1.1",
        "importlib_resources",  # tensorflow-datasets imports it without requiring it
    ],
    extras_require={
        "tensorboard": ["tensorboard>=2.19"],
        "serve": ["starlette>=0.45", "uvicorn>=0.30", "prometheus-client>=0.20"],
        "parquet": ["pyarrow>=17"],
        # Ray 2.64 will take away the bound on the restarts of an actor that dies on a text.
        "ray": ["ray[data]>=2.50,<2.64", "pyarrow>=17"],
        "search": ["optuna>=4"],
        "jax": ["jax>=0.5"],  # what Keras may compute with: KERAS_BACKEND=jax
        "torch": ["torch>=2.4"],
        "onnx": ["tf2onnx>=1.17", "onnx>=1.17"],
        "test": [
            "pytest>=9.1",  # catches the messages of loggers of their own
            "pytest-xdist>=3.5",  # tests in several processes
            "hypothesis>=6.100",  # properties of tables, texts and splits
            "pandas>=2.2",  # writes tables that the reader must read
            "ruff>=0.9",
            "ray[data]>=2.50,<2.64",  # a cluster of processes
            "pyarrow>=17",
            "optuna>=4",
            "dill",  # TFDS tests builders with it
            "scikit-learn>=1.5",  # checks the metrics
            "starlette>=1.10",  # the server; earlier ones are asked by another client
            "uvicorn>=0.30",
            "prometheus-client>=0.20",
            "httpx2",  # asks it
            "tf2onnx>=1.17",  # other forms of export
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "ai-edge-litert>=1.2",
            "playwright>=1.49",  # opens its page in Chromium, if that is installed
            "axe-playwright-python>=0.1.4",  # checks the page's accessibility
        ],
    },
    entry_points={"console_scripts": ["sst-keras=sst_keras.cli:main"]},
)
