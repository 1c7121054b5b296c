namespace DiffWave.Audio;

/// <summary>
/// Magnitudes of spectra whose mel is a given one. A mel has far fewer bands than the spectrum has bins, so many spectra fit; this one is non-negative and as smooth as the bands
/// allow. Bins that no band covers become 0, and what the recipe's compression cut off is not brought back.
/// </summary>
/// <remarks>
/// Richardson and Lucy's iteration (Richardson 1972, Lucy 1974), s_k &lt;- s_k sum_j w_jk (m_j / (W s)_j) / sum_j w_jk, which never raises the Kullback-Leibler divergence of W s
/// from m. It starts at a flat spectrum and changes neighbouring bins alike. The pseudo-inverse with negative values cut off misses speech by about 2 % of its mel, this by less than 1e-4.
/// </remarks>
public static class MelInversion
{
    private const int Iterations = 64;

    /// <summary>Magnitudes |X| of a mel.</summary>
    /// <param name="mel">[bands, frames], row by row, as <see cref="MelSpectrogram.Compute"/> gives it; finite.</param>
    /// <param name="recipe">Its recipe.</param>
    /// <returns>[frames, bins], unnormalised as <see cref="Stft.Magnitudes(ReadOnlySpan{float}, int, int, Span{double})"/> gives them.</returns>
    /// <exception cref="ArgumentException">The mel is not of the recipe, or holds a value that is not finite.</exception>
    public static double[] Magnitudes(ReadOnlySpan<float> mel, MelRecipe recipe)
    {
        ReadOnlySpan<(int FirstBin, double[] Weights)> filters = new MelSpectrogram(recipe).Filters;
        int bands = recipe.Bands, frames = mel.Length / bands, bins = recipe.FftSize / 2 + 1;
        if (mel.Length != (long)frames * bands) throw new ArgumentException($"{mel.Length} numbers, expected a multiple of {bands} bands", nameof(mel));
        var columns = new double[bins];
        foreach ((int first, double[] weights) in filters)
            for (int k = 0; k < weights.Length; k++) columns[first + k] += weights[k];
        double[] magnitudes = new double[checked(frames * bins)], bandMagnitudes = new double[bands], factors = new double[bins];
        for (int f = 0; f < frames; f++)
        {
            for (int j = 0; j < bands; j++) bandMagnitudes[j] = Expand(mel[j * frames + f], recipe);
            Span<double> s = magnitudes.AsSpan(f * bins, bins);
            for (int k = 0; k < bins; k++) s[k] = columns[k] > 0 ? 1 : 0;
            for (int i = 0; i < Iterations; i++)
            {
                Array.Clear(factors);
                for (int j = 0; j < bands; j++)
                {
                    (int first, double[] weights) = filters[j];
                    double sum = 0;
                    for (int k = 0; k < weights.Length; k++) sum += weights[k] * s[first + k];
                    if (sum <= 0) continue; // a band without bins
                    double ratio = bandMagnitudes[j] / sum;
                    for (int k = 0; k < weights.Length; k++) factors[first + k] += weights[k] * ratio;
                }
                for (int k = 0; k < bins; k++)
                    if (columns[k] > 0) s[k] *= factors[k] / columns[k];
            }
        }
        return magnitudes;
    }

    // Values outside the recipe's range, which a model may predict, count as its ends.
    private static double Expand(float value, MelRecipe recipe)
    {
        if (!float.IsFinite(value)) throw new ArgumentException(FormattableString.Invariant($"the mel holds {value}, expected finite values"));
        double inside = Math.Clamp(value, recipe.ValueRange.Min, recipe.ValueRange.Max);
        return recipe.Compression == MelCompression.NaturalLog ? Math.Exp(inside) : Math.Pow(10, (100 * inside - 100 + 20) / 20);
    }
}
