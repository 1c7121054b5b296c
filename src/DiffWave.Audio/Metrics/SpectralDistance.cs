namespace DiffWave.Audio;

/// <summary>Distances of the magnitudes |X| and |X'| of the spectra of a reference and a generated signal, see <see cref="Stft"/>.</summary>
public static class SpectralDistance
{
    private const int BlockFrames = 32;
    private const double LogSpectralFloor = 1e-5, MultiResolutionFloor = 1e-7;

    private static readonly (int Fft, int Hop, int Window)[] Resolutions = [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)];

    /// <summary>
    /// Log-spectral distance (Gray and Markel 1976) in dB: the mean over frames of sqrt(mean over bins of (20 log10 |X| / |X'|)^2), magnitudes below 1e-5 raised to it. Frames as in
    /// <see cref="MelDistance.Recipe"/>. All bins up to half the rate count alike, the inaudible and the nearly empty ones too.
    /// </summary>
    /// <param name="reference">The recording, mono, at least one sample.</param>
    /// <param name="generated">What was made from it; as many samples.</param>
    /// <param name="sampleRate">Hz, of both, 1000 to 768000.</param>
    /// <exception cref="ArgumentException">No samples, different lengths, or a sample that is not finite.</exception>
    public static double LogSpectral(ReadOnlySpan<float> reference, ReadOnlySpan<float> generated, int sampleRate)
    {
        int size = MelDistance.FrameLength(sampleRate);
        var stft = new Stft(size, size, size / 4);
        double sum = 0;
        ForEachFrame(stft, reference, generated, (r, g) =>
        {
            double squares = 0;
            for (int k = 0; k < r.Length; k++)
            {
                double db = 20 * Math.Log10(Math.Max(r[k], LogSpectralFloor) / Math.Max(g[k], LogSpectralFloor));
                squares += db * db;
            }
            sum += Math.Sqrt(squares / r.Length);
        });
        return sum / stft.Frames(reference.Length);
    }

    /// <summary>
    /// The two terms of the multi-resolution STFT loss (Yamamoto et al. 2020, arXiv 1910.11480, equations 3 to 6): spectral convergence | |X| - |X'| |_F / | |X| |_F, and the mean of
    /// |ln |X| - ln |X'|| in nats; each the mean over frames of 600, 1200 and 240 samples (FFT 1024, 2048, 512; hop 120, 240, 50), the same for every rate. |X|^2 below 1e-7 is
    /// raised to it, as the public implementation of that paper does.
    /// </summary>
    /// <param name="reference">The recording, mono, at least one sample.</param>
    /// <param name="generated">What was made from it; as many samples.</param>
    /// <exception cref="ArgumentException">No samples, different lengths, or a sample that is not finite.</exception>
    public static (double SpectralConvergence, double LogMagnitudeL1) MultiResolution(ReadOnlySpan<float> reference, ReadOnlySpan<float> generated)
    {
        double convergence = 0, logMagnitude = 0;
        foreach ((int fft, int hop, int window) in Resolutions)
        {
            var stft = new Stft(fft, window, hop);
            double error = 0, energy = 0, logs = 0;
            ForEachFrame(stft, reference, generated, (r, g) =>
            {
                for (int k = 0; k < r.Length; k++)
                {
                    double a = Math.Max(r[k] * r[k], MultiResolutionFloor), b = Math.Max(g[k] * g[k], MultiResolutionFloor), difference = Math.Sqrt(a) - Math.Sqrt(b);
                    error += difference * difference;
                    energy += a;
                    logs += Math.Abs(Math.Log(a / b)) / 2;
                }
            });
            convergence += Math.Sqrt(error / energy) / Resolutions.Length;
            logMagnitude += logs / ((double)stft.Frames(reference.Length) * stft.Bins) / Resolutions.Length;
        }
        return (convergence, logMagnitude);
    }

    private delegate void FramePair(ReadOnlySpan<double> reference, ReadOnlySpan<double> generated);

    private static void ForEachFrame(Stft stft, ReadOnlySpan<float> reference, ReadOnlySpan<float> generated, FramePair visit)
    {
        if (reference.Length != generated.Length) throw new ArgumentException($"{generated.Length} samples, expected as many as the reference has: {reference.Length}", nameof(generated));
        double[] r = new double[BlockFrames * stft.Bins], g = new double[BlockFrames * stft.Bins];
        int frames = stft.Frames(reference.Length);
        for (int first = 0; first < frames; first += BlockFrames)
        {
            int count = Math.Min(BlockFrames, frames - first);
            stft.Magnitudes(reference, first, count, r);
            stft.Magnitudes(generated, first, count, g);
            for (int f = 0; f < count; f++) visit(r.AsSpan(f * stft.Bins, stft.Bins), g.AsSpan(f * stft.Bins, stft.Bins));
        }
    }
}
