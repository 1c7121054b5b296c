namespace DiffWave.Audio;

/// <summary>
/// The short-time Fourier transform and its least-squares inverse: periodic Hann window, centred in the FFT frame when it is shorter; frame f is centred on sample f * hop, the signal is
/// reflected about its first and last sample. In double precision, unnormalised. Immutable; threads may share one.
/// </summary>
public sealed class Stft
{
    private readonly RealFft _fft;

    /// <summary>The window over the whole FFT frame, zeros around it when it is shorter.</summary>
    public IReadOnlyList<double> Window => _window;

    private readonly double[] _window;

    /// <summary>Samples between frames.</summary>
    public int Hop { get; }

    /// <summary>FFT size / 2 + 1.</summary>
    public int Bins => _fft.Bins;

    /// <param name="fftSize">FFT size, 2 or more; any number, powers of two are fastest.</param>
    /// <param name="windowLength">Window length, 1 to the FFT size.</param>
    /// <param name="hop">Samples between frames, 1 or more.</param>
    public Stft(int fftSize, int windowLength, int hop)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(windowLength, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(windowLength, fftSize);
        ArgumentOutOfRangeException.ThrowIfLessThan(hop, 1);
        _fft = new RealFft(fftSize);
        Hop = hop;
        _window = new double[fftSize];
        int left = (fftSize - windowLength) / 2;
        for (int n = 0; n < windowLength; n++) _window[left + n] = 0.5 - 0.5 * Math.Cos(2 * Math.PI * n / windowLength);
    }

    /// <summary>Frames of a clip: 1 + samples / hop, rounded down.</summary>
    public int Frames(int samples) => 1 + samples / Hop;

    /// <summary>Magnitudes |X| of consecutive frames.</summary>
    /// <remarks>
    /// A clip shorter than half a frame is reflected back and forth as often as needed, as numpy.pad does (torch refuses such clips); a single sample repeats.
    /// </remarks>
    /// <param name="samples">The whole clip.</param>
    /// <param name="firstFrame">First frame, 0 or more; a frame behind the last one is computed from the reflected signal.</param>
    /// <param name="count">Number of frames.</param>
    /// <param name="magnitudes">[count, bins].</param>
    /// <exception cref="ArgumentException">No samples, one that is not finite, or too little room.</exception>
    public void Magnitudes(ReadOnlySpan<float> samples, int firstFrame, int count, Span<double> magnitudes) =>
        Magnitudes(samples, firstFrame, count, magnitudes, float.MaxValue);

    // Samples beyond +-limit are clipped first.
    internal void Magnitudes(ReadOnlySpan<float> samples, int firstFrame, int count, Span<double> magnitudes, float limit)
    {
        if (samples.IsEmpty) throw new ArgumentException("the clip has no samples", nameof(samples));
        ArgumentOutOfRangeException.ThrowIfNegative(firstFrame);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (magnitudes.Length < (long)count * Bins) throw new ArgumentException($"{magnitudes.Length} numbers, expected {count} x {Bins}", nameof(magnitudes));
        int size = _fft.Size;
        var frame = new double[size];
        var spectrum = new (double Re, double Im)[Bins];
        var work = new (double Re, double Im)[_fft.WorkSize];
        for (int f = 0; f < count; f++)
        {
            long start = (long)(firstFrame + f) * Hop - size / 2;
            bool inside = start >= 0 && start + size <= samples.Length;
            for (int n = 0; n < size; n++)
            {
                int index = inside ? (int)start + n : Reflect(start + n, samples.Length);
                float sample = samples[index];
                if (!float.IsFinite(sample)) throw new ArgumentException(FormattableString.Invariant($"sample {index} is {sample}, expected a finite number"), nameof(samples));
                frame[n] = Math.Clamp(sample, -limit, limit) * _window[n];
            }
            _fft.Transform(frame, spectrum, work);
            Span<double> row = magnitudes.Slice(f * Bins, Bins);
            for (int k = 0; k < row.Length; k++) row[k] = Math.Sqrt(spectrum[k].Re * spectrum[k].Re + spectrum[k].Im * spectrum[k].Im);
        }
    }

    /// <summary>The spectra of all frames.</summary>
    /// <param name="samples">The whole clip.</param>
    /// <returns>[frames, bins].</returns>
    /// <exception cref="ArgumentException">No samples.</exception>
    public (double Re, double Im)[] Forward(ReadOnlySpan<double> samples)
    {
        if (samples.IsEmpty) throw new ArgumentException("the clip has no samples", nameof(samples));
        int size = _fft.Size, frames = Frames(samples.Length);
        var spectra = new (double Re, double Im)[checked(frames * Bins)];
        var frame = new double[size];
        var work = new (double Re, double Im)[_fft.WorkSize];
        for (int f = 0; f < frames; f++)
        {
            long start = (long)f * Hop - size / 2;
            for (int n = 0; n < size; n++) frame[n] = samples[Reflect(start + n, samples.Length)] * _window[n];
            _fft.Transform(frame, spectra.AsSpan(f * Bins, Bins), work);
        }
        return spectra;
    }

    /// <summary>
    /// The signal whose spectra come closest to given ones in the sum of squares over all FFT bins (Griffin and Lim 1984, equation 6): every sample is the mean of its values in all
    /// frames that hold it, weighted by the window, the reflected places at both ends included. The spectra of a signal give it back, except samples under no window, which become 0.
    /// </summary>
    /// <param name="spectra">[frames, bins].</param>
    /// <param name="samples">Length of the clip, 1 or more.</param>
    /// <exception cref="ArgumentException">The spectra are not those of so many samples.</exception>
    public double[] Inverse(ReadOnlySpan<(double Re, double Im)> spectra, int samples)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        int size = _fft.Size, frames = Frames(samples);
        if (spectra.Length != (long)frames * Bins) throw new ArgumentException($"{spectra.Length} numbers, expected {frames} frames x {Bins} bins", nameof(spectra));
        double[] sum = new double[samples], weight = new double[samples], frame = new double[size];
        var scratch = new (double Re, double Im)[Bins];
        var work = new (double Re, double Im)[_fft.WorkSize];
        for (int f = 0; f < frames; f++)
        {
            _fft.Inverse(spectra.Slice(f * Bins, Bins), frame, scratch, work);
            long start = (long)f * Hop - size / 2;
            for (int n = 0; n < size; n++)
            {
                int index = Reflect(start + n, samples);
                sum[index] += _window[n] * frame[n];
                weight[index] += _window[n] * _window[n];
            }
        }
        for (int i = 0; i < samples; i++) sum[i] = weight[i] > 0 ? sum[i] / weight[i] : 0;
        return sum;
    }

    // The index under reflection about 0 and length-1, which do not repeat: a triangle wave of period 2 (length - 1).
    private static int Reflect(long index, int length)
    {
        if ((ulong)index < (ulong)length) return (int)index;
        if (length == 1) return 0;
        long period = 2L * (length - 1);
        long folded = ((index % period) + period) % period;
        return (int)Math.Min(folded, period - folded);
    }
}
