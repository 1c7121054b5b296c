// The forward diffusion process: a clean signal with noise of a given level, in one step (Ho et al., 2020, equation 4)
//
//   noisy[b, t] = sqrt(alphaBar[b]) audio[b, t] + sqrt(1 - alphaBar[b]) noise[b, t]          signals: B x T, alphaBar: B
//
// Two products and their sum, each rounded: the bits of the CPU and of PyTorch.
//
// v1  one thread a sample, items along y
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Forward diffusion: <c>noisy[b, t] = sqrt(alphaBar[b]) audio[b, t] + sqrt(1 - alphaBar[b]) noise[b, t]</c>.</summary>
public static class Diffusion
{
    /// <summary>One item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="audio">T samples.</param>
    /// <param name="noise">T samples, standard normal.</param>
    /// <param name="alphaBar">Noise level, 0 to 1.</param>
    /// <param name="noisy">Receives T samples.</param>
    public static void Reference<T>(ReadOnlySpan<float> audio, ReadOnlySpan<float> noise, float alphaBar, Span<T> noisy) where T : IFloatingPointIeee754<T>
    {
        T level = T.CreateChecked(alphaBar), signal = T.Sqrt(level), rest = T.Sqrt(T.One - level);
        for (int t = 0; t < noisy.Length; t++) noisy[t] = signal * T.CreateChecked(audio[t]) + rest * T.CreateChecked(noise[t]);
    }

    /// <summary>Version 1. Grid: x over tiles of 256 rows, y over items.</summary>
    /// <param name="audio">[B, T, 1].</param>
    /// <param name="noise">[B, T, 1], standard normal.</param>
    /// <param name="alphaBars">B noise levels, 0 to 1.</param>
    /// <param name="noisy">Receives [B, T, 1]; may be one of the inputs.</param>
    /// <param name="rows">T, at most 2^30.</param>
    [Kernel("diffusion_v1", BlockX = 256, Contract = false)]
    public static void DiffuseV1(Rows<float> audio, Rows<float> noise, ArrayView<float> alphaBars, Rows<float> noisy, int rows)
    {
        int item = Grid.IdxY, row = Grid.GlobalIndex.X;
        if (row >= rows) return;
        float level = alphaBars[item];
        noisy.Run(item, rows)[row] = XMath.Sqrt(level) * audio.Run(item, rows)[row] + XMath.Sqrt(1 - level) * noise.Run(item, rows)[row];
    }

    /// <summary>Two signals are read, one is written; two products and a sum a sample.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    public static Cost DiffuseCost(long items, long rows) => new(3 * items * rows, sizeof(float) * (3 * items * rows + items));
}
