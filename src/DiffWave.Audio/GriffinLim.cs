namespace DiffWave.Audio;

/// <summary>
/// Signals from magnitudes alone, by the iteration of Griffin and Lim (1984): make the signal nearest to the present spectra, take its spectra, keep their phases and restore the
/// magnitudes. Needs no training, so it is the yardstick for a vocoder: what a mel gives away without one.
/// </summary>
public static class GriffinLim
{
    /// <summary>Iterations after which little changes.</summary>
    public const int DefaultIterations = 60;

    /// <summary>A signal for a mel: <see cref="MelInversion"/>, then <see cref="FromMagnitudes"/>.</summary>
    /// <param name="mel">[bands, frames], row by row; finite.</param>
    /// <param name="recipe">Its recipe.</param>
    /// <param name="samples">Length wanted, of a clip with as many frames: (frames - 1) hop to frames hop - 1.</param>
    /// <param name="iterations">0 or more.</param>
    /// <param name="seed">Chooses the phases to start with.</param>
    /// <returns>The samples, at the recipe's rate; not limited to -1..1.</returns>
    /// <exception cref="ArgumentException">The mel is not of the recipe, does not fit the length, or holds a value that is not finite.</exception>
    public static float[] FromMel(ReadOnlySpan<float> mel, MelRecipe recipe, int samples, int iterations = DefaultIterations, ulong seed = 0)
    {
        double[] magnitudes = MelInversion.Magnitudes(mel, recipe);
        double[] signal = FromMagnitudes(magnitudes, new Stft(recipe.FftSize, recipe.WindowLength, recipe.Hop), samples, iterations, seed);
        return [.. signal.Select(x => (float)x)];
    }

    /// <summary>A signal whose spectra have magnitudes near the given ones.</summary>
    /// <remarks>
    /// Phases start at 2 pi u, with u from 0 to 1 drawn by SplitMix64 (Steele et al. 2014) from the seed and the number of the bin, counted over all frames: the same seed gives the same
    /// signal. Takes about 40 bytes for every bin of every frame.
    /// </remarks>
    /// <param name="magnitudes">[frames, bins], 0 or more.</param>
    /// <param name="stft">The transform they belong to.</param>
    /// <param name="samples">Length wanted, of a clip with as many frames.</param>
    /// <param name="iterations">0 or more; 0 is the signal of the first phases.</param>
    /// <param name="seed">Chooses the phases to start with.</param>
    /// <param name="error">
    /// Told before each iteration, counted from 0, how far the magnitudes of the signal so far are from the given ones: the norm of their difference over all FFT bins, mirror images
    /// included, relative to that of the given ones. It never grows (Griffin and Lim 1984, section III).
    /// </param>
    /// <exception cref="ArgumentException">The magnitudes do not fit the length.</exception>
    public static double[] FromMagnitudes(ReadOnlySpan<double> magnitudes, Stft stft, int samples, int iterations = DefaultIterations, ulong seed = 0,
        Action<int, double>? error = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(iterations);
        int frames = stft.Frames(samples), bins = stft.Bins;
        if (magnitudes.Length != (long)frames * bins) throw new ArgumentException($"{magnitudes.Length} magnitudes, expected {frames} frames x {bins} bins for {samples} samples", nameof(magnitudes));
        var spectra = new (double Re, double Im)[magnitudes.Length];
        for (int i = 0; i < spectra.Length; i++)
        {
            (double sin, double cos) = Math.SinCos(2 * Math.PI * Uniform(seed, (ulong)i));
            spectra[i] = (magnitudes[i] * cos, magnitudes[i] * sin);
        }
        double[] signal = stft.Inverse(spectra, samples);
        for (int iteration = 0; iteration < iterations; iteration++)
        {
            spectra = stft.Forward(signal);
            if (error is not null) error(iteration, RelativeError(spectra, magnitudes, stft));
            for (int i = 0; i < spectra.Length; i++)
            {
                (double re, double im) = spectra[i];
                double length = Math.Sqrt(re * re + im * im);
                spectra[i] = length > 0 ? (magnitudes[i] * (re / length), magnitudes[i] * (im / length)) : (magnitudes[i], 0);
            }
            signal = stft.Inverse(spectra, samples);
        }
        return signal;
    }

    private static double RelativeError((double Re, double Im)[] spectra, ReadOnlySpan<double> magnitudes, Stft stft)
    {
        double error = 0, energy = 0;
        for (int i = 0; i < spectra.Length; i++)
        {
            int bin = i % stft.Bins;
            double copies = bin == 0 || 2 * bin == stft.Window.Count ? 1 : 2; // the other half of the spectrum mirrors this one
            double difference = Math.Sqrt(spectra[i].Re * spectra[i].Re + spectra[i].Im * spectra[i].Im) - magnitudes[i];
            error += copies * difference * difference;
            energy += copies * magnitudes[i] * magnitudes[i];
        }
        return energy > 0 ? Math.Sqrt(error / energy) : 0;
    }

    // SplitMix64: a counter in steps of the golden ratio, mixed. A number depends on nothing but seed and index.
    private static double Uniform(ulong seed, ulong index) => (Mix(unchecked(Mix(seed) + (index + 1) * 0x9E3779B97F4A7C15)) >> 11) * (1.0 / (1UL << 53));

    private static ulong Mix(ulong z)
    {
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        return z ^ (z >> 31);
    }
}
