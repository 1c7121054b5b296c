// One step of the reverse chain: the mean of the posterior by the predicted noise, and fresh noise (Ho et al., 2020, algorithm 2)
//
//   y[b, t] = scale (x[b, t] - epsWeight eps[b, t]) + sigma noise[b, t], clamped to [-1, 1] if asked          signals: B x T
//
// Every product and sum is rounded: the bits of the CPU. Without noise (sigma = 0) nothing is added and noise is not read.
//
// v1  one thread a sample, items along y
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Reverse step: <c>y = scale (x - epsWeight eps) + sigma noise</c>, clamped to [-1, 1] if asked.</summary>
public static class ReverseStep
{
    /// <summary>One item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">T samples.</param>
    /// <param name="eps">T samples, the predicted noise.</param>
    /// <param name="noise">T samples, standard normal.</param>
    /// <param name="y">Receives T samples.</param>
    /// <param name="scale">Factor of the whole mean.</param>
    /// <param name="epsWeight">Factor of the predicted noise.</param>
    /// <param name="sigma">Standard deviation of the added noise.</param>
    /// <param name="clamp">Whether to clamp after adding the noise.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> eps, ReadOnlySpan<float> noise, Span<T> y, float scale, float epsWeight, float sigma, bool clamp)
        where T : IFloatingPointIeee754<T>
    {
        for (int t = 0; t < y.Length; t++)
        {
            T value = T.CreateChecked(scale) * (T.CreateChecked(x[t]) - T.CreateChecked(epsWeight) * T.CreateChecked(eps[t])) + T.CreateChecked(sigma) * T.CreateChecked(noise[t]);
            y[t] = clamp ? T.Clamp(value, -T.One, T.One) : value;
        }
    }

    /// <summary>Version 1. Grid: x over tiles of 256 rows, y over items.</summary>
    /// <param name="x">[B, T, 1].</param>
    /// <param name="eps">[B, T, 1], the predicted noise.</param>
    /// <param name="noise">[B, T, 1], standard normal; not read when <paramref name="sigma"/> is 0.</param>
    /// <param name="y">Receives [B, T, 1]; may be <paramref name="x"/>.</param>
    /// <param name="rows">T, at most 2^30.</param>
    /// <param name="scale">Factor of the whole mean.</param>
    /// <param name="epsWeight">Factor of the predicted noise.</param>
    /// <param name="sigma">Standard deviation of the added noise.</param>
    /// <param name="clamp">Whether to clamp after adding the noise; NaN stays NaN.</param>
    [Kernel("reverse_step_v1", BlockX = 256, Contract = false)]
    public static void StepV1(Rows<float> x, Rows<float> eps, Rows<float> noise, Rows<float> y, int rows, float scale, float epsWeight, float sigma, [Const] bool clamp)
    {
        int item = Grid.IdxY, row = Grid.GlobalIndex.X;
        if (row >= rows) return;
        float value = scale * (x.Run(item, rows)[row] - epsWeight * eps.Run(item, rows)[row]);
        if (sigma != 0) value += sigma * noise.Run(item, rows)[row];
        if (clamp) value = value < -1 ? -1 : value > 1 ? 1 : value; // no minimum or maximum: they lose a NaN on some devices
        y.Run(item, rows)[row] = value;
    }

    /// <summary>Two or three signals are read, one is written; a product and a difference, a product, and with noise a product and a sum a sample.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="noise">Whether noise is added.</param>
    public static Cost StepCost(long items, long rows, bool noise) => new((noise ? 5 : 3) * items * rows, (noise ? 4 : 3) * sizeof(float) * items * rows);
}
