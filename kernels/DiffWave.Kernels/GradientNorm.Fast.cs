namespace DiffWave.Kernels;

public static partial class GradientNorm
{
    /// <summary>Version 2. Grid: x over the <see cref="Slices"/>.</summary>
    /// <param name="gradients">n numbers, at most 2^30; the address a multiple of 16.</param>
    /// <param name="losses">The sums of losses of the step, all of them; may be empty.</param>
    /// <param name="limits">Those of the step, one element.</param>
    /// <param name="partial">Receives a sum of squares a slice.</param>
    /// <param name="finished">0 in its first element, before and after.</param>
    /// <param name="norm">Receives the norm of the true gradients in its first element.</param>
    /// <param name="scale">Receives the factor of every gradient in its first element, or NaN when a loss or the norm is not finite or the clipped norm exceeds the largest.</param>
    [Kernel("gradient_norm_v2", BlockX = GroupSum.Threads)]
    public static void NormV2(ArrayView<float> gradients, ArrayView<double> losses, ArrayView<UpdateLimits> limits, ArrayView<double> partial, ArrayView<int> finished, ArrayView<double> norm,
        ArrayView<float> scale)
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
        if (LastBlock.IsThis(finished)) Decide(losses, limits, partial, norm, scale);
    }

    private static double Square(float value) => (double)value * value;
}
