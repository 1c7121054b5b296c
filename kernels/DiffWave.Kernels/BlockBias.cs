// Biases of the fused residual blocks, all layers in one launch: what is the same for every row
//
//   bias[o] = b[o] [+ v[o]] [+ label[o]] + sum over k = 0..2, i of W[o, i, k] step[i]      W: 2C x C x 3; b, v (the conditioner's), label: 2C; step: C
//   edges[0, o] = sum over i of W[o, i, 0] step[i];   edges[1, o] = sum over i of W[o, i, 2] step[i]
//   outputBias[o] = o[o], and for the residual's outputs, o < C, + step[o] where the residual path carries x + step
//
// A block then multiplies x alone instead of x + step, and takes an edge off where tap 0 or tap 2 reads a row that does not exist. Outputs are in the order of the weights.
//
// v1  a warp an output: its lanes sum a stride of the inputs for all three taps, shuffles join them
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Biases of the fused residual blocks: <c>bias = b [+ v] [+ label] + sum over k of W_k step; edges = W_0 step, W_2 step; outputBias = o [+ step]</c>, for every item and layer.</summary>
public static class BlockBias
{
    private const int Taps = 3, Warps = 8;

    /// <summary>Outputs of a block of threads.</summary>
    public const int OutputsV1 = Warps;

    /// <summary>The formula for one layer of one item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="step">C.</param>
    /// <param name="label">2C, or empty.</param>
    /// <param name="weight">W, 2C x C x 3.</param>
    /// <param name="dilatedBias">b, 2C.</param>
    /// <param name="conditionerBias">v, 2C, or empty.</param>
    /// <param name="projectionBias">o, 2C.</param>
    /// <param name="bias">Receives 2C.</param>
    /// <param name="edges">Receives 2 x 2C.</param>
    /// <param name="outputBias">Receives 2C.</param>
    /// <param name="stepInResidual">Whether the residual path carries x + step.</param>
    public static void Reference<T>(ReadOnlySpan<float> step, ReadOnlySpan<float> label, ReadOnlySpan<float> weight, ReadOnlySpan<float> dilatedBias, ReadOnlySpan<float> conditionerBias,
        ReadOnlySpan<float> projectionBias, Span<T> bias, Span<T> edges, Span<T> outputBias, bool stepInResidual) where T : IFloatingPointIeee754<T>
    {
        int channels = step.Length, outputs = 2 * channels;
        Span<T> sums = new T[Taps];
        for (int o = 0; o < outputs; o++)
        {
            sums.Clear();
            for (int i = 0; i < channels; i++)
                for (int k = 0; k < Taps; k++) sums[k] += T.CreateChecked(weight[(o * channels + i) * Taps + k]) * T.CreateChecked(step[i]);
            T constant = T.CreateChecked(dilatedBias[o]);
            if (conditionerBias.Length > 0) constant += T.CreateChecked(conditionerBias[o]);
            if (label.Length > 0) constant += T.CreateChecked(label[o]);
            bias[o] = constant + sums[0] + sums[1] + sums[2];
            (edges[o], edges[outputs + o]) = (sums[0], sums[2]);
            outputBias[o] = T.CreateChecked(projectionBias[o]);
            if (stepInResidual && o < channels) outputBias[o] += T.CreateChecked(step[o]);
        }
    }

    /// <summary>Version 1. Blocks of 256 threads: x over the L 2C outputs, <see cref="OutputsV1"/> a block; z the items.</summary>
    /// <param name="stepBias">[B, L, C].</param>
    /// <param name="labelBias">[B, L, 2C]; not read without <paramref name="hasLabel"/>.</param>
    /// <param name="weight">The arena from W of layer 0 on: W of layer l, [2C, C, 3], begins <paramref name="layerStride"/> l further.</param>
    /// <param name="dilatedBias">The arena from b of layer 0 on, [2C], in the same way.</param>
    /// <param name="conditionerBias">The arena from v of layer 0 on, [2C], in the same way; not read without <paramref name="hasConditioner"/>.</param>
    /// <param name="projectionBias">The arena from o of layer 0 on, [2C], in the same way.</param>
    /// <param name="bias">Receives [B, L, 2C].</param>
    /// <param name="edges">Receives [B, L, 2, 2C].</param>
    /// <param name="outputBias">Receives [B, L, 2C].</param>
    /// <param name="channels">C.</param>
    /// <param name="layers">L.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    /// <param name="hasLabel">Whether there is a label bias.</param>
    /// <param name="hasConditioner">Whether the blocks project a mel.</param>
    /// <param name="stepInResidual">Whether the residual path carries x + step.</param>
    [Kernel("block_bias_v1", BlockX = Warps * 32)]
    public static void FoldV1(ArrayView<float> stepBias, ArrayView<float> labelBias, ArrayView<float> weight, ArrayView<float> dilatedBias, ArrayView<float> conditionerBias, ArrayView<float> projectionBias,
        ArrayView<float> bias, ArrayView<float> edges, ArrayView<float> outputBias, int channels, int layers, int layerStride,
        [Const] bool hasLabel, [Const] bool hasConditioner, [Const] bool stepInResidual)
    {
        int output = Grid.IdxX * Warps + Warp.WarpIdx, outputs = 2 * channels;
        if (output >= layers * outputs) return;
        int layer = output / outputs, o = output % outputs;
        long itemLayer = (long)Grid.IdxZ * layers + layer, inArena = (long)layer * layerStride;
        ArrayView<float> step = stepBias.SubView(itemLayer * channels, channels), row = weight.SubView(inArena + o * channels * Taps, channels * Taps);
        float first = 0, middle = 0, last = 0;
        for (int i = Warp.LaneIdx; i < channels; i += Warp.WarpSize)
        {
            float value = step[i];
            first += row[i * Taps] * value;
            middle += row[i * Taps + 1] * value;
            last += row[i * Taps + 2] * value;
        }
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2)
        {
            first += Warp.ShuffleDown(first, distance);
            middle += Warp.ShuffleDown(middle, distance);
            last += Warp.ShuffleDown(last, distance);
        }
        if (!Warp.IsFirstLane) return;
        float sum = dilatedBias[inArena + o];
        if (hasConditioner) sum += conditionerBias[inArena + o];
        if (hasLabel) sum += labelBias[itemLayer * outputs + o];
        bias[itemLayer * outputs + o] = sum + first + middle + last;
        edges[itemLayer * 2 * outputs + o] = first;
        edges[(itemLayer * 2 + 1) * outputs + o] = last;
        float projection = projectionBias[inArena + o];
        if (stepInResidual && o < channels) projection += step[o];
        outputBias[itemLayer * outputs + o] = projection;
    }

    /// <summary>Six C FLOPs an output and one more for each term added; weights and biases are read once, step and label read and the results written for each item.</summary>
    /// <param name="batch">B.</param>
    /// <param name="layers">L.</param>
    /// <param name="channels">C.</param>
    /// <param name="hasLabel">Whether there is a label bias.</param>
    /// <param name="hasConditioner">Whether the blocks project a mel.</param>
    /// <param name="stepInResidual">Whether the residual path carries x + step.</param>
    public static Cost FoldCost(long batch, int layers, int channels, bool hasLabel, bool hasConditioner, bool stepInResidual)
    {
        int outputs = 2 * channels, label = hasLabel ? outputs : 0, conditioner = hasConditioner ? outputs : 0, residual = stepInResidual ? channels : 0;
        return new(batch * layers * (outputs * (2 * Taps * (long)channels + 3) + label + conditioner + residual),
            sizeof(float) * layers * (outputs * (Taps * (long)channels + 2) + conditioner + batch * (channels + label + 4 * outputs)));
    }
}
