#!/usr/bin/env python3
"""The figures of `diffwave evaluate` for two 16-bit mono WAV files of one rate and length, in float64 (needs numpy).

Written from the formulas that src/DiffWave.Audio/Metrics names, apart from its code; tests/DiffWave.Audio.Tests/MetricsTests.cs holds numbers this script printed.
Usage: audio-distance.py REFERENCE.wav [GENERATED.wav]; with one file, the other signal is 0.8 x[n] - 0.3 x[n - 5] + x[n]^2 / 2, rounded to float32.
"""
import sys
import wave

import numpy as np


def read(path):
    with wave.open(path) as f:
        assert (f.getnchannels(), f.getsampwidth()) == (1, 2)
        return np.frombuffer(f.readframes(f.getnframes()), "<i2") / 32768.0, f.getframerate()


def magnitudes(x, fft, hop, win):
    n = np.arange(win)
    window = np.zeros(fft)
    window[(fft - win) // 2:(fft - win) // 2 + win] = 0.5 - 0.5 * np.cos(2 * np.pi * n / win)
    padded = np.pad(x, fft // 2, mode="reflect")
    frames = np.stack([padded[f * hop:f * hop + fft] * window for f in range(1 + len(x) // hop)])
    return np.abs(np.fft.rfft(frames))  # [frames, bins]


def slaney_bank(rate, fft, bands, high):
    step = np.log(6.4) / 27
    to_mel = lambda f: f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) / step
    m = np.linspace(0, to_mel(high), bands + 2)
    edges = np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * step))
    hz = np.arange(fft // 2 + 1) * rate / fft
    bank = np.zeros((bands, len(hz)))
    for i in range(bands):
        a, b, c = edges[i:i + 3]
        bank[i] = np.maximum(0, np.minimum((hz - a) / (b - a), (c - hz) / (c - b))) * 2 / (c - a)
    return bank


def distances(r, g, rate):
    fft = 1024
    while fft < 1024 * rate / 32000:
        fft *= 2
    sr, sg = magnitudes(r, fft, fft // 4, fft), magnitudes(g, fft, fft // 4, fft)
    bank = slaney_bank(rate, fft, 80, min(8000, rate / 2))
    mr, mg = (np.log(np.maximum(s @ bank.T, 1e-5)) for s in (sr, sg))
    yield "log_mel_l1", np.abs(mr - mg).mean()
    ratio = 20 * np.log10(np.maximum(sr, 1e-5) / np.maximum(sg, 1e-5))
    yield "log_spectral_distance_db", np.sqrt((ratio ** 2).mean(1)).mean()
    d = np.arange(1, 14)[:, None]
    basis = 2 / 80 * np.cos(np.pi * d * (np.arange(80) + 0.5) / 80)
    yield "mel_cepstral_distortion_db", (10 / np.log(10) * np.sqrt(2 * (((mr - mg) @ basis.T) ** 2).sum(1))).mean()
    convergence, log_magnitude = [], []
    for fft, hop, win in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        sr, sg = (np.sqrt(np.maximum(magnitudes(x, fft, hop, win) ** 2, 1e-7)) for x in (r, g))
        convergence.append(np.linalg.norm(sr - sg) / np.linalg.norm(sr))
        log_magnitude.append(np.abs(np.log(sr) - np.log(sg)).mean())
    yield "spectral_convergence", np.mean(convergence)
    yield "log_stft_magnitude_l1", np.mean(log_magnitude)
    yield "snr_db", 10 * np.log10((r ** 2).sum() / ((r - g) ** 2).sum())


if __name__ == "__main__":
    x, rate = read(sys.argv[1])
    if len(sys.argv) > 2:
        y, _ = read(sys.argv[2])
    else:
        y = (0.8 * x - 0.3 * np.concatenate([np.zeros(5), x[:-5]]) + 0.5 * x * x).astype(np.float32).astype(float)
    for name, value in distances(x, y, rate):
        print(f"{name:27s} {value:.12g}")
