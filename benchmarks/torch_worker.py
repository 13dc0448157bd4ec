"""PyTorch's side of the comparisons: the same model, in an environment of its own.

The benchmarks start it with the Python that has PyTorch. It reads requests from standard input, one
JSON object per line, and writes one answer per line to standard output.

    {"do": "load", "file": NPZ, "units": 128, ...}    loads weights and batches; `fused` is an
                                                      argument of PyTorch's Adam
    {"do": "train", "form": FORM}                     one step per batch → seconds, losses
    {"do": "infer", "form": FORM, "batches": [[[TOKEN, ...], ...], ...]}
                                                      tokens → probabilities, seconds per batch

A form is `(packed|padded) (plain|folded) (float32|bfloat16)`: packed sequences or padding,
attention by its formulas or with its products folded, without or with autocast. On CPUs without
bfloat16 instructions PyTorch has no bfloat16 LSTM; the answer is then `{"refused": REASON}`.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Classifier(nn.Module):
    """Word vectors, LSTMs, attention with a learned key, a linear layer."""

    def __init__(self, weights: dict[str, np.ndarray], settings: dict) -> None:
        super().__init__()
        units, layers = settings["units"], settings["num_layers"]
        directions = 2 if settings["bidirectional"] else 1
        matrix = torch.from_numpy(weights["embedding"].copy())
        self.embedding = nn.Embedding.from_pretrained(matrix, freeze=not settings["tuned"])
        self.lstm = nn.LSTM(
            matrix.shape[1], units, layers, batch_first=True, bidirectional=directions == 2
        )
        for layer in range(layers):
            for direction in range(directions):
                suffix = f"l{layer}" + ("_reverse" if direction else "")
                kernel, recurrent, bias = (
                    torch.from_numpy(weights[f"lstm_{layer}_{direction}_{number}"].copy())
                    for number in range(3)
                )
                with torch.no_grad():  # both libraries order the gates i, f, g, o
                    getattr(self.lstm, f"weight_ih_{suffix}").copy_(kernel.T)
                    getattr(self.lstm, f"weight_hh_{suffix}").copy_(recurrent.T)
                    getattr(self.lstm, f"bias_ih_{suffix}").copy_(bias)
                    # Keras has one bias.
                    getattr(self.lstm, f"bias_hh_{suffix}").zero_().requires_grad_(False)
        for name in ("query", "key", "value", "output", "output_bias", "logits", "logits_bias"):
            setattr(self, name, nn.Parameter(torch.from_numpy(weights[name].copy())))

    def forward(self, ids: torch.Tensor, packed: bool, folded: bool) -> torch.Tensor:
        """Returns logits[batch, classes] for ids[batch, time], 0 at padding."""
        mask = ids != 0
        x = self.embedding(ids)
        if packed:
            x = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.lstm(x)[0], batch_first=True)
        else:
            x, _ = self.lstm(x)
        scores = x @ (self.query @ self.key) if folded else (x @ self.query) @ self.key
        scores = scores.squeeze(-1).float().masked_fill(~mask, -1e9)
        attention = torch.softmax(scores, 1).unsqueeze(-1)  # [batch, time, 1]
        if folded:
            pooled = (attention * x).sum(1) @ self.value
        else:
            pooled = (attention * (x @ self.value)).sum(1)
        features = pooled @ self.output + self.output_bias
        return features @ self.logits + self.logits_bias


class Worker:
    """Holds the weights and batches, and a model for each form."""

    def load(self, file: str, **settings: object) -> dict:
        """Reads weights and batches; returns PyTorch's version."""
        with np.load(file) as arrays:
            self.weights = {name: arrays[name] for name in arrays.files}
        self.settings = settings
        self.models: dict[str, tuple] = {}
        count = int(self.weights.get("batches", 0))
        self.batches = [
            tuple(
                torch.from_numpy(self.weights[f"{kind}_{n}"]).long() for kind in ("ids", "labels")
            )
            for n in range(count)
        ]
        self.words = {
            str(word): number for number, word in enumerate(self.weights.get("words", ()))
        }
        return {"torch": torch.__version__}

    def model(self, form: str) -> tuple:
        """Returns the form's model and optimizer, which are made at its first use."""
        if form not in self.models:
            model = Classifier(self.weights, self.settings)
            wanted = [weight for weight in model.parameters() if weight.requires_grad]
            self.models[form] = (
                model,
                torch.optim.Adam(wanted, 1e-3, eps=1e-8, fused=self.settings["fused"]),
            )
        return self.models[form]

    def train(self, form: str) -> dict:
        """Trains one step per batch."""
        model, optimizer = self.model(form)
        recurrence, attention, dtype = form.split()
        losses = []
        started = time.perf_counter()
        for ids, labels in self.batches:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                logits = model(ids, recurrence == "packed", attention == "folded")
                loss = nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return {"seconds": time.perf_counter() - started, "losses": losses}

    def infer(self, form: str, batches: list[list[list[str]]]) -> dict:
        """Classifies batches of tokenized texts."""
        model, _ = self.model(form)
        recurrence, attention, dtype = form.split()
        seconds, probabilities = [], []
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
        ):
            for texts in batches:
                started = time.perf_counter()
                longest = max(len(tokens) for tokens in texts)
                ids = torch.tensor(
                    [
                        [self.words.get(token, 1) for token in tokens]
                        + [0] * (longest - len(tokens))
                        for tokens in texts
                    ]
                )
                logits = model(ids, recurrence == "packed", attention == "folded")
                probabilities += torch.softmax(logits.float(), 1).numpy().tolist()
                seconds.append(time.perf_counter() - started)
        return {"seconds": seconds, "probabilities": probabilities}


def answer(worker: Worker, request: dict) -> dict:
    """Returns the answer to a request; see the top of this file."""
    method = getattr(worker, request.pop("do"))
    try:
        return method(**request)
    except RuntimeError as error:  # such as "could not create a primitive descriptor for an LSTM"
        if not request.get("form", "").endswith("bfloat16"):
            raise
        return {"refused": str(error).strip().partition("\n")[0]}


def main() -> None:
    """Answers line by line."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count())
    worker = Worker()
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
