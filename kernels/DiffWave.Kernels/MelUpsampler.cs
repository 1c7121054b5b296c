// One stage of the mel upsampler: a transposed convolution over (bands, time), kernel 3 x K, stride 1 x f, padding 1 x f/2, then leaky ReLU 0.4
//
//   y[f i + k - f/2, m + j - 1] += w[j, k] x[i, m] for all i, k, m, j, onto a bias; then y = y > 0 ? y : 0.4 y
//                                                                 x: B x I x M; y: B x f I x M; w: 3 x K; bias: 1; K = f + 2 (f/2): f from 1 to 4096
//
// An output row t thus reads the inputs i with tap k = t + f/2 - f i in 0 .. K - 1: i = (t + f/2) / f and, but for the last phase of an odd f, the one before.
//
// v1  one thread an output, as the formula reads
// v2  a thread four bands of the outputs between two inputs: six products an output, all from registers and a table of weights in shared memory
// v3  version 2 with y in 16 bits, for the last stage
//
// Backward, by the sign of y: with g = dy where y is positive, else 0.4 dy, dx[i, m] = sum over j and k of w[j, k] g[f i + k - f/2, m + j - 1],
// dw[j, k] = sum over b, i, m of x[i, m] g[f i + k - f/2, m + j - 1], dbias = sum of all g. The sums of dw and dbias are taken a slice of an item at a time, here
// of 256/f input rows, at least one: partial[slice, 3K + 1] holds dw and then dbias of the slices, item after item, for SliceSum to add.
//
// b1  input: one thread an element of dx, as the formula reads
// b1  weights: a block a slice, a warp a value of it, its lanes along the bands
// b2  input: a thread four bands of an input: y and dy are read once a tap for all three rows of w, which meet their neighbours in shared memory
// b2  weights: a block a slice, a warp a phase: an output row is read once for all six weights that meet it, by four bands at a time
// b3  input: version 2 with y in 16 bits, for the last stage
// b3  weights: version 2 with y in 16 bits, for the last stage
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>A stage of the mel upsampler: a transposed convolution over (bands, time), kernel 3 x K, stride 1 x f, padding 1 x f/2, then leaky ReLU 0.4. x B x I x M, y B x f I x M.</summary>
public static partial class MelUpsampler
{
    private const int Warps = 8;
    private const float Slope = 0.4f;

    /// <summary>K, taps along time: 2f for an even factor f, 2f - 1 for an odd one.</summary>
    /// <param name="factor">f.</param>
    public static int Taps(int factor) => factor + 2 * (factor / 2);

    /// <summary>Input rows a slice of the backward sums takes.</summary>
    /// <param name="factor">f.</param>
    public static int SliceRows(int factor) => XMath.Max(1, 256 / factor);

    /// <summary>Slices of an item.</summary>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    public static int Slices(int inputs, int factor) => (inputs + SliceRows(factor) - 1) / SliceRows(factor);

    /// <summary>Which input rows a stretch of output rows reads, and how the two lie to each other.</summary>
    /// <param name="first">Time of the first output row, at least 0.</param>
    /// <param name="count">Output rows, at least 1; all of them exist.</param>
    /// <param name="inputs">I, input rows that exist.</param>
    /// <param name="factor">f.</param>
    /// <returns>Time of the first input row, the number of input rows, and what <see cref="ForwardV1"/> calls shift: the first output's time + f/2 - f times the first input's.</returns>
    public static (long First, int Count, int Shift) Inputs(long first, int count, long inputs, int factor)
    {
        long reach = first + factor / 2, low = Math.Max(0, reach - Taps(factor) + factor) / factor, end = Math.Min(inputs, (reach + count - 1) / factor + 1);
        return (low, (int)(end - low), (int)(reach - low * factor));
    }

    /// <summary>The whole stage, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">B x I x M.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="bias">The bias.</param>
    /// <param name="y">Receives B x f I x M.</param>
    /// <param name="inputs">I.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    /// <param name="linear">Leaves the leaky ReLU out.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float bias, Span<T> y, int inputs, int bands, int factor, bool linear = false) where T : IFloatingPointIeee754<T>
    {
        y.Fill(T.CreateChecked(bias));
        foreach ((int tap, int input, int output) in Products(x.Length, inputs, bands, factor)) y[output] += T.CreateChecked(weight[tap]) * T.CreateChecked(x[input]);
        for (int index = 0; index < y.Length && !linear; index++)
            if (!(y[index] > T.Zero)) y[index] *= T.CreateChecked(Slope);
    }

    /// <summary>The gradient of the input, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="y">B x f I x M, result of forward.</param>
    /// <param name="dy">Its gradient.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="dx">Receives B x I x M.</param>
    /// <param name="inputs">I.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    public static void ReferenceBackwardInput<T>(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, ReadOnlySpan<float> weight, Span<T> dx, int inputs, int bands, int factor) where T : IFloatingPointIeee754<T>
    {
        dx.Clear();
        foreach ((int tap, int input, int output) in Products(dx.Length, inputs, bands, factor)) dx[input] += T.CreateChecked(weight[tap]) * ThroughSlope(T.CreateChecked(dy[output]), y[output]);
    }

    /// <summary>The sums of the gradients of w and bias over each slice, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">B x I x M.</param>
    /// <param name="y">B x f I x M, result of forward.</param>
    /// <param name="dy">Its gradient.</param>
    /// <param name="partial">Receives B slices x (3K + 1).</param>
    /// <param name="inputs">I.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    public static void ReferenceBackwardWeights<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<T> partial, int inputs, int bands, int factor) where T : IFloatingPointIeee754<T>
    {
        int values = 3 * Taps(factor) + 1, slices = Slices(inputs, factor);
        int Slice(int row) => row / inputs * slices + row % inputs / SliceRows(factor); // of an input row, counted through all items
        partial.Clear();
        foreach ((int tap, int input, int output) in Products(x.Length, inputs, bands, factor))
            partial[Slice(input / bands) * values + tap] += T.CreateChecked(x[input]) * ThroughSlope(T.CreateChecked(dy[output]), y[output]);
        for (int output = 0; output < y.Length; output++) partial[Slice(output / bands / factor) * values + values - 1] += ThroughSlope(T.CreateChecked(dy[output]), y[output]);
    }

    private static T ThroughSlope<T>(T gradient, float result) where T : IFloatingPointIeee754<T> => result > 0 ? gradient : T.CreateChecked(Slope) * gradient;

    // Every product of the definition: which element of w, of x and of y.
    private static IEnumerable<(int Tap, int Input, int Output)> Products(int elements, int inputs, int bands, int factor)
    {
        int taps = Taps(factor);
        for (int input = 0; input < elements; input++)
            for (int k = 0; k < taps; k++)
                for (int j = 0; j < 3; j++)
                {
                    int item = input / bands / inputs, t = input / bands % inputs * factor + k - factor / 2, m = input % bands + j - 1;
                    if (t >= 0 && t < inputs * factor && m >= 0 && m < bands) yield return (j * taps + k, input, (item * inputs * factor + t) * bands + m);
                }
    }

    /// <summary>Version 1. Threads: at least one an output of an item, along x, fewer than 2^31; z the items.</summary>
    /// <param name="x">B x rows x M; row 0 is the first that <see cref="Inputs"/> names.</param>
    /// <param name="y">Receives B x rows x M.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="bias">1.</param>
    /// <param name="inputs">Input rows that exist, from row 0 on.</param>
    /// <param name="outputs">Output rows to compute.</param>
    /// <param name="factor">f.</param>
    /// <param name="shift">Time of output row 0, counted from f times that of input row 0, plus f/2.</param>
    [Kernel("mel_upsampler_v1", BlockX = Warps * 32)]
    public static void ForwardV1(Rows<float> x, Rows<float> y, ArrayView<float> weight, ArrayView<float> bias, int inputs, int outputs, int factor, int shift)
    {
        int item = Grid.IdxZ, bands = y.Channels, t = Grid.GlobalIndex.X / bands, m = Grid.GlobalIndex.X % bands;
        if (t >= outputs) return;
        int at = t + shift, taps = Taps(factor), last = XMath.Min(inputs - 1, at / factor);
        float sum = bias[0];
        for (int i = XMath.Max(0, at - taps + factor) / factor; i <= last; i++)
        {
            ArrayView<float> row = x.Row(item, i);
            int k = at - i * factor;
            for (int j = 0; j < 3; j++)
            {
                int from = m + 1 - j;
                if (from >= 0 && from < bands) sum += weight[j * taps + k] * row[from];
            }
        }
        y.Row(item, t)[m] = ThroughSlope(sum, sum);
    }

    /// <summary>Version 1 of the gradient of the input. Threads: at least one an element of dx of an item, along x, fewer than 2^31; z the items.</summary>
    /// <param name="y">B x f I x M, result of forward.</param>
    /// <param name="dy">Its gradient.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="dx">Receives B x I x M.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_input_v1", BlockX = Warps * 32)]
    public static void BackwardInputV1(Rows<float> y, Rows<float> dy, ArrayView<float> weight, Rows<float> dx, int inputs, int factor)
    {
        int item = Grid.IdxZ, bands = dx.Channels, i = Grid.GlobalIndex.X / bands, m = Grid.GlobalIndex.X % bands;
        if (i >= inputs) return;
        int taps = Taps(factor), start = i * factor - factor / 2, end = XMath.Min(taps, inputs * factor - start);
        float sum = 0;
        for (int k = XMath.Max(0, -start); k < end; k++)
        {
            ArrayView<float> results = y.Row(item, start + k), gradients = dy.Row(item, start + k);
            for (int j = 0; j < 3; j++)
            {
                int to = m + j - 1;
                if (to >= 0 && to < bands) sum += weight[j * taps + k] * ThroughSlope(gradients[to], results[to]);
            }
        }
        dx.Row(item, i)[m] = sum;
    }

    /// <summary>Version 1 of the gradients of w and bias. Blocks: x the slices of an item, z the items.</summary>
    /// <param name="x">B x I x M.</param>
    /// <param name="y">B x f I x M, result of forward.</param>
    /// <param name="dy">Its gradient.</param>
    /// <param name="partial">Receives B slices x (3K + 1): dw of a slice, then dbias.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_weights_v1", BlockX = Warps * 32)]
    public static void BackwardWeightsV1(Rows<float> x, Rows<float> y, Rows<float> dy, ArrayView<float> partial, int inputs, int factor)
    {
        int item = Grid.IdxZ, bands = x.Channels, taps = Taps(factor), values = 3 * taps + 1, first = Grid.IdxX * SliceRows(factor), end = XMath.Min(inputs, first + SliceRows(factor));
        ArrayView<float> sums = partial.SubView(((long)item * Grid.DimX + Grid.IdxX) * values, values);
        for (int value = Warp.WarpIdx; value < values; value += Warps)
        {
            int j = value / taps, k = value % taps;
            float sum = value < 3 * taps ? TapSum(x, y, dy, item, first, end, inputs, factor, j - 1, k - factor / 2) : ResultSum(y, dy, item, first * factor, end * factor);
            sum = WarpSum(sum);
            if (Warp.IsFirstLane) sums[value] = sum;
        }
    }

    // This lane's part of the sum of x[i, m] g[f i + rowShift, m + bandShift] over input rows from first to before end.
    private static float TapSum(Rows<float> x, Rows<float> y, Rows<float> dy, int item, int first, int end, int inputs, int factor, int bandShift, int rowShift)
    {
        float sum = 0;
        for (int i = first; i < end; i++)
        {
            int t = i * factor + rowShift;
            if (t < 0 || t >= inputs * factor) continue;
            ArrayView<float> values = x.Row(item, i), results = y.Row(item, t), gradients = dy.Row(item, t);
            for (int m = Warp.LaneIdx; m < x.Channels; m += Warp.WarpSize)
            {
                int to = m + bandShift;
                if (to >= 0 && to < x.Channels) sum += values[m] * ThroughSlope(gradients[to], results[to]);
            }
        }
        return sum;
    }

    // This lane's part of the sum of g over output rows from first to before end.
    private static float ResultSum(Rows<float> y, Rows<float> dy, int item, int first, int end)
    {
        float sum = 0;
        for (int t = first; t < end; t++)
            for (int m = Warp.LaneIdx; m < y.Channels; m += Warp.WarpSize) sum += ThroughSlope(dy.Row(item, t)[m], y.Row(item, t)[m]);
        return sum;
    }

    private static float ThroughSlope(float gradient, float result) => result > 0 ? gradient : Slope * gradient;

    // The sum over the warp, in lane 0.
    private static float WarpSum(float value)
    {
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2) value += Warp.ShuffleDown(value, distance);
        return value;
    }

    /// <summary>x, w and bias are read, y is written; three products a tap and input.</summary>
    /// <param name="batch">B.</param>
    /// <param name="inputs">Input rows.</param>
    /// <param name="outputs">Output rows.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    public static Cost ForwardCost(long batch, long inputs, long outputs, int bands, int factor) =>
        new(2 * 3 * batch * outputs * bands * Taps(factor) / factor, sizeof(float) * (batch * bands * (inputs + outputs) + 3 * Taps(factor) + 1));

    /// <summary>y, its gradient and w are read, dx is written.</summary>
    /// <param name="batch">B.</param>
    /// <param name="inputs">I.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    /// <param name="resultBytes">Bytes of a value of y: 2 or 4.</param>
    public static Cost BackwardInputCost(long batch, long inputs, int bands, int factor, int resultBytes) =>
        new(2 * 3 * batch * inputs * bands * Taps(factor), batch * bands * inputs * (sizeof(float) * (factor + 1) + resultBytes * factor) + sizeof(float) * 3 * Taps(factor));

    /// <summary>x, y and its gradient are read, the partial sums are written.</summary>
    /// <param name="batch">B.</param>
    /// <param name="inputs">I.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    /// <param name="resultBytes">Bytes of a value of y: 2 or 4.</param>
    public static Cost BackwardWeightsCost(long batch, int inputs, int bands, int factor, int resultBytes) =>
        new(batch * inputs * bands * (2 * 3 * Taps(factor) + factor),
            batch * ((long)bands * inputs * (sizeof(float) * (factor + 1) + resultBytes * factor) + sizeof(float) * Slices(inputs, factor) * (3L * Taps(factor) + 1)));
}
