namespace DiffWave.Kernels;

public static partial class Adam
{
    /// <summary>Version 2. Threads: any number along x. The addresses of all five arrays are multiples of 16.</summary>
    /// <param name="weights">n weights, in and out; n is at most 2^30.</param>
    /// <param name="gradients">n gradients.</param>
    /// <param name="m">n first moments, in and out.</param>
    /// <param name="v">n second moments, in and out.</param>
    /// <param name="average">n averages of the weights, in and out; not touched unless <paramref name="averaged"/>.</param>
    /// <param name="scale">Factor of the gradients in the first element; NaN: nothing is updated.</param>
    /// <param name="factors">The numbers of the step.</param>
    /// <param name="averaged">Whether an average is kept.</param>
    [Kernel("adam_v2", BlockX = Threads, Contract = false)]
    public static void UpdateV2(ArrayView<float> weights, ArrayView<float> gradients, ArrayView<float> m, ArrayView<float> v, ArrayView<float> average, ArrayView<float> scale, AdamFactors factors,
        [Const] bool averaged)
    {
        float factor = scale[0];
        if (XMath.IsNaN(factor)) return;
        ArrayView<Float4> weightFours = Fours(weights), gradientFours = Fours(gradients), firstFours = Fours(m), secondFours = Fours(v), averageFours = Fours(average);
        int thread = Grid.GlobalIndex.X, rest = 4 * weightFours.IntLength + thread;
        for (int i = thread; i < weightFours.IntLength; i += Grid.DimX * Threads)
        {
            Float4 weight = weightFours[i], gradient = gradientFours[i], first = firstFours[i], second = secondFours[i];
            Update(ref weight.X, factor * gradient.X, ref first.X, ref second.X, factors);
            Update(ref weight.Y, factor * gradient.Y, ref first.Y, ref second.Y, factors);
            Update(ref weight.Z, factor * gradient.Z, ref first.Z, ref second.Z, factors);
            Update(ref weight.W, factor * gradient.W, ref first.W, ref second.W, factors);
            weightFours[i] = weight;
            firstFours[i] = first;
            secondFours[i] = second;
            if (!averaged) continue;
            Float4 old = averageFours[i];
            averageFours[i] = new Float4(Averaged(old.X, weight.X, factors), Averaged(old.Y, weight.Y, factors), Averaged(old.Z, weight.Z, factors), Averaged(old.W, weight.W, factors));
        }
        if (rest < weights.IntLength) Update(weights, gradients, m, v, average, rest, factor, factors, averaged); // the last one to three values
    }

    private static ArrayView<Float4> Fours(ArrayView<float> values) => values.AsAligned16().Cast<Float4>();
}
