namespace DiffWave.Audio;

/// <summary>
/// How far a generated signal is from its reference, in figures. The two are compared frame by frame, without time warping, so they must start together. Distances of equal
/// signals are 0; every figure is finite for any finite input, because magnitudes have a floor.
/// </summary>
/// <param name="LogMelL1">Mean absolute difference of log mels in nats, see <see cref="MelDistance"/>.</param>
/// <param name="LogSpectralDistanceDb">Log-spectral distance in dB, see <see cref="SpectralDistance.LogSpectral"/>.</param>
/// <param name="MelCepstralDistortionDb">Mel-cepstral distortion in dB, see <see cref="MelDistance"/>.</param>
/// <param name="SpectralConvergence">Relative error of magnitudes over three resolutions, see <see cref="SpectralDistance.MultiResolution"/>.</param>
/// <param name="LogStftMagnitudeL1">Mean absolute difference of log magnitudes over three resolutions in nats, see <see cref="SpectralDistance.MultiResolution"/>.</param>
/// <param name="SnrDb">
/// Signal-to-noise ratio in dB: 10 log10(sum r^2 / sum (r - g)^2). Null where it is infinite: the signals are equal, or the reference is silent. It compares waveforms, and
/// a vocoder is free to choose phases that a mel does not hold: values near or below 0 are then normal and say little.
/// </param>
public sealed record AudioDistance(
    double LogMelL1, double LogSpectralDistanceDb, double MelCepstralDistortionDb, double SpectralConvergence, double LogStftMagnitudeL1, double? SnrDb)
{
    /// <summary>Compares two signals.</summary>
    /// <param name="reference">The recording, mono.</param>
    /// <param name="generated">What was made from it; as many samples.</param>
    /// <param name="sampleRate">Hz, of both, 1000 to 768000.</param>
    /// <exception cref="ArgumentException">No samples, different lengths, or a sample that is not finite.</exception>
    public static AudioDistance Between(ReadOnlySpan<float> reference, ReadOnlySpan<float> generated, int sampleRate)
    {
        (double logMel, double cepstral) = MelDistance.Between(reference, generated, sampleRate);
        (double convergence, double logMagnitude) = SpectralDistance.MultiResolution(reference, generated);
        return new AudioDistance(logMel, SpectralDistance.LogSpectral(reference, generated, sampleRate), cepstral, convergence, logMagnitude, Snr(reference, generated));
    }

    private static double? Snr(ReadOnlySpan<float> reference, ReadOnlySpan<float> generated)
    {
        double signal = 0, noise = 0;
        for (int i = 0; i < reference.Length; i++)
        {
            double difference = (double)reference[i] - generated[i];
            signal += (double)reference[i] * reference[i];
            noise += difference * difference;
        }
        return signal > 0 && noise > 0 ? 10 * Math.Log10(signal / noise) : null;
    }
}
