namespace DiffWave.Kernels;

public static partial class Adam
{
    /// <summary>Version 2. Threads: any number along x. The addresses of the five arrays of values are multiples of 16.</summary>
    /// <param name="weights">n weights, in and out; n is at most 2^30.</param>
    /// <param name="gradients">n gradients.</param>
    /// <param name="m">n first moments, in and out.</param>
    /// <param name="v">n second moments, in and out.</param>
    /// <param name="average">n averages of the weights, in and out; not touched unless <paramref name="averaged"/>.</param>
    /// <param name="scale">Factor of the gradients in the first element; NaN: nothing is updated.</param>
    /// <param name="factors">The numbers of the step, one element.</param>
    /// <param name="averaged">Whether an average is kept.</param>
    [Kernel("adam_v2", BlockX = Threads, Contract = false)]
    public static void UpdateV2(ArrayView<float> weights, ArrayView<float> gradients, ArrayView<float> m, ArrayView<float> v, ArrayView<float> average, ArrayView<float> scale, ArrayView<AdamFactors> factors,
        [Const] bool averaged)
    {
        float factor = scale[0];
        if (XMath.IsNaN(factor)) return;
        AdamFactors numbers = factors[0];
        ArrayView<Float4> weightFours = Fours(weights), gradientFours = Fours(gradients), firstFours = Fours(m), secondFours = Fours(v), averageFours = Fours(average);
        int thread = Grid.GlobalIndex.X, rest = 4 * weightFours.IntLength + thread;
        for (int i = thread; i < weightFours.IntLength; i += Grid.DimX * Threads)
        {
            Float4 weight = weightFours[i], gradient = gradientFours[i], first = firstFours[i], second = secondFours[i];
            Update(ref weight.X, factor * gradient.X, ref first.X, ref second.X, numbers);
            Update(ref weight.Y, factor * gradient.Y, ref first.Y, ref second.Y, numbers);
            Update(ref weight.Z, factor * gradient.Z, ref first.Z, ref second.Z, numbers);
            Update(ref weight.W, factor * gradient.W, ref first.W, ref second.W, numbers);
            weightFours[i] = weight;
            firstFours[i] = first;
            secondFours[i] = second;
            if (!averaged) continue;
            Float4 old = averageFours[i];
            averageFours[i] = new Float4(Averaged(old.X, weight.X, numbers), Averaged(old.Y, weight.Y, numbers), Averaged(old.Z, weight.Z, numbers), Averaged(old.W, weight.W, numbers));
        }
        if (rest < weights.IntLength) Update(weights, gradients, m, v, average, rest, factor, numbers, averaged); // the last one to three values
    }

    private static ArrayView<Float4> Fours(ArrayView<float> values) => values.AsAligned16().Cast<Float4>();
}
