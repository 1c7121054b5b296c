#!/usr/bin/env python3
"""Writes the PyTorch files of tests/Fixtures/golden that are too large as they were trained, and the small ones the fuzzer mutates.

Usage: make-torch-fixtures.py SOURCE TARGET
SOURCE holds uncond_tiny.pt and official_uncond.pkl in full (weights and the Adam state of every parameter); TARGET is tests/Fixtures/golden.
Every file is written by torch.save itself (torch 1.13), so the containers are real. Adam state is kept only for parameters below 2,000 elements.
"""
import json
import os
import sys

import torch

source, target = sys.argv[1:]
os.makedirs(os.path.join(target, "torch"), exist_ok=True)


def small_state(optimizer):
    state = {i: s for i, s in optimizer["state"].items() if s["exp_avg"].numel() < 2000}
    return {"state": state, "param_groups": optimizer["param_groups"]}


# lmnt's checkpoint: zip container with optimiser.
lmnt = torch.load(os.path.join(source, "uncond_tiny.pt"), map_location="cpu")
lmnt["optimizer"] = small_state(lmnt["optimizer"])
torch.save(lmnt, os.path.join(target, "uncond_tiny.pt"))

# philsyn's checkpoint: legacy container with optimiser, tagged as written on a GPU.
official = torch.load(os.path.join(source, "official_uncond.pkl"), map_location="cpu")
official["optimizer_state_dict"] = small_state(official["optimizer_state_dict"])
tag = torch.serialization.location_tag
torch.serialization.location_tag = lambda storage: "cuda:0"
torch.save(official, os.path.join(target, "official_uncond.pkl"), _use_new_zipfile_serialization=False)
torch.serialization.location_tag = tag

# Every kind of tensor, with the values expected of it.
torch.manual_seed(1)
base = torch.randn(4, 6)
ints = torch.arange(-6, 6)
tensors = {
    "plain": base,
    "transposed": base.t(),
    "sliced": base[1:3, 1::2],
    "permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
    "column": base[:, 2],
    "offset": base[2:],
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 5),
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "double": torch.randn(3, 2, dtype=torch.float64),
    "half": torch.randn(5).half(),
    "bfloat16": torch.randn(5).bfloat16(),
    "double_transposed": torch.randn(3, 2, dtype=torch.float64).t(),
    "long": ints.reshape(3, 4).t(),
    "int": ints.int(),
    "short": ints.short(),
    "char": ints.char(),
    "byte": torch.tensor([0, 7, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
}
values = {"step": 12, "large": 2 ** 40, "negative": -3, "ratio": 0.1, "none": None, "flags": [True, False], "text": "h\u00e9llo", "pair": (1, 2.5)}
content = {"tensors": tensors, "values": values}
torch.save(content, os.path.join(target, "torch", "kinds.pt"))
torch.save(content, os.path.join(target, "torch", "kinds_legacy.pt"), _use_new_zipfile_serialization=False)
expected = {name: {"shape": list(t.shape), "values": t.detach().double().flatten().tolist()} for name, t in tensors.items()}
with open(os.path.join(target, "torch", "kinds.json"), "w") as file:
    json.dump(expected, file)

# A checkpoint in miniature (real layout, one small layer, its Adam state): what the fuzzer starts from.
model = torch.nn.Sequential(torch.nn.utils.weight_norm(torch.nn.Conv1d(2, 3, 3)))
adam = torch.optim.Adam(model.parameters())
model(torch.randn(1, 2, 8)).sum().backward()
adam.step()
mini = {"step": 3, "model": model.state_dict(), "optimizer": adam.state_dict(), "params": {"noise_schedule": [1e-4, 0.05], "unconditional": True}, "scaler": {}}
torch.save(mini, os.path.join(target, "torch", "mini.pt"))
torch.save(mini, os.path.join(target, "torch", "mini_legacy.pt"), _use_new_zipfile_serialization=False)
