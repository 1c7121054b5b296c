namespace DiffWave.Audio;

/// <summary>
/// Computes mel spectrograms of one recipe: magnitudes of a centred <see cref="Stft"/>, <see cref="MelFilterbank"/>, logarithm; in double precision, stored as float32.
/// Immutable; threads may share one.
/// </summary>
/// <remarks>
/// The recipes with <see cref="MelCompression.Decibel01"/> clip samples to -1..1 first, as lmnt's preprocess does; it also takes the first channel of a file, so read files
/// with <see cref="ChannelMix.First"/> to repeat its numbers. Clips shorter than half an FFT frame are reflected repeatedly, see
/// <see cref="Stft.Magnitudes(ReadOnlySpan{float}, int, int, Span{double})"/>.
/// </remarks>
public sealed class MelSpectrogram
{
    private const int BlockFrames = 32;

    private readonly Stft _stft;
    private readonly (int FirstBin, double[] Weights)[] _filters; // only the bins under each triangle
    private readonly float _limit;

    /// <summary>The recipe.</summary>
    public MelRecipe Recipe { get; }

    /// <summary>The weights of each band, window normalisation included, and the bin of the first.</summary>
    internal ReadOnlySpan<(int FirstBin, double[] Weights)> Filters => _filters;

    /// <exception cref="ArgumentException">The recipe is out of range.</exception>
    public MelSpectrogram(MelRecipe recipe)
    {
        double[] weights = MelFilterbank.Create(recipe);
        Recipe = recipe;
        _stft = new Stft(recipe.FftSize, recipe.WindowLength, recipe.Hop);
        _limit = recipe.Compression == MelCompression.Decibel01 ? 1 : float.MaxValue;
        double scale = recipe.WindowNormalized ? 1 / Math.Sqrt(_stft.Window.Sum(w => w * w)) : 1;
        _filters = new (int, double[])[recipe.Bands];
        for (int band = 0; band < recipe.Bands; band++)
        {
            Span<double> row = weights.AsSpan(band * _stft.Bins, _stft.Bins);
            int first = Math.Max(0, row.IndexOfAnyExcept(0.0)), last = row.LastIndexOfAnyExcept(0.0); // a band narrower than a bin may be empty
            double[] used = row[first..(last + 1 > first ? last + 1 : first)].ToArray();
            for (int k = 0; k < used.Length; k++) used[k] *= scale;
            _filters[band] = (first, used);
        }
    }

    /// <summary>Frames of a clip: 1 + samples / hop, rounded down.</summary>
    public int Frames(int samples) => _stft.Frames(samples);

    /// <summary>The mel of a whole clip.</summary>
    /// <param name="samples">Mono samples at the recipe's rate, at least one.</param>
    /// <param name="frames">Number of frames.</param>
    /// <returns>[bands, frames], row by row.</returns>
    /// <exception cref="ArgumentException">No samples, or one that is not finite.</exception>
    public float[] Compute(ReadOnlySpan<float> samples, out int frames)
    {
        frames = Frames(samples.Length);
        int bands = Recipe.Bands;
        var mel = new float[checked(bands * frames)];
        var block = new float[BlockFrames * bands];
        for (int first = 0; first < frames; first += BlockFrames)
        {
            int count = Math.Min(BlockFrames, frames - first);
            ComputeFrames(samples, first, count, block);
            for (int band = 0; band < bands; band++)
                for (int f = 0; f < count; f++) mel[band * frames + first + f] = block[f * bands + band];
        }
        return mel;
    }

    /// <summary>Some frames of a clip's mel, with the very numbers <see cref="Compute"/> gives.</summary>
    /// <param name="samples">The whole clip at the recipe's rate.</param>
    /// <param name="firstFrame">First frame.</param>
    /// <param name="count">Number of frames.</param>
    /// <param name="destination">[count, bands].</param>
    /// <exception cref="ArgumentException">No samples, one that is not finite, or frames outside the clip.</exception>
    public void ComputeFrames(ReadOnlySpan<float> samples, int firstFrame, int count, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstFrame);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstFrame, Frames(samples.Length) - count);
        if (destination.Length < (long)count * Recipe.Bands) throw new ArgumentException($"{destination.Length} numbers, expected {count} x {Recipe.Bands}", nameof(destination));
        var magnitudes = new double[Math.Min(count, BlockFrames) * _stft.Bins];
        for (int first = 0; first < count; first += BlockFrames)
        {
            int block = Math.Min(BlockFrames, count - first);
            _stft.Magnitudes(samples, firstFrame + first, block, magnitudes, _limit);
            for (int f = 0; f < block; f++)
            {
                ReadOnlySpan<double> spectrum = magnitudes.AsSpan(f * _stft.Bins, _stft.Bins);
                Span<float> row = destination.Slice((first + f) * Recipe.Bands, Recipe.Bands);
                for (int band = 0; band < row.Length; band++)
                {
                    (int bin, double[] weights) = _filters[band];
                    double sum = 0;
                    for (int k = 0; k < weights.Length; k++) sum += weights[k] * spectrum[bin + k];
                    row[band] = Compress(sum);
                }
            }
        }
    }

    private float Compress(double magnitude)
    {
        double floored = Math.Max(magnitude, Recipe.Floor);
        return (float)(Recipe.Compression == MelCompression.NaturalLog ? Math.Log(floored) : Math.Clamp((20 * Math.Log10(floored) - 20 + 100) / 100, 0, 1));
    }
}
