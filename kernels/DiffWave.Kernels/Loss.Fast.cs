namespace DiffWave.Kernels;

public static partial class Loss
{
    /// <summary>Version 2. Grid: x over the <see cref="Slices"/> of an item, y over items. The addresses of the signals are multiples of 16.</summary>
    /// <param name="eps">[B, T, 1], predicted.</param>
    /// <param name="noise">[B, T, 1], true.</param>
    /// <param name="validSamples">Samples of each item that count, B whole numbers, 0 to T.</param>
    /// <param name="dEps">Receives [B, T, 1]; may be <paramref name="eps"/>.</param>
    /// <param name="partial">Receives B x slices sums.</param>
    /// <param name="rows">T, at most 2^30.</param>
    /// <param name="factor">Factor of the gradient in the first element: 1 / number of samples that count in the whole batch.</param>
    /// <param name="squared">True: MSE, false: L1.</param>
    [Kernel("loss_v2", BlockX = GroupSum.Threads)]
    public static void LossV2(Rows<float> eps, Rows<float> noise, ArrayView<float> validSamples, Rows<float> dEps, ArrayView<double> partial, int rows, ArrayView<float> factor, [Const] bool squared)
    {
        int item = Grid.IdxY, valid = (int)validSamples[item], row = Grid.IdxX * SliceRows + 4 * Group.IdxX;
        float f = factor[0];
        double sum = 0; // of the same four samples in the same order on either way
        if (row + 4 <= rows && StartsFour(eps, item) && StartsFour(noise, item) && StartsFour(dEps, item))
        {
            Float4 gradient = default;
            if (row < valid)
            {
                Float4 predicted = Fours(eps, item, rows)[row / 4], truth = Fours(noise, item, rows)[row / 4];
                gradient.X = Gradient((double)predicted.X - truth.X, f, squared, ref sum);
                if (row + 1 < valid) gradient.Y = Gradient((double)predicted.Y - truth.Y, f, squared, ref sum);
                if (row + 2 < valid) gradient.Z = Gradient((double)predicted.Z - truth.Z, f, squared, ref sum);
                if (row + 3 < valid) gradient.W = Gradient((double)predicted.W - truth.W, f, squared, ref sum);
            }
            Fours(dEps, item, rows)[row / 4] = gradient;
        }
        else
        {
            ArrayView<float> predicted = eps.Run(item, rows), truth = noise.Run(item, rows), gradient = dEps.Run(item, rows);
            for (int end = XMath.Min(rows, row + 4); row < end; row++) gradient[row] = row < valid ? Gradient((double)predicted[row] - truth[row], f, squared, ref sum) : 0;
        }
        sum = GroupSum.Shuffles(sum);
        if (Group.IdxX == 0) partial[item * Grid.DimX + Grid.IdxX] = sum;
    }

    // Whether an item's first row lies on a multiple of 16 bytes.
    private static bool StartsFour(Rows<float> signal, int item) => (item * signal.ItemRows + signal.First & 3) == 0;

    private static ArrayView<Float4> Fours(Rows<float> signal, int item, int rows) => signal.Run(item, rows).AsAligned16().Cast<Float4>();
}
