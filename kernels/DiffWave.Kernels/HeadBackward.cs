// Gradient of the head's hidden layer, through eps = w relu(hidden) + b
//
//   dhidden[b, t, c] = w[c] deps[b, t] where hidden[b, t, c] > 0, else 0                hidden, dhidden: B x T x C; deps: B x T
//
// hidden may come before or after its ReLU, and dhidden may take its place.
//
//   b3 makes the hidden layer itself, hidden[t] = max(0, S (s skips[t]) + r), and sums over the rows t of each slice what SliceSum adds to the gradients of r, w and b: dhidden[t], deps[t] hidden[t]
//   and deps[t].                                                                         S: C x C, r: C; skips: B x T x C in 16 bits, and so is dhidden
//
// b1  one thread an element
// b2  eight rows of four channels a thread with 128-bit loads and stores: the weights stay in registers, the number of channels is a constant
// b3  the hidden layer again on tensor cores as in Head, its gradient in 16 bits, and the sums of the slices for three gradients, joined over the lanes of a warp by shuffles
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of the head's hidden layer: <c>dhidden[b, t, c] = w[c] deps[b, t]</c> where hidden is positive, else 0.</summary>
public static partial class HeadBackward
{
    private const int Threads = 256;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="hidden">rows x C, B T rows.</param>
    /// <param name="dEps">A value a row.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives rows x C.</param>
    public static void Reference<T>(ReadOnlySpan<float> hidden, ReadOnlySpan<float> dEps, ReadOnlySpan<float> weights, Span<T> dHidden) where T : IFloatingPointIeee754<T>
    {
        int channels = weights.Length;
        for (int index = 0; index < dHidden.Length; index++)
            dHidden[index] = hidden[index] > 0 ? T.CreateChecked(weights[index % channels]) * T.CreateChecked(dEps[index / channels]) : T.Zero;
    }

    /// <summary>What version 3 computes, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="skips">rows x C, B T rows.</param>
    /// <param name="skipWeight">S, C x C.</param>
    /// <param name="skipBias">r, C.</param>
    /// <param name="weights">w, C.</param>
    /// <param name="dEps">A value a row.</param>
    /// <param name="scale">s.</param>
    /// <param name="rows">T.</param>
    /// <param name="dHidden">Receives rows x C.</param>
    /// <param name="partial">Receives B x slices x (2C + 1): of each slice the sums for r, for w and for b.</param>
    public static void ReferenceWhole<T>(ReadOnlySpan<float> skips, ReadOnlySpan<float> skipWeight, ReadOnlySpan<float> skipBias, ReadOnlySpan<float> weights, ReadOnlySpan<float> dEps, float scale, int rows,
        Span<T> dHidden, Span<T> partial) where T : IFloatingPointIeee754<T>
    {
        int channels = weights.Length;
        partial.Clear();
        for (int time = 0; time < dEps.Length; time++)
        {
            Span<T> sums = partial.Slice((time / rows * SliceSum.Slices(rows) + time % rows / SliceSum.SliceRows) * (2 * channels + 1), 2 * channels + 1);
            T d = T.CreateChecked(dEps[time]);
            for (int c = 0; c < channels; c++)
            {
                T product = T.Zero;
                for (int i = 0; i < channels; i++) product += T.CreateChecked(skipWeight[c * channels + i]) * T.CreateChecked(skips[time * channels + i]);
                T hidden = T.Max(T.Zero, T.CreateChecked(scale) * product + T.CreateChecked(skipBias[c])), gradient = hidden > T.Zero ? T.CreateChecked(weights[c]) * d : T.Zero;
                dHidden[time * channels + c] = gradient;
                sums[c] += gradient;
                sums[channels + c] += d * hidden;
            }
            sums[2 * channels] += d;
        }
    }

    /// <summary>Version 1. Threads: at least one an element of an item along x; items along z.</summary>
    /// <param name="hidden">C channels.</param>
    /// <param name="dEps">One channel.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives C channels; may be <paramref name="hidden"/>.</param>
    /// <param name="rows">T.</param>
    [Kernel("head_backward_v1", BlockX = Threads)]
    public static void BackwardV1(Rows<float> hidden, Rows<float> dEps, ArrayView<float> weights, Rows<float> dHidden, int rows)
    {
        int channels = hidden.Channels, row = Grid.GlobalIndex.X / channels, c = Grid.GlobalIndex.X % channels, item = Grid.IdxZ;
        if (row >= rows) return;
        dHidden.Row(item, row)[c] = hidden.Row(item, row)[c] > 0 ? weights[c] * dEps.Row(item, row)[0] : 0;
    }

    /// <summary>A product an element; hidden and dEps are read, dHidden is written.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    public static Cost BackwardCost(long rows, long channels) => new(rows * channels, sizeof(float) * (rows * (2 * channels + 1) + channels));

    /// <summary>
    /// Version 3: two FLOPs a product of S, a product, a sum and a comparison a hidden value, a product for its gradient, three for its sums, and a sum a row. Skips and dEps are read, dHidden and the sums of
    /// the slices are written.
    /// </summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    public static Cost WholeCost(long batch, int rows, long channels) => new(batch * rows * (channels * (2 * channels + 7) + 1),
        batch * rows * (2 * 2 * channels + sizeof(float)) + sizeof(float) * (channels * (channels + 2) + batch * SliceSum.Slices(rows) * (2 * channels + 1)));
}
