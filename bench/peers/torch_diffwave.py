#!/usr/bin/env python3
"""DiffWave in plain PyTorch on the CPU or a GPU, as a peer to measure against. See README.md beside this file.

The graph is lmnt-com/diffwave's (Kong et al. 2021, section 3), written from the equations; the lines with m only in models that take a mel:

  x  = relu(W_in audio)                                        [B, C, L]
  e  = silu(W_2 silu(W_1 table(step)))                         [B, 512]
  m  = two stages of leaky_relu(transposed conv, stride 16)    [B, M, 256 F]
  per layer i, dilation d = 2^(i mod cycle):
     y = dilated_conv_d(x + W_e e) + W_m m                     [B, 2C, L]
     z = W_o (sigmoid(y[:C]) * tanh(y[C:]))                    [B, 2C, L]
     x = (x + z[:C]) / sqrt(2);  skip += z[C:]
  eps = W_out relu(W_skip skip / sqrt(layers))                 [B, 1, L]

A training step is that of lmnt's learner: sqrt(a) audio + sqrt(1 - a) noise goes in, mean |noise - eps| is the loss, Adam follows its gradient.
"""
import argparse
import array
import contextlib
import json
import math
import os
import resource
import statistics
import struct
import sys
import time

import torch
import torch.nn.functional as F

HOP_FACTORS = (16, 16)
FAST_BETAS = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)
TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def linear_betas(steps):
    return [1e-4 + n * (0.05 - 1e-4) / (steps - 1) for n in range(steps)]


def alpha_bars(betas):
    product, result = 1.0, []
    for beta in betas:
        product *= 1 - beta
        result.append(product)
    return result


def aligned_steps(betas, training):
    """Fractional training steps with the same noise level (paper, appendix B)."""
    table, steps = alpha_bars(training), []
    for level in alpha_bars(betas):
        t = next(t for t in range(len(table) - 1) if table[t + 1] <= level <= table[t])
        here, after = math.sqrt(table[t]), math.sqrt(table[t + 1])
        steps.append(t + (here - math.sqrt(level)) / (here - after))
    return steps


def read_safetensors(path):
    """Tensors by name, and the file's metadata. Header: 8-byte length, JSON; then raw little-endian data."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def random_weights(channels, layers, mels, seed):
    """Weights of the right shapes and magnitudes; time does not depend on their values. mels 0: an unconditional model."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}

    def add(name, *shape):
        fan_in = math.prod(shape[1:])
        weights[name + ".weight"] = torch.randn(shape, generator=generator) / math.sqrt(fan_in)
        weights[name + ".bias"] = torch.randn(shape[1] if len(shape) == 4 else shape[0], generator=generator) / math.sqrt(fan_in)

    add("input_projection", channels, 1, 1)
    add("diffusion_embedding.projection1", 512, 128)
    add("diffusion_embedding.projection2", 512, 512)
    for stage, factor in enumerate(HOP_FACTORS if mels else ()):
        add(f"spectrogram_upsampler.conv{stage + 1}", 1, 1, 3, 2 * factor)
    for i in range(layers):
        add(f"residual_layers.{i}.dilated_conv", 2 * channels, channels, 3)
        add(f"residual_layers.{i}.diffusion_projection", channels, 512)
        if mels:
            add(f"residual_layers.{i}.conditioner_projection", 2 * channels, mels, 1)
        add(f"residual_layers.{i}.output_projection", 2 * channels, channels, 1)
    add("skip_projection", channels, channels, 1)
    add("output_projection", 1, channels, 1)
    return weights


class Model:
    def __init__(self, weights, cycle, table_steps=50):
        self.w, self.cycle = weights, cycle
        self.channels = weights["skip_projection.weight"].shape[0]
        self.layers = sum(name.endswith(".dilated_conv.weight") for name in weights)
        projection = weights.get("residual_layers.0.conditioner_projection.weight")
        self.mels = 0 if projection is None else projection.shape[1]
        arguments = torch.arange(table_steps)[:, None] * 10.0 ** (torch.arange(64) * 4.0 / 63.0)
        self.table = torch.cat([torch.sin(arguments), torch.cos(arguments)], dim=1).to(weights["skip_projection.weight"])
        self.evaluate = self.forward  # or the same compiled

    def _conv(self, name, x, **options):
        return F.conv1d(x, self.w[name + ".weight"], self.w[name + ".bias"], **options)

    def _linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def embed(self, step):
        """Step [B], whole or fractional: table rows interpolated linearly, then two layers. [B, 512]"""
        low = torch.floor(step)
        lower, upper = self.table[low.long()], self.table[torch.ceil(step).long()]
        e = lower + (upper - lower) * (step - low)[:, None]
        e = F.silu(self._linear("diffusion_embedding.projection1", e))
        return F.silu(self._linear("diffusion_embedding.projection2", e))

    def upsample(self, mel):
        """[B, M, F] -> [B, M, 256 F]"""
        m = mel[:, None]
        for stage, factor in enumerate(HOP_FACTORS):
            name = f"spectrogram_upsampler.conv{stage + 1}"
            m = F.conv_transpose2d(m, self.w[name + ".weight"], self.w[name + ".bias"], stride=(1, factor), padding=(1, factor // 2))
            m = F.leaky_relu(m, 0.4)
        return m[:, 0]

    def condition(self, mel):
        """Conditioner projections of every layer, [B, 2C, 256 F] each; they do not depend on the diffusion step."""
        m = self.upsample(mel)
        return [self._conv(f"residual_layers.{i}.conditioner_projection", m) for i in range(self.layers)]

    def forward(self, audio, step, mel=None, conditions=None):
        """Predicted noise [B, 1, L] of audio [B, L]; the conditioner from the mel, or from `condition`, or none."""
        m = None if mel is None or conditions is not None else self.upsample(mel)
        x = F.relu(self._conv("input_projection", audio[:, None]))
        e = self.embed(step)
        skip = None
        for i in range(self.layers):
            layer, dilation = f"residual_layers.{i}", 1 << (i % self.cycle)
            y = x + self._linear(f"{layer}.diffusion_projection", e)[:, :, None]
            y = self._conv(f"{layer}.dilated_conv", y, padding=dilation, dilation=dilation)
            if m is not None or conditions is not None:
                y += self._conv(f"{layer}.conditioner_projection", m) if conditions is None else conditions[i]
            gate, content = y.chunk(2, dim=1)
            residual, more = self._conv(f"{layer}.output_projection", torch.sigmoid(gate) * torch.tanh(content)).chunk(2, dim=1)
            x = (x + residual) / math.sqrt(2)
            skip = more if skip is None else skip + more
        y = F.relu(self._conv("skip_projection", skip / math.sqrt(self.layers)))
        return self._conv("output_projection", y)

    def synthesize(self, mel, betas, steps, cache, noise=None):
        """The reverse chain (Kong et al., algorithm 2, clamped as lmnt does) from noise to audio [B, 256 F]. `noise`: (first x, noise by step), drawn when None."""
        length = mel.shape[2] * math.prod(HOP_FACTORS)
        bars = alpha_bars(betas)
        conditions = self.condition(mel) if cache else None
        x = torch.randn(mel.shape[0], length, device=mel.device) if noise is None else noise[0]
        at = torch.tensor(steps, dtype=torch.float32, device=mel.device)
        for n in range(len(betas) - 1, -1, -1):
            eps = self.evaluate(x, at[n:n + 1], mel, conditions)[:, 0].float()
            x = (x - betas[n] / math.sqrt(1 - bars[n]) * eps) / math.sqrt(1 - betas[n])
            if n > 0:
                sigma = math.sqrt((1 - bars[n - 1]) / (1 - bars[n]) * betas[n])
                x = x + sigma * (torch.randn_like(x) if noise is None else noise[1][n])
            x = torch.clamp(x, -1, 1)
        return x


class Mode:
    """Where and how PyTorch computes. fp32: as on the CPU. On a GPU also tf32: products of float32 on tensor cores; amp: autocast to fp16; compile: amp under torch.compile, max-autotune, with CUDA graphs."""

    NAMES = ("fp32", "tf32", "amp", "compile")

    def __init__(self, device, name):
        if device == "cpu" and name != "fp32":
            raise SystemExit(f"--mode {name} needs --device cuda")
        self.device, self.name = torch.device(device), name
        self.half = name in ("amp", "compile")
        self.adam = {} if device == "cpu" else {"fused": True}
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != "fp32"
        torch.backends.cudnn.benchmark = True

    def move(self, tensors):
        return {name: tensor.to(self.device) for name, tensor in tensors.items()}

    def autocast(self):
        return torch.autocast(self.device.type, dtype=torch.float16) if self.half else contextlib.nullcontext()

    def compiled(self, function):
        return torch.compile(function, mode="max-autotune") if self.name == "compile" else function

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_bytes(self):
        """Memory that counts: the device's where there is one."""
        return torch.cuda.max_memory_reserved() if self.device.type == "cuda" else peak_rss_bytes()

    def forget_peak(self):
        """Makes peak_bytes begin anew on a GPU: what a check has taken does not count."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def settings(self):
        return {"device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu", "mode": self.name}


class Counting:
    """Counts the FLOPs of the convolutions and matrix products called inside, from the shapes they are given, padding included: a multiply-add is two.

    A filter's weights are applied once for every output, those of a transposed filter once for every input. Where autograd records a call, its backward computes as much again for
    each of input and weights that needs a gradient."""

    def __enter__(self):
        self.forward, self.backward = dict.fromkeys(("conv1d", "conv_transpose2d", "linear"), 0), 0
        self.originals = {name: getattr(F, name) for name in self.forward}
        for name, original in self.originals.items():
            setattr(F, name, self.counted(name, original))
        return self

    def __exit__(self, *_):
        for name, original in self.originals.items():
            setattr(F, name, original)

    def counted(self, name, original):
        def call(x, weight, *others, **options):
            y = original(x, weight, *others, **options)
            flops = 2 * (x if name == "conv_transpose2d" else y).numel() * weight[0].numel()
            self.forward[name] += flops
            self.backward += flops * (x.requires_grad + weight.requires_grad) if torch.is_grad_enabled() else 0
            return y
        return call

    def answer(self):
        return {"flops": sum(self.forward.values()) + self.backward, "forward_flops": self.forward}


def counted(model, work):
    """Runs work and counts; uncompiled, since a compiled network calls other functions. Its answer and what work gives."""
    evaluate, model.evaluate = model.evaluate, model.forward
    try:
        with Counting() as counting:
            result = work()
    finally:
        model.evaluate = evaluate
    return counting.answer(), result


class Training:
    """Steps on one batch with fixed noise and diffusion steps: tensors in.audio [B, L], in.noise [B, L], in.step [B], noise_level [T], and in.spectrogram [B, M, F] or none."""

    def __init__(self, weights, cycle, batch, loss=F.l1_loss, dtype=torch.float32, mode=None):
        self.mode = mode or Mode("cpu", "fp32")
        weights, batch = self.mode.move(weights), self.mode.move(batch)
        self.weights = {name: weight.to(dtype).clone().requires_grad_() for name, weight in weights.items()}
        self.model = Model(self.weights, cycle, len(batch["noise_level"]))
        self.model.evaluate = self.mode.compiled(self.model.forward)
        self.audio, self.noise = batch["in.audio"].to(dtype), batch["in.noise"].to(dtype)
        self.mel = batch["in.spectrogram"].to(dtype) if "in.spectrogram" in batch else None
        self.steps = batch["in.step"].long()
        self.level = batch["noise_level"].to(dtype)[self.steps][:, None]
        self.loss, self.adam = loss, torch.optim.Adam(self.weights.values(), lr=2e-4, **self.mode.adam)
        self.scaler = torch.cuda.amp.GradScaler(enabled=self.mode.half)

    def noisy(self):
        return self.level.sqrt() * self.audio + (1 - self.level).sqrt() * self.noise

    def predict(self):
        with self.mode.autocast():
            return self.model.evaluate(self.noisy(), self.steps.to(self.level.dtype), self.mel)[:, 0]

    def step(self):
        """One step as lmnt's learner takes it; returns the loss and the norm of all gradients."""
        for weight in self.weights.values():
            weight.grad = None
        loss = self.loss(self.noise, self.predict().to(self.noise.dtype))
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.adam)
        norm = torch.nn.utils.clip_grad_norm_(list(self.weights.values()), 1e9)
        self.scaler.step(self.adam)
        self.scaler.update()
        return loss.item(), norm.item()


def check(folder):
    """Compares with reference outputs; returns the exit code."""
    weights, metadata = read_safetensors(os.path.join(folder, "cond_tiny.safetensors"))
    cycle = json.loads(metadata["params"])["dilation_cycle_length"]

    def tensors(name):
        return read_safetensors(os.path.join(folder, name))[0]

    rows = check_synthesis(Model(weights, cycle), tensors("forward.safetensors"), tensors("sample.safetensors")) + check_training(weights, cycle, tensors("backward.safetensors"))
    ok = True
    for name, found, expected, tolerance in rows:
        error = (found - expected).abs().max().item()
        good = found.shape == expected.shape and error <= tolerance
        ok &= good
        print(f"{'ok  ' if good else 'FAIL'} {name}: largest difference {error:.2e}, allowed {tolerance:.0e}")
    return 0 if ok else 1


@torch.inference_mode()
def check_synthesis(model, golden, chain):
    audio, mel = golden["in.audio"], golden["in.spectrogram"]
    fast_mel = chain["fast6.in.spectrogram"][None]
    betas, steps = list(FAST_BETAS), aligned_steps(FAST_BETAS, linear_betas(50))
    noise = (chain["fast6.noise_init"], chain["fast6.noise"][:, 0])
    whole, fractional = golden["in.step_int"].float(), golden["in.step_frac"]
    return [
        ("forward, whole steps", model.forward(audio, whole, mel), golden["cond.int.output"], 1e-5),
        ("forward, fractional step", model.forward(audio, fractional, mel), golden["cond.frac.output"], 1e-5),
        ("forward, cached conditioner", model.forward(audio, whole, conditions=model.condition(mel)), golden["cond.int.output"], 1e-5),
        ("6-step chain", model.synthesize(fast_mel, betas, steps, False, noise), chain["fast6.audio"], 5e-6),
        ("6-step chain, cached", model.synthesize(fast_mel, betas, steps, True, noise), chain["fast6.audio"], 5e-6),
    ]


def check_training(weights, cycle, golden):
    """Losses, gradient norms and gradients of three steps; a tensor `name#k` holds every k-th value."""
    rows = []
    for kind, loss in (("l1", F.l1_loss), ("mse", F.mse_loss)):
        training = Training(weights, cycle, golden, loss)
        first = training.step()
        gradients = {name: weight.grad for name, weight in training.weights.items()}
        results = torch.tensor([first] + [training.step() for _ in range(2)], dtype=torch.float64)
        for column, (name, tolerance) in enumerate((("loss", 2e-6), ("grad_norm", 2e-5))):
            rows.append((f"{kind} {name}, relative", results[:, column] / golden[f"{kind}.{name}"], torch.ones(len(results), dtype=torch.float64), tolerance))
        worst = []
        for name, expected in golden.items():
            if name.startswith(f"{kind}.grad."):
                parameter, _, stride = name[len(f"{kind}.grad."):].partition("#")
                found = gradients[parameter].flatten()[::int(stride or 1)]
                worst.append((found - expected.flatten()).abs().max() / expected.abs().max())
        rows.append((f"{kind} gradients of {len(worst)} weights, each relative to its largest", torch.stack(worst), torch.zeros(len(worst)), 1e-4))
    return rows


def peak_rss_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--cycle", type=int, default=10, help="layers after which the dilation starts again at 1")
    parser.add_argument("--mels", type=int, default=80)
    parser.add_argument("--frames", type=int, default=431, help="mel frames of 256 samples; 431 are 5.004 s at 22050 Hz")
    parser.add_argument("--steps", type=int, default=6, choices=(6, 50), help="6: the paper's fast schedule, 50: the training schedule")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="clips synthesized side by side")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--mode", default="fp32", choices=Mode.NAMES, help="all but fp32 need --device cuda; see README.md")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", metavar="FILE.safetensors", help="lmnt-named weights in place of random ones; decides channels, layers and mels")
    parser.add_argument("--clips", metavar="FILE.safetensors", help="synthesize the mels in FILE (in.spectrogram) in place of random ones; `check` takes the noise in it (noise_init, noise)")
    parser.add_argument("--train", metavar="FILE.safetensors", help="serve training steps on the batch in FILE (in.audio, in.spectrogram, in.noise, in.step, noise_level), starting from --weights")
    parser.add_argument("--cache-conditioner", action="store_true", help="compute upsampler and conditioner projections once a synthesis, not once a step")
    parser.add_argument("--repeat", type=int, metavar="N", help="time N syntheses and print the median, instead of serving commands")
    parser.add_argument("--check", metavar="FOLDER", help="compare with the reference outputs in FOLDER and exit")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    if arguments.check:
        return check(arguments.check)
    return train(arguments) if arguments.train else synthesize(arguments)


def timed(work, mode):
    mode.wait()
    start = time.perf_counter()
    result = work()
    mode.wait()
    return {"seconds": time.perf_counter() - start, "peak_bytes": mode.peak_bytes(), **(result or {})}


def serve(setting, commands, mode):
    """Answers each line on standard input that names a command with one line of JSON, until `quit` or the end."""
    print(json.dumps({"ready": True, "torch": torch.__version__, "threads": torch.get_num_threads(), **mode.settings(), **setting}), flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "quit":
            break
        work = commands.get(command)
        answer = timed(lambda: work(*[argument] if argument else []), mode) if work else {"error": f"unknown command '{command}': {', '.join(commands)} or quit"}
        print(json.dumps(answer), flush=True)
    return 0


def train(arguments):
    if not arguments.weights:
        raise SystemExit("--train needs --weights: the weights to start from")
    batch = read_safetensors(arguments.train)[0]
    mode = Mode(arguments.device, arguments.mode)
    training = Training(read_safetensors(arguments.weights)[0], arguments.cycle, batch, mode=mode)

    def step():
        loss, norm = training.step()
        return {"loss": loss, "grad_norm": norm}

    def check():
        flops = counted(training.model, training.predict)[0]
        mode.forget_peak()
        return {**flops, **step()}

    return serve({"channels": training.model.channels, "layers": training.model.layers, "batch": len(training.audio), "samples": training.audio.numel()}, {"step": step, "check": check}, mode)


@torch.inference_mode()
def synthesize(arguments):
    mode = Mode(arguments.device, arguments.mode)
    weights = read_safetensors(arguments.weights)[0] if arguments.weights else random_weights(arguments.channels, arguments.layers, arguments.mels, arguments.seed)
    model = Model(mode.move(weights), arguments.cycle)
    model.evaluate = mode.compiled(model.forward)
    training = linear_betas(50)
    betas, steps = (list(FAST_BETAS), aligned_steps(FAST_BETAS, training)) if arguments.steps == 6 else (training, list(range(50)))
    clips = mode.move(read_safetensors(arguments.clips)[0]) if arguments.clips else {"in.spectrogram": torch.rand(arguments.batch, model.mels, arguments.frames, device=mode.device)}
    mel = clips["in.spectrogram"]
    batch, frames = mel.shape[0], mel.shape[2]
    audio = torch.randn(batch, frames * math.prod(HOP_FACTORS), device=mode.device)
    step = torch.tensor([10.5], device=mode.device)

    def make(noise=None):
        with mode.autocast():
            return model.synthesize(mel, betas, steps, arguments.cache_conditioner, noise).cpu()

    def run():
        make()

    def evaluate():
        with mode.autocast():
            model.evaluate(audio, step, mel, model.condition(mel) if arguments.cache_conditioner else None)

    def check(path):
        """The FLOPs of a synthesis; its audio from the noise of --clips goes to a file, float32 samples clip by clip."""
        noise = clips["noise_init"], clips["noise"]
        flops, audio = counted(model, lambda: make(noise))
        if model.evaluate != model.forward:
            audio = make(noise)  # of the network that is timed
        with open(path, "wb") as file:
            array.array("f", audio.flatten().tolist()).tofile(file)
        del audio
        mode.forget_peak()
        return flops

    setting = {
        "channels": model.channels, "layers": model.layers, "batch": batch, "frames": frames, "samples": audio.shape[1], "steps": len(betas),
        "cache_conditioner": arguments.cache_conditioner,
    }
    evaluate()  # warm-up: thread pool, code paths, memory pool
    if mode.device.type == "cuda":
        for _ in range(3):  # the GPU's libraries try their algorithms, torch.compile compiles and records its graphs
            run()
    if not arguments.repeat:
        return serve(setting, {"run": run, "eval": evaluate, "check": check}, mode)
    seconds = [timed(run, mode)["seconds"] for _ in range(arguments.repeat)]
    print(json.dumps({
        "torch": torch.__version__, "threads": torch.get_num_threads(), **mode.settings(), **setting, "median_seconds": statistics.median(seconds), "seconds": seconds, "peak_bytes": mode.peak_bytes(),
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
