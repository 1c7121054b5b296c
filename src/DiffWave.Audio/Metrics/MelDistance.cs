using System.Numerics;

namespace DiffWave.Audio;

/// <summary>
/// Distances of the mels m of a reference and m' of a generated signal, in the recipe of Tacotron 2 and most neural vocoders (<see cref="MelRecipe.Tacotron"/>: 80 Slaney bands, 0 to
/// 8000 Hz or half the rate, natural logarithm, floor 1e-5), whatever mel the vocoder itself takes.
/// <para>Log-mel L1: the mean of |ln m - ln m'| over all frames and bands, in nats; 0.1 is a difference of about 10 %, or 0.87 dB.</para>
/// <para>
/// Mel-cepstral distortion (Kubichek 1993): the mean over frames of 10 / ln 10 * sqrt(2 sum_{d=1..13} (c_d - c'_d)^2), in dB. c is the DCT-II of ln m, c_d = 2/M sum_j ln m_j
/// cos(pi d (j + 1/2) / M), scaled so that this is the root mean square difference of the smoothed log mels; c_0, the loudness, is left out. These are cepstra of mel bands, not
/// SPTK's mel-generalised cepstra, and frames are compared in place, without dynamic time warping: figures of papers that differ in either cannot be set beside these.
/// </para>
/// </summary>
public static class MelDistance
{
    private const int Bands = 80, Coefficients = 13, BlockFrames = 32;

    private static readonly double[] Basis = // [d - 1, band]
        [.. Enumerable.Range(0, Coefficients * Bands).Select(i => 2.0 / Bands * Math.Cos(Math.PI * (1 + i / Bands) * (i % Bands + 0.5) / Bands))];

    /// <summary>
    /// The recipe both distances use at a rate: frames of 1024 samples and a hop of 256 up to 32 kHz, both doubled with every doubling of the rate beyond, so that no band falls
    /// between two bins.
    /// </summary>
    /// <param name="sampleRate">Hz, 1000 to 768000.</param>
    public static MelRecipe Recipe(int sampleRate)
    {
        int fft = FrameLength(sampleRate);
        return MelRecipe.Tacotron(sampleRate, fft / 4, Bands, fft);
    }

    /// <summary>Log-mel L1 in nats and mel-cepstral distortion in dB.</summary>
    /// <param name="reference">The recording, mono, at least one sample.</param>
    /// <param name="generated">What was made from it; as many samples.</param>
    /// <param name="sampleRate">Hz, of both, 1000 to 768000.</param>
    /// <exception cref="ArgumentException">No samples, different lengths, or a sample that is not finite.</exception>
    public static (double LogMelL1, double CepstralDistortionDb) Between(ReadOnlySpan<float> reference, ReadOnlySpan<float> generated, int sampleRate)
    {
        if (reference.Length != generated.Length) throw new ArgumentException($"{generated.Length} samples, expected as many as the reference has: {reference.Length}", nameof(generated));
        var spectrogram = new MelSpectrogram(Recipe(sampleRate));
        int frames = spectrogram.Frames(reference.Length);
        float[] r = new float[BlockFrames * Bands], g = new float[BlockFrames * Bands];
        double l1 = 0, distortion = 0;
        for (int first = 0; first < frames; first += BlockFrames)
        {
            int count = Math.Min(BlockFrames, frames - first);
            spectrogram.ComputeFrames(reference, first, count, r);
            spectrogram.ComputeFrames(generated, first, count, g);
            for (int i = 0; i < count * Bands; i++) l1 += Math.Abs((double)r[i] - g[i]);
            for (int f = 0; f < count; f++) distortion += CepstralDistortion(r.AsSpan(f * Bands, Bands), g.AsSpan(f * Bands, Bands));
        }
        return (l1 / ((double)frames * Bands), distortion / frames);
    }

    /// <summary>Mel-cepstral distortion of one frame of log mels [80].</summary>
    internal static double CepstralDistortion(ReadOnlySpan<float> r, ReadOnlySpan<float> g)
    {
        double squares = 0;
        for (int d = 0; d < Coefficients; d++)
        {
            double difference = 0;
            for (int j = 0; j < Bands; j++) difference += Basis[d * Bands + j] * ((double)r[j] - g[j]);
            squares += difference * difference;
        }
        return 10 / Math.Log(10) * Math.Sqrt(2 * squares);
    }

    internal static int FrameLength(int sampleRate) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1024, 1024L * sampleRate / 32000));
}
