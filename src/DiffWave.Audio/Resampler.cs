using System.Numerics;
using System.Runtime.InteropServices;

namespace DiffWave.Audio;

/// <summary>
/// Changes the sample rate by band-limited interpolation: a sinc low-pass under a Kaiser window, evaluated at the exact rational position of every output sample. Flat to
/// 93 % of the lower Nyquist frequency, at least 100 dB down from that frequency on, so nothing aliases; linear phase, no delay.
/// </summary>
public static class Resampler
{
    // Kaiser's design formulas: 100 dB needs beta = 0.1102 (100 - 8.7); a transition of 2 pi (100 - 8) / (2.285 * 2 ZeroCrossings * 2 pi) rad = 0.067 of the Nyquist band.
    private const int ZeroCrossings = 96; // of the sinc on each side of its centre, at the lower rate
    private const double KaiserBeta = 10.06;
    private const double Cutoff = 1 - 0.067 / 2; // centre of the transition band, which ends at Nyquist

    // Positions between two input samples at which the filter is tabulated, when the exact ones are too many. Linear interpolation between 1024 points a zero crossing
    // errs by at most (pi / 1024)^2 / 8, 118 dB below full scale.
    private const int PointsPerCrossing = 1024;
    private const int MaxTable = 1 << 20; // floats, 4 MiB

    /// <summary>Resamples a clip. Beyond its ends the signal is taken as zero.</summary>
    /// <param name="samples">Mono samples.</param>
    /// <param name="fromRate">Their rate in Hz, 1 to 768000.</param>
    /// <param name="toRate">The rate wanted in Hz, 1 to 768000.</param>
    /// <returns>ceil(samples * toRate / fromRate) samples; sample n lies at the time n / toRate. Peaks may exceed those of the input a little.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A rate is out of range, or the result would be longer than an array can be.</exception>
    public static float[] Resample(ReadOnlySpan<float> samples, int fromRate, int toRate)
    {
        foreach (int rate in (ReadOnlySpan<int>)[fromRate, toRate])
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(rate, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(rate, AudioLimits.MaxRate);
        }
        if (fromRate == toRate) return samples.ToArray();
        int divisor = (int)BigInteger.GreatestCommonDivisor(fromRate, toRate);
        int up = toRate / divisor, down = fromRate / divisor;
        long length = ((long)samples.Length * up + down - 1) / down;
        if (length > Array.MaxLength) throw new ArgumentOutOfRangeException(nameof(toRate), $"{length} samples, at most {Array.MaxLength} fit");

        var bank = FilterBank.Create(up, down);
        var result = new float[length];
        long whole = 0; // position n * down / up = whole + remainder / up, in input samples
        int remainder = 0;
        for (int n = 0; n < result.Length; n++)
        {
            long start = whole - bank.Taps / 2 + 1;
            int skip = (int)Math.Min(bank.Taps, Math.Max(0, -start));
            int end = (int)Math.Max(skip, Math.Min(bank.Taps, samples.Length - start));
            ReadOnlySpan<float> reached = samples.Slice((int)Math.Min(samples.Length, start + skip), end - skip);
            (int row, float weight) = bank.Position(remainder, up);
            float value = Dot(bank.Row(row)[skip..end], reached);
            result[n] = weight == 0 ? value : value + weight * (Dot(bank.Row(row + 1)[skip..end], reached) - value);
            whole += down / up;
            remainder += down % up;
            if (remainder >= up) (whole, remainder) = (whole + 1, remainder - up);
        }
        return result;
    }

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        // Four accumulators, so that the additions of one do not wait for each other.
        ReadOnlySpan<Vector<float>> x = MemoryMarshal.Cast<float, Vector<float>>(a), y = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<float> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0;
        for (; i + 4 <= x.Length; i += 4)
        {
            s0 += x[i] * y[i];
            s1 += x[i + 1] * y[i + 1];
            s2 += x[i + 2] * y[i + 2];
            s3 += x[i + 3] * y[i + 3];
        }
        for (; i < x.Length; i++) s0 += x[i] * y[i];
        float sum = Vector.Sum(s0 + s1 + (s2 + s3));
        for (int k = x.Length * Vector<float>.Count; k < a.Length; k++) sum += a[k] * b[k];
        return sum;
    }

    /// <summary>The filter's taps for positions between two input samples: each position that occurs, or evenly spaced ones to interpolate between.</summary>
    private sealed class FilterBank
    {
        private readonly float[] _table; // [phases (+ 1), taps]
        private readonly int _phases;
        private readonly bool _exact;

        /// <summary>Taps of a phase: input samples that reach one output sample.</summary>
        public int Taps { get; }

        private FilterBank(int taps, int phases, bool exact, float[] table) => (Taps, _phases, _exact, _table) = (taps, phases, exact, table);

        public static FilterBank Create(int up, int down)
        {
            double ratio = Math.Max(1, (double)down / up); // above 1 the filter is stretched, so that it cuts at the output's Nyquist frequency
            int half = (int)Math.Ceiling(ZeroCrossings * ratio), taps = 2 * half;
            bool exact = (long)up * taps <= MaxTable;
            int phases = exact ? up : (int)Math.Ceiling(PointsPerCrossing / ratio);
            int rows = exact ? phases : phases + 1; // the last row is the first, one sample on: a neighbour for the interpolation
            var table = new float[rows * taps];
            double scale = Cutoff / ratio, windowScale = 1 / BesselI0(KaiserBeta);
            for (int phase = 0; phase < rows; phase++)
                for (int tap = 0; tap < taps; tap++)
                {
                    double distance = tap - (half - 1) - (double)phase / phases; // from the output sample, in input samples
                    double edge = distance / (ZeroCrossings * ratio);
                    if (Math.Abs(edge) >= 1) continue;
                    double angle = Math.PI * scale * distance;
                    double sinc = Math.Abs(angle) < 1e-9 ? 1 : Math.Sin(angle) / angle;
                    table[phase * taps + tap] = (float)(scale * sinc * BesselI0(KaiserBeta * Math.Sqrt(1 - edge * edge)) * windowScale);
                }
            return new FilterBank(taps, phases, exact, table);
        }

        /// <summary>Where the position remainder / up between two input samples lies: a row, and the weight of the next one.</summary>
        public (int Row, float Weight) Position(int remainder, int up)
        {
            if (_exact) return (remainder, 0);
            double position = (double)remainder * _phases / up;
            return ((int)position, (float)(position - (int)position));
        }

        /// <summary>The taps of a row.</summary>
        public ReadOnlySpan<float> Row(int row) => _table.AsSpan(row * Taps, Taps);

        // Modified Bessel function of order zero, by its power series.
        private static double BesselI0(double x)
        {
            double sum = 1, term = 1;
            for (int k = 1; term > 1e-17 * sum; k++)
            {
                term *= x / (2 * k) * (x / (2 * k));
                sum += term;
            }
            return sum;
        }
    }
}
