namespace DiffWave.Audio;

/// <summary>
/// Discrete Fourier transform of real input, X[k] = sum_n x[n] exp(-2 pi i k n / N), bins 0..N/2, in double precision, for any N. Powers of two run as a complex transform
/// of half the size; other sizes by Bluestein's chirp convolution. Immutable, so threads may share one; each brings its own work space.
/// </summary>
internal sealed class RealFft
{
    private readonly ComplexFft _fft;
    private readonly (double Re, double Im)[] _twiddle = []; // exp(-2 pi i k / N), to split the packed half-size transform
    private readonly (double Re, double Im)[] _chirp = [];   // exp(-pi i n^2 / N)
    private readonly (double Re, double Im)[] _filter = [];  // transform of the conjugate chirp

    /// <summary>N.</summary>
    public int Size { get; }

    /// <summary>N/2 + 1, the bins that are not mirror images of others.</summary>
    public int Bins => Size / 2 + 1;

    /// <summary>Complex numbers of work space that <see cref="Transform"/> needs.</summary>
    public int WorkSize => _fft.Size;

    public RealFft(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 2);
        Size = size;
        if (int.IsPow2(size))
        {
            _fft = new ComplexFft(size / 2);
            _twiddle = new (double, double)[size / 2 + 1];
            for (int k = 0; k < _twiddle.Length; k++) _twiddle[k] = Unit(-2.0 * k / size);
            return;
        }
        _fft = new ComplexFft((int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(2 * size - 1)));
        _chirp = new (double, double)[size];
        _filter = new (double, double)[_fft.Size];
        for (int n = 0; n < size; n++)
        {
            _chirp[n] = Unit(-(double)((long)n * n % (2L * size)) / size); // the angle has period 2N in n^2: reduced exactly
            (double Re, double Im) conjugate = (_chirp[n].Re, -_chirp[n].Im);
            _filter[n] = conjugate;
            if (n > 0) _filter[_fft.Size - n] = conjugate;
        }
        _fft.Forward(_filter);
    }

    /// <summary>Transforms <paramref name="input"/> [N] into <paramref name="output"/> [N/2+1]; <paramref name="work"/> holds <see cref="WorkSize"/> numbers.</summary>
    public void Transform(ReadOnlySpan<double> input, Span<(double Re, double Im)> output, Span<(double Re, double Im)> work)
    {
        work = work[.._fft.Size];
        if (_chirp.Length == 0) TransformPacked(input, output, work);
        else TransformChirp(input, output, work);
    }

    /// <summary>
    /// The real signal [N] of a spectrum [N/2+1] whose other half is its mirror image; of bin 0, and of bin N/2 when N is even, only the real part counts.
    /// <paramref name="scratch"/> holds <see cref="Bins"/> numbers, <paramref name="work"/> <see cref="WorkSize"/>.
    /// </summary>
    public void Inverse(ReadOnlySpan<(double Re, double Im)> spectrum, Span<double> output, Span<(double Re, double Im)> scratch, Span<(double Re, double Im)> work)
    {
        // x[n] = 1/N sum_k (Re X[k] cos - Im X[k] sin)(2 pi k n / N). Re X is even in k and Im X odd, so the transform of the real sequence Re X + Im X has the cosine sum as its
        // real part and minus the sine sum as its imaginary part.
        output = output[..Size];
        output[0] = spectrum[0].Re;
        for (int k = 1; k < Bins; k++)
        {
            double im = 2 * k == Size ? 0 : spectrum[k].Im;
            output[Size - k] = spectrum[k].Re - im;
            output[k] = spectrum[k].Re + im;
        }
        Transform(output, scratch, work);
        output[0] = scratch[0].Re / Size;
        for (int n = 1; n < Bins; n++)
        {
            output[Size - n] = (scratch[n].Re - scratch[n].Im) / Size;
            output[n] = (scratch[n].Re + scratch[n].Im) / Size;
        }
    }

    private void TransformPacked(ReadOnlySpan<double> input, Span<(double Re, double Im)> output, Span<(double Re, double Im)> work)
    {
        int half = Size / 2;
        for (int n = 0; n < half; n++) work[n] = (input[2 * n], input[2 * n + 1]);
        _fft.Forward(work);
        for (int k = 0; k <= half; k++)
        {
            // Z = E + iO for the transforms E, O of the even and odd samples; both have Hermitian symmetry, which separates them.
            (double Re, double Im) z = work[k % half], mirror = work[(half - k) % half];
            (double Re, double Im) even = ((z.Re + mirror.Re) / 2, (z.Im - mirror.Im) / 2);
            (double Re, double Im) odd = ((z.Im + mirror.Im) / 2, (mirror.Re - z.Re) / 2);
            (double c, double s) = _twiddle[k];
            output[k] = (even.Re + c * odd.Re - s * odd.Im, even.Im + c * odd.Im + s * odd.Re);
        }
    }

    private void TransformChirp(ReadOnlySpan<double> input, Span<(double Re, double Im)> output, Span<(double Re, double Im)> work)
    {
        work[Size..].Clear();
        for (int n = 0; n < Size; n++) work[n] = (input[n] * _chirp[n].Re, input[n] * _chirp[n].Im);
        _fft.Forward(work);
        // The inverse transform is the conjugate of the forward transform of the conjugate, over its size.
        for (int k = 0; k < work.Length; k++)
        {
            (double Re, double Im) a = work[k], b = _filter[k];
            work[k] = (a.Re * b.Re - a.Im * b.Im, -(a.Re * b.Im + a.Im * b.Re));
        }
        _fft.Forward(work);
        for (int k = 0; k < output.Length; k++)
        {
            (double Re, double Im) a = (work[k].Re / work.Length, -work[k].Im / work.Length), b = _chirp[k];
            output[k] = (a.Re * b.Re - a.Im * b.Im, a.Re * b.Im + a.Im * b.Re);
        }
    }

    // exp(i pi angle)
    private static (double Re, double Im) Unit(double angle) => (Math.Cos(Math.PI * angle), Math.Sin(Math.PI * angle));

    /// <summary>Complex transform of a power-of-two size in place: iterative, radix 2, decimation in time.</summary>
    private sealed class ComplexFft
    {
        private readonly (double Re, double Im)[] _roots; // exp(-2 pi i k / size), k below size/2
        private readonly int[] _reversed;

        public int Size { get; }

        public ComplexFft(int size)
        {
            Size = size;
            _roots = new (double, double)[Math.Max(1, size / 2)];
            for (int k = 0; k < _roots.Length; k++) _roots[k] = Unit(-2.0 * k / size);
            _reversed = new int[size];
            for (int i = 1; i < size; i++) _reversed[i] = _reversed[i / 2] / 2 | (i % 2 == 1 ? size / 2 : 0);
        }

        public void Forward(Span<(double Re, double Im)> data)
        {
            for (int i = 0; i < Size; i++)
            {
                int j = _reversed[i];
                if (j > i) (data[i], data[j]) = (data[j], data[i]);
            }
            for (int half = 1; half < Size; half *= 2)
            {
                int rootStep = Size / (2 * half);
                for (int start = 0; start < Size; start += 2 * half)
                {
                    Span<(double Re, double Im)> low = data.Slice(start, half), high = data.Slice(start + half, half);
                    for (int k = 0; k < low.Length; k++)
                    {
                        (double c, double s) = _roots[k * rootStep];
                        (double Re, double Im) a = low[k], b = high[k];
                        (double Re, double Im) t = (c * b.Re - s * b.Im, c * b.Im + s * b.Re);
                        low[k] = (a.Re + t.Re, a.Im + t.Im);
                        high[k] = (a.Re - t.Re, a.Im - t.Im);
                    }
                }
            }
        }
    }
}
