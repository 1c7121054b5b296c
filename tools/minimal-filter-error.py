#!/usr/bin/env python3
"""Rounding error of three-tap minimal filters, relative to the direct sum, in float32 with fused multiply-adds (needs numpy).

For each set of Cook-Toom points: root mean square and largest error against float64 over random inputs of 64 channels and weights of 128 outputs. It is why
src/DiffWave.Cpu/MinimalFilter.cs uses 0, +-3/4, +-3/2 and infinity.
"""
from fractions import Fraction as Q

import numpy as np

CHANNELS, ROWS, OUTPUTS = 64, 240, 128
random = np.random.default_rng(0)
x = random.normal(size=(ROWS + 8, CHANNELS)).astype(np.float32)
w = (random.normal(size=(3, CHANNELS, OUTPUTS)) * np.sqrt(2 / (3 * CHANNELS))).astype(np.float32)
exact = sum(x[j:j + ROWS].astype(float) @ w[j].astype(float) for j in range(3))


def fma(a, b, c):
    return (np.asarray(a, float) * np.asarray(b, float) + np.asarray(c, float)).astype(np.float32)


def product(a, b):
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total = fma(a[:, k:k + 1], b[k:k + 1], total)
    return total


def error(y):
    difference = np.abs(y - exact)
    return np.sqrt((difference ** 2).mean()), difference.max()


def polynomial(roots):
    c = [Q(1)]
    for root in roots:
        c = [(c[i - 1] if i else 0) - (root * c[i] if i < len(c) else 0) for i in range(len(c) + 1)]
    return c


def matrices(outputs, points):
    """A [outputs, n], G [n, 3], B [n, n] of F(outputs, 3); the last point is infinity."""
    n = outputs + 2
    others = [[q for q in points if q != p] for p in points]
    scale = [np.prod([p - q for q in rest]) for p, rest in zip(points, others)]
    a = [[p ** i for p in points] + [int(i == outputs - 1)] for i in range(outputs)]
    g = [[p ** i / s for i in range(3)] for p, s in zip(points, scale)] + [[0, 0, 1]]
    b = [polynomial(rest) for rest in others] + [polynomial(points)]
    b = [row + [0] * (n - len(row)) for row in b]
    return [np.array([[float(v) for v in row] for row in m]) for m in (a, g, b)]


def minimal(outputs, points):
    a, g, b = matrices(outputs, [Q(p) for p in points])
    n, tiles = outputs + 2, ROWS // outputs
    u = np.einsum("nr,rkc->nkc", g, w.astype(float)).astype(np.float32)
    inputs = np.stack([x[i * outputs:i * outputs + n] for i in range(tiles)])
    y = np.zeros((tiles, outputs, OUTPUTS), np.float32)
    for i in range(n):
        v = np.zeros((tiles, CHANNELS), np.float32)
        for j in np.nonzero(b[i])[0]:
            v = fma(inputs[:, j], np.float32(b[i, j]), v)
        m = product(v, u[i])
        for j in np.nonzero(a[:, i])[0]:
            y[:, j] = fma(m, np.float32(a[j, i]), y[:, j])
    return error(y.reshape(ROWS, OUTPUTS))


direct = np.zeros((ROWS, OUTPUTS), np.float32)
for tap in range(3):
    for k in range(CHANNELS):
        direct = fma(x[tap:tap + ROWS, k:k + 1], w[tap, k:k + 1], direct)
base = error(direct)
half = Q(1, 2)
print(f"{'direct':28} rms 1.00  largest 1.00")
for name, outputs, points in [("F(2,3) 0 1 -1", 2, [0, 1, -1]), ("F(3,3) 0 1 -1 2", 3, [0, 1, -1, 2]), ("F(4,3) 0 +-1 +-2", 4, [0, 1, -1, 2, -2]), ("F(4,3) 0 +-1 1/2 -2", 4, [0, 1, -1, half, -2]),
                              ("F(4,3) 0 +-1/2 +-3/2", 4, [0, half, -half, Q(3, 2), -Q(3, 2)]), ("F(4,3) 0 +-3/4 +-3/2", 4, [0, Q(3, 4), -Q(3, 4), Q(3, 2), -Q(3, 2)])]:
    rms, largest = minimal(outputs, points)
    print(f"{name:28} rms {rms / base[0]:.2f}  largest {largest / base[1]:.2f}")
