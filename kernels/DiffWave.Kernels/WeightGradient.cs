// Gradient of a convolution's weights, by slices of rows
//
//   p[b, s, o, k, i] = scale * sum over the rows t of slice s of d[b, t, o] h[b, t + (k - (K - 1) / 2) dilation, i]     d: B x T x O; h: B x T x I; K taps, 1 or 3
//   h = x, or x + step[b] inside the signal; zero outside it
//
// SliceSum adds the slices to the gradient. A slice is 512 rows (SliceSum.SliceRows), 1,024 in v3 (SliceRowsV3). The base model's dilated convolution (C = 64: O = 128, I = 64, K = 3) at 16 items of
// 15,872 rows has 496 slices of 24,576 values, 48.8 MB, 256 and 25.2 MB in v3; what grows with C^2 can be bounded by launching some items at a time, without changing a bit of the gradient.
//
// v1  one thread a value of a slice
// v2  a block computes 64 outputs x 64 inputs of taps of a slice: rows through shared memory while the next are on their way, each thread keeps 8 x 8 sums in registers
// v3  fp16, bf16 or tf32 operands on tensor cores: a block computes up to 128 outputs x 192 inputs of taps of a slice, copies to shared memory overlap the arithmetic, the bias's gradient comes along
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of a convolution's weights by slices of rows: <c>p[b, s, o, k, i] = scale * sum of d[b, t, o] h[b, t + shift(k), i]</c> over the rows t of a slice.</summary>
public static partial class WeightGradient
{
    private const int Threads = 256;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="d">Gradient of the convolution's result, B x T x O.</param>
    /// <param name="x">Its input, B x T x I.</param>
    /// <param name="step">What is added to the input, B x I; empty for nothing.</param>
    /// <param name="partial">Receives B x slices x O x K x I.</param>
    /// <param name="rows">T.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="taps">K.</param>
    /// <param name="dilation">Rows between taps.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="sliceRows">Rows of a slice.</param>
    public static void Reference<T>(ReadOnlySpan<float> d, ReadOnlySpan<float> x, ReadOnlySpan<float> step, Span<T> partial, int rows, int outputs, int inputs, int taps, int dilation, float scale, int sliceRows = SliceSum.SliceRows)
        where T : IFloatingPointIeee754<T>
    {
        int values = outputs * taps * inputs, slices = (rows + sliceRows - 1) / sliceRows;
        for (int index = 0; index < partial.Length; index++)
        {
            int value = index % values, slice = index / values % slices, item = index / values / slices;
            int o = value / (taps * inputs), k = value / inputs % taps, i = value % inputs;
            T sum = T.Zero;
            for (int row = slice * sliceRows; row < rows && row < (slice + 1) * sliceRows; row++)
            {
                int from = row + (k - taps / 2) * dilation;
                if (from < 0 || from >= rows) continue;
                T h = T.CreateChecked(x[(item * rows + from) * inputs + i]);
                if (!step.IsEmpty) h += T.CreateChecked(step[item * inputs + i]);
                sum += T.CreateChecked(d[(item * rows + row) * outputs + o]) * h;
            }
            partial[index] = T.CreateChecked(scale) * sum;
        }
    }

    /// <summary>Version 1. Threads: at least one a value of a slice along x; slices along y, items along z.</summary>
    /// <param name="d">Gradient of the convolution's result, O channels.</param>
    /// <param name="x">Its input, I channels.</param>
    /// <param name="step">Row 0 of an item is added to the item's inputs, I channels; not read without <paramref name="hasStep"/>.</param>
    /// <param name="partial">Receives B x slices x O x K x I.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">Rows between taps.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="taps">K, 1 or 3.</param>
    /// <param name="hasStep">Whether there is a step to add.</param>
    [Kernel("weight_gradient_v1", BlockX = Threads)]
    public static void GradientV1(Rows<float> d, Rows<float> x, Rows<float> step, ArrayView<float> partial, int rows, int dilation, float scale, [Const] int taps, [Const] bool hasStep)
    {
        int value = Grid.GlobalIndex.X, slice = Grid.IdxY, item = Grid.IdxZ, inputs = x.Channels, values = d.Channels * taps * inputs;
        if (value >= values) return;
        int o = value / (taps * inputs), i = value % inputs, shift = (value / inputs % taps - taps / 2) * dilation;
        float added = hasStep ? step.Row(item, 0)[i] : 0, sum = 0;
        int end = XMath.Min(XMath.Min((slice + 1) * SliceSum.SliceRows, rows), rows - shift);
        for (int row = XMath.Max(slice * SliceSum.SliceRows, -shift); row < end; row++) sum += d.Row(item, row)[o] * (x.Row(item, row + shift)[i] + added);
        partial[((long)item * Grid.DimY + slice) * values + value] = scale * sum;
    }

    /// <summary>A product and an addition a weight and row, an addition a row of a bias; both activations are read, the sums of the slices written.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="taps">K.</param>
    /// <param name="elementBytes">Bytes of a value of an activation.</param>
    /// <param name="hasBias">Whether the bias's gradient is computed too.</param>
    /// <param name="slices">Slices of an item.</param>
    public static Cost GradientCost(long items, int rows, long outputs, long inputs, long taps, int elementBytes, bool hasBias, int slices)
    {
        long values = outputs * (taps * inputs + (hasBias ? 1 : 0));
        return new(items * rows * outputs * (2 * taps * inputs + (hasBias ? 1 : 0)), items * (elementBytes * rows * (outputs + inputs) + sizeof(float) * slices * values));
    }
}
