"""PyTorch's side of the comparisons: the same model, in an environment of its own.

The benchmarks start it with the Python that has PyTorch. It reads requests from standard input, one
JSON object per line, and writes one answer per line to standard output.

    {"do": "load", "file": NPZ, "units": 128, ...}    loads weights and batches; `fused` is an
                                                      argument of PyTorch's Adam
    {"do": "train", "form": FORM}                     one step per batch → seconds, losses
    {"do": "infer", "form": FORM, "batches": [[[TOKEN, ...], ...], ...]}
                                                      tokens → probabilities, seconds per batch
    {"do": "pretrain", "form": FORM}                  one step of a language model per batch → wall
                                                      and cpu, in seconds, and losses

A form is `(packed|padded) (plain|folded) (float32|bfloat16)`: packed sequences or padding,
attention by its formulas or with its products folded, without or with autocast. A language model's
has no attention: `(packed|padded) (float32|bfloat16)`. On CPUs without
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
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def _set_direction(lstm: nn.LSTM, suffix: str, weights: list[np.ndarray]) -> None:
    """Copies Keras's kernel, recurrent kernel and bias into one direction of one layer."""
    kernel, recurrent, bias = (torch.from_numpy(weight.copy()) for weight in weights)
    with torch.no_grad():  # both libraries order the gates i, f, g, o
        getattr(lstm, f"weight_ih_{suffix}").copy_(kernel.T)
        getattr(lstm, f"weight_hh_{suffix}").copy_(recurrent.T)
        getattr(lstm, f"bias_ih_{suffix}").copy_(bias)
        # Keras has one bias.
        getattr(lstm, f"bias_hh_{suffix}").zero_().requires_grad_(False)


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
                names = [f"lstm_{layer}_{direction}_{number}" for number in range(3)]
                _set_direction(self.lstm, suffix, [weights[name] for name in names])
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


class LanguageModel(nn.Module):
    """Frozen word vectors, an LSTM in both directions, a sampled softmax that both share."""

    def __init__(self, weights: dict[str, np.ndarray], settings: dict) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(torch.from_numpy(weights["matrix"]))
        self.lstm = nn.LSTM(
            self.vectors.embedding_dim, settings["units"], batch_first=True, bidirectional=True
        )
        for direction, suffix in (("forward", "l0"), ("backward", "l0_reverse")):
            names = [f"{direction}/{name}" for name in ("kernel", "recurrent_kernel", "bias")]
            _set_direction(self.lstm, suffix, [weights[name] for name in names])
        self.kernel, self.bias = (
            nn.Embedding.from_pretrained(torch.from_numpy(array.copy()), freeze=False, sparse=True)
            for array in (weights["softmax/kernel"], weights["softmax/bias"][:, np.newaxis])
        )
        probabilities = torch.from_numpy(weights["probabilities"])
        self.ends, self.log_probabilities = probabilities.cumsum(0), probabilities.log().float()
        self.negatives = round(float(probabilities.sum()))

    def forward(
        self,
        rows: torch.Tensor | PackedSequence,
        mask: torch.Tensor | None,
        labels: list[torch.Tensor],
        starts: torch.Tensor,
    ) -> torch.Tensor:
        """Returns the mean loss; see `prepared` for the arguments."""
        if mask is None:
            states, _ = self.lstm(PackedSequence(self.vectors(rows.data), *rows[1:]))
            states = states.data
        else:
            states = self.lstm(self.vectors(rows))[0][mask]
        directions = zip(states.chunk(2, dim=1), labels, starts, strict=True)
        return torch.cat([self.losses(*direction) for direction in directions]).mean()

    def losses(
        self, states: torch.Tensor, labels: torch.Tensor, start: torch.Tensor
    ) -> torch.Tensor:
        """Returns losses[n] for states[n, units] and labels[n]."""
        points = start.double() + torch.arange(self.negatives)
        sampled = torch.searchsorted(self.ends, points, right=True).clamp(max=len(self.ends) - 1)
        true = (states * self.kernel(labels)).sum(1) + self.bias(labels).squeeze(1)
        offset = self.bias(sampled).squeeze(1) - self.log_probabilities[sampled]
        others = (states @ self.kernel(sampled).T).float() + offset
        others = others.masked_fill(labels[:, None] == sampled, -1e9)
        logits = torch.cat([true[:, None], others], 1)
        return nn.functional.cross_entropy(logits, torch.zeros_like(labels), reduction="none")

    @staticmethod
    def prepared(weights: dict[str, np.ndarray], packed: bool) -> list[tuple]:
        """Returns the arguments of `forward` for each batch.

        They are rows of the matrix, which of them are real if they are padded, the labels of both
        directions in the order of the states, and the samples' random numbers.
        """
        batches = []
        for number in range(int(weights["steps"])):
            rows, classes, lengths = (
                torch.from_numpy(weights[f"{name}_{number}"]).long()
                for name in ("rows", "classes", "lengths")
            )
            edge = torch.zeros_like(classes[:, :1])
            labels = torch.cat([classes[:, 1:], edge], 1), torch.cat([edge, classes[:, :-1]], 1)
            if packed:
                rows, *labels = (
                    pack_padded_sequence(ids, lengths, batch_first=True, enforce_sorted=False)
                    for ids in (rows, *labels)
                )
                mask, labels = None, [ids.data for ids in labels]
            else:
                mask = torch.arange(rows.shape[1]) < lengths[:, None]
                labels = [ids[mask] for ids in labels]
            batches.append((rows, mask, labels, torch.from_numpy(weights["starts"][number])))
        return batches


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

    def pretrain(self, form: str) -> dict:
        """Trains a language model one step per batch."""
        recurrence, dtype = form.split()
        if form not in self.models:
            model = LanguageModel(self.weights, self.settings)
            dense = [weight for weight in model.lstm.parameters() if weight.requires_grad]
            sparse = [model.kernel.weight, model.bias.weight]
            rate = self.settings["learning_rate"]
            optimizers = (
                torch.optim.Adam(dense, rate, fused=True),
                torch.optim.SparseAdam(sparse, rate),
            )
            batches = model.prepared(self.weights, recurrence == "packed")
            self.models[form] = model, dense, optimizers, batches
        model, dense, optimizers, batches = self.models[form]
        losses = []
        started = time.perf_counter(), time.process_time()
        for batch in batches:
            for optimizer in optimizers:
                optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                loss = model(*batch)
            loss.backward()
            nn.utils.clip_grad_norm_(dense, self.settings["clip_norm"])
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        return {"wall": wall, "cpu": cpu, "losses": losses}

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
