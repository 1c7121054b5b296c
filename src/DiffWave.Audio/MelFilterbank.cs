namespace DiffWave.Audio;

/// <summary>
/// Triangular mel filters over FFT bins [bands, bins]. HTK scale as torchaudio's <c>melscale_fbanks</c>: m = 2595 log10(1 + f/700), bins spread evenly over 0..floor(rate/2).
/// Slaney scale as librosa's <c>filters.mel</c>: 200/3 Hz a mel below 1 kHz, 27 mels an e-fold of ln(6.4) above; bins at k rate / N. Both computed in double precision.
/// </summary>
public static class MelFilterbank
{
    private const double SlaneyHzPerMel = 200.0 / 3, SlaneyBreakHz = 1000, SlaneyBreakMel = SlaneyBreakHz / SlaneyHzPerMel;
    private static readonly double SlaneyLogStep = Math.Log(6.4) / 27;

    /// <summary>The filters of a recipe, [bands, fft/2 + 1] row by row: weights to be multiplied with magnitudes.</summary>
    /// <exception cref="ArgumentException">The recipe is out of range.</exception>
    public static double[] Create(MelRecipe recipe)
    {
        if (recipe.Problem() is { } problem) throw new ArgumentException($"mel recipe: {problem}", nameof(recipe));
        int bins = recipe.FftSize / 2 + 1;
        double low = ToMel(recipe.LowHz, recipe.Scale), high = ToMel(recipe.HighHz, recipe.Scale);
        double[] edges = new double[recipe.Bands + 2];
        for (int i = 0; i < edges.Length; i++) edges[i] = ToHz(low + (high - low) * i / (recipe.Bands + 1), recipe.Scale);
        // torchaudio rounds an odd rate's Nyquist frequency down to whole Hz; weights trained on its mels expect that.
        double binHz = recipe.Scale == MelScale.Htk ? (double)(recipe.SampleRate / 2) / (bins - 1) : (double)recipe.SampleRate / recipe.FftSize;
        double[] weights = new double[recipe.Bands * bins];
        for (int band = 0; band < recipe.Bands; band++)
        {
            (double left, double centre, double right) = (edges[band], edges[band + 1], edges[band + 2]);
            double scale = recipe.AreaNormalized ? 2 / (right - left) : 1;
            for (int k = 0; k < bins; k++)
            {
                double hz = k * binHz;
                weights[band * bins + k] = scale * Math.Max(0, Math.Min((hz - left) / (centre - left), (right - hz) / (right - centre)));
            }
        }
        return weights;
    }

    private static double ToMel(double hz, MelScale scale) =>
        scale == MelScale.Htk ? 2595 * Math.Log10(1 + hz / 700)
        : hz < SlaneyBreakHz ? hz / SlaneyHzPerMel
        : SlaneyBreakMel + Math.Log(hz / SlaneyBreakHz) / SlaneyLogStep;

    private static double ToHz(double mel, MelScale scale) =>
        scale == MelScale.Htk ? 700 * (Math.Pow(10, mel / 2595) - 1)
        : mel < SlaneyBreakMel ? mel * SlaneyHzPerMel
        : SlaneyBreakHz * Math.Exp((mel - SlaneyBreakMel) * SlaneyLogStep);
}
