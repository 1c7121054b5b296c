namespace DiffWave.Kernels;

public static partial class GradientNorm
{
    /// <summary>Version 2 of the first launch. Grid: x over the <see cref="Slices"/>.</summary>
    /// <param name="gradients">n numbers, at most 2^30; the address a multiple of 16.</param>
    /// <param name="partial">Receives a sum of squares a slice.</param>
    [Kernel("gradient_squares_v2", BlockX = GroupSum.Threads)]
    public static void SquaresV2(ArrayView<float> gradients, ArrayView<double> partial)
    {
        ArrayView<Float4> fours = gradients.AsAligned16().Cast<Float4>();
        int first = Grid.IdxX * (SliceValues / 4) + Group.IdxX, rest = 4 * fours.IntLength + Group.IdxX;
        double sum = 0;
        for (int step = 0; step < SliceValues / 4 / GroupSum.Threads; step++)
        {
            int i = first + step * GroupSum.Threads;
            if (i >= fours.IntLength) continue;
            Float4 four = fours[i];
            sum += (Square(four.X) + Square(four.Y)) + (Square(four.Z) + Square(four.W));
        }
        if (Grid.IdxX == Grid.DimX - 1 && rest < gradients.IntLength) sum += Square(gradients[rest]); // the last one to three
        sum = GroupSum.Shuffles(sum);
        if (Group.IdxX == 0) partial[Grid.IdxX] = sum;
    }

    private static double Square(float value) => (double)value * value;
}
