// The loss between predicted and true noise, and its gradient, in one pass
//
//   L1:   sums[b] = sum over t of |eps - noise|      dEps[b, t] = factor sign(eps - noise)          signals: B x T
//   MSE:  sums[b] = sum over t of (eps - noise)^2    dEps[b, t] = 2 factor (eps - noise)
//
// Only the first validSamples[b] samples of an item count; the gradient of the others is 0. Differences and sums are float64, and a NaN stays one in both results.
// Two launches: a block leaves the sum over each slice of 1024 rows of an item, then one thread an item adds its slices in order. So neither the device nor how a batch
// is cut into launches changes a bit. What differs from step to step, the factor and the samples that count, is read from device memory: a recorded launch takes new numbers when it is replayed.
//
// v1  a block a slice, one sample a thread at a time, a tree in shared memory
// v2  four samples a thread by 128-bit loads and stores where an item allows it, sums by shuffles
//
// The second launch:
//
// v1  one thread an item adds the slices in order
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>L1 or MSE loss of each item in float64, and the gradient of the prediction.</summary>
public static partial class Loss
{
    /// <summary>Rows of an item whose sum one block leaves.</summary>
    public const int SliceRows = 1024;

    /// <summary>Slices an item is cut into.</summary>
    /// <param name="rows">T.</param>
    public static int Slices(int rows) => (rows + SliceRows - 1) / SliceRows;

    /// <summary>One item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="eps">T samples, predicted.</param>
    /// <param name="noise">T samples, true.</param>
    /// <param name="valid">Samples that count.</param>
    /// <param name="factor">Factor of the gradient.</param>
    /// <param name="squared">True: MSE, false: L1.</param>
    /// <param name="dEps">Receives T samples.</param>
    /// <returns>The sum.</returns>
    public static T Reference<T>(ReadOnlySpan<float> eps, ReadOnlySpan<float> noise, int valid, float factor, bool squared, Span<T> dEps) where T : IFloatingPointIeee754<T>
    {
        T sum = T.Zero, f = T.CreateChecked(factor);
        dEps.Clear();
        for (int t = 0; t < valid; t++)
        {
            T difference = T.CreateChecked(eps[t]) - T.CreateChecked(noise[t]);
            sum += squared ? difference * difference : T.Abs(difference);
            dEps[t] = squared ? (f + f) * difference : difference > T.Zero ? f : difference < T.Zero ? -f : difference;
        }
        return sum;
    }

    /// <summary>Version 1. Grid: x over the <see cref="Slices"/> of an item, y over items.</summary>
    /// <param name="eps">[B, T, 1], predicted.</param>
    /// <param name="noise">[B, T, 1], true.</param>
    /// <param name="validSamples">Samples of each item that count, B whole numbers, 0 to T.</param>
    /// <param name="dEps">Receives [B, T, 1]; may be <paramref name="eps"/>.</param>
    /// <param name="partial">Receives B x slices sums.</param>
    /// <param name="rows">T, at most 2^30.</param>
    /// <param name="factor">Factor of the gradient in the first element: 1 / number of samples that count in the whole batch.</param>
    /// <param name="squared">True: MSE, false: L1.</param>
    [Kernel("loss_v1", BlockX = GroupSum.Threads)]
    public static void LossV1(Rows<float> eps, Rows<float> noise, ArrayView<float> validSamples, Rows<float> dEps, ArrayView<double> partial, int rows, ArrayView<float> factor, [Const] bool squared)
    {
        int item = Grid.IdxY, valid = (int)validSamples[item];
        float f = factor[0];
        ArrayView<float> predicted = eps.Run(item, rows), truth = noise.Run(item, rows), gradient = dEps.Run(item, rows);
        int end = XMath.Min(rows, (Grid.IdxX + 1) * SliceRows);
        double sum = 0;
        for (int row = Grid.IdxX * SliceRows + Group.IdxX; row < end; row += GroupSum.Threads)
            gradient[row] = row < valid ? Gradient((double)predicted[row] - truth[row], f, squared, ref sum) : 0;
        sum = GroupSum.Tree(sum);
        if (Group.IdxX == 0) partial[item * Grid.DimX + Grid.IdxX] = sum;
    }

    // The gradient of a sample; its loss is added to the sum.
    private static float Gradient(double difference, float factor, bool squared, ref double sum)
    {
        sum += squared ? difference * difference : XMath.Abs(difference);
        if (squared) return (float)(2.0 * factor * difference);
        return difference > 0 ? factor : difference < 0 ? -factor : (float)difference; // 0, or NaN
    }

    /// <summary>Version 1 of the second launch. Threads: at least one an item, along x.</summary>
    /// <param name="partial">B x slices sums.</param>
    /// <param name="sums">Receives the sum of item b at <paramref name="firstItem"/> + b.</param>
    /// <param name="slices">Slices of an item.</param>
    /// <param name="firstItem">Where the first item's sum belongs: items of the batch that went before.</param>
    [Kernel("loss_sum_v1", BlockX = GroupSum.Threads)]
    public static void SumV1(ArrayView<double> partial, ArrayView<double> sums, int slices, int firstItem)
    {
        int item = Grid.GlobalIndex.X;
        if (item >= partial.IntLength / slices) return;
        double sum = 0;
        for (int slice = 0; slice < slices; slice++) sum += partial[item * slices + slice];
        sums[firstItem + item] = sum;
    }

    /// <summary>The first launch: two signals are read, the gradient and the sums of slices are written; four operations a sample.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    public static Cost LossCost(long items, long rows) => new(4 * items * rows, 3 * sizeof(float) * items * rows + sizeof(double) * items * Slices((int)rows));

    /// <summary>The second launch: sums of slices are read, one sum an item is written.</summary>
    /// <param name="items">B.</param>
    /// <param name="slices">Slices of an item.</param>
    public static Cost SumCost(long items, long slices) => new(items * slices, sizeof(double) * items * (slices + 1));
}
