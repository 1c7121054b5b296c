#!/usr/bin/env python3
"""Writes the PyTorch files of tests/Fixtures/golden that are too large as they were trained, the small ones the fuzzer mutates, and the training steps.

Usage: make-torch-fixtures.py SOURCE TARGET
SOURCE holds uncond_tiny.pt, official_uncond.pkl (weights and the Adam state of every parameter) and backward.safetensors in full; TARGET is tests/Fixtures/golden.
Every PyTorch file is written by torch.save itself (torch 1.13), so the containers are real. Adam state is kept only for parameters below 2,000 elements.
"""
import io
import json
import math
import os
import struct
import sys
import zipfile

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "peers"))
from torch_diffwave import Training, alpha_bars, linear_betas, random_weights, read_safetensors

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


# Training steps. A tensor of more than `most` values is thinned: `name#k` holds every k-th in row-major order from the first on, k a prime that divides no dimension, so that
# what is kept moves through all columns and taps.
def thin(name, tensor, most):
    if tensor.numel() <= most:
        return name, tensor
    k = math.ceil(tensor.numel() / most)
    while any(k % p == 0 for p in range(2, math.isqrt(k) + 1)) or any(n % k == 0 for n in tensor.shape):
        k += 1
    return f"{name}#{k}", tensor.flatten()[::k]


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    names = {torch.float64: "F64", torch.int64: "I64", torch.float32: "F32"}
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        raw = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


# lmnt's: everything it has, thinned.
whole, metadata = read_safetensors(os.path.join(source, "backward.safetensors"))
inputs = ("in.", "noise_level")
write_safetensors(os.path.join(target, "backward.safetensors"), dict((n, t) if n.startswith(inputs) else thin(n, t, most=32) for n, t in whole.items()), metadata)


def make_training(name, channels, layers, cycle, mels, betas, batch, length, steps, adam3):
    """NAME.pt: weights in lmnt's layout. backward_NAME.safetensors: steps on one batch with the graph of bench/peers/torch_diffwave.py; losses and norms in float32 and float64,
    the noisy audio, the prediction, gradients and updated weights computed in float64 and stored as float32."""
    generator = torch.Generator().manual_seed(channels)
    weights = random_weights(channels, layers, mels, seed=channels)
    for key, weight in weights.items():
        if weight.numel() > 101:  # a repeating sequence, of which the zip container keeps little more than one period
            weights[key] = weight.flatten()[:101].repeat(weight.numel() // 101 + 1)[:weight.numel()].reshape(weight.shape).clone()
    params = {
        "sample_rate": 22050, "n_mels": mels or 80, "n_fft": 1024, "hop_samples": 256, "residual_layers": layers, "residual_channels": channels, "dilation_cycle_length": cycle,
        "unconditional": mels == 0, "noise_schedule": betas, "inference_noise_schedule": [betas[0], 0.01, 0.1, 0.3],
    }
    stored = io.BytesIO()
    torch.save({"step": 0, "model": weights, "params": params}, stored)
    with zipfile.ZipFile(stored) as plain, zipfile.ZipFile(os.path.join(target, f"{name}.pt"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for entry in plain.namelist():
            packed.writestr(zipfile.ZipInfo(entry), plain.read(entry), zipfile.ZIP_DEFLATED, 9)

    data = {
        "in.audio": 0.3 * torch.randn(batch, length, generator=generator), "in.noise": torch.randn(batch, length, generator=generator), "in.step": torch.tensor(steps),
        "noise_level": torch.tensor(alpha_bars(betas), dtype=torch.float64).float(),
    }
    if mels:
        data["in.spectrogram"] = torch.rand(batch, mels, length // 256, generator=generator)
    results = dict(data)
    for kind, loss in (("l1", F.l1_loss), ("mse", F.mse_loss)):
        single, double = Training(weights, cycle, data, loss), Training(weights, cycle, data, loss, torch.float64)
        if kind == "l1":
            difference = (double.predict() - double.noise).detach()
            assert difference.abs().min() > 1e-6  # no sign that rounding could turn
            results.update([thin("noisy_audio", double.noisy().float(), 32), thin("predicted", double.predict().detach()[:, None].float(), 32)])
        rows32, rows64 = [single.step()], [double.step()]
        for key, weight in double.weights.items():
            worst = (single.weights[key].grad - weight.grad).abs().max() / weight.grad.abs().max().clamp_min(1e-30)
            assert worst < 2e-5, (key, worst)  # nor a ReLU: PyTorch's float32 agrees five times closer than the check asks for
            results.update([thin(f"{kind}.grad.{key}", weight.grad.float(), 32)])
        for _ in range(2):
            rows32.append(single.step())
            rows64.append(double.step())
        for suffix, rows in (("", rows32), ("_f64", rows64)):
            results[f"{kind}.loss{suffix}"], results[f"{kind}.grad_norm{suffix}"] = torch.tensor(rows, dtype=torch.float64).unbind(1)
        if kind == adam3:
            results.update(thin(f"{kind}.adam3.{key}", weight.detach().float(), 32) for key, weight in double.weights.items())
    write_safetensors(os.path.join(target, f"backward_{name}.safetensors"), results, {"source": "bench/peers/torch_diffwave.py, float64"})


make_training("cond_24", channels=24, layers=7, cycle=4, mels=5, betas=linear_betas(50), batch=3, length=768, steps=[0, 21, 49], adam3="mse")
make_training("uncond_9", channels=9, layers=4, cycle=3, mels=0, betas=[1e-3 + n * 0.099 / 19 for n in range(20)], batch=3, length=301, steps=[19, 4, 0], adam3="l1")
