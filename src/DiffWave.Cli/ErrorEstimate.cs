namespace DiffWave.Cli;

/// <summary>
/// A quantity two devices compute in float32 from equal inputs, and how far each may be from its true value by rounding: forward error analysis (Higham, Accuracy and Stability of
/// Numerical Algorithms, chapter 3) carried along the formula. The two results are at most <see cref="Bound"/> apart.
/// </summary>
/// <param name="Max">Largest magnitude.</param>
/// <param name="Cpu">Largest error of the CPU.</param>
/// <param name="Device">Largest error of the device that is checked.</param>
internal readonly record struct ErrorEstimate(double Max, double Cpu = 0, double Device = 0)
{
    /// <summary>Half a unit in the last place of 1: what one rounding adds, relative.</summary>
    public const double Unit = 1.0 / (1 << 24);

    /// <summary>Largest growth of magnitudes inside the CPU's three-tap filter by F(4, 3) at 0, ±3/4, ±3/2 and infinity: over its outputs, sums of |A| max |G| sum |B|.</summary>
    public const double MinimalFilterGrowth = 15.5;

    /// <summary>What the CPU's gate documents, and tanh (1.5 ulp), e^x (1.1 ulp), a sum, a quotient and a product on the device.</summary>
    private const double CpuGate = 2.4e-7, DeviceGate = 7 * Unit;

    /// <summary>How far the two may be apart.</summary>
    public double Bound => Cpu + Device;

    /// <summary>
    /// Relative error of a sum of n terms in any order. Each addition rounds once: n units at worst; taken as independent, their sum stays below 8 sqrt(n) units with probability
    /// 1 - 3e-14 (Hoeffding's inequality), which is less for long sums.
    /// </summary>
    public static double OfSum(double terms) => Math.Min(terms, 8 * Math.Sqrt(terms)) * Unit;

    /// <summary>The same quantity after so many more roundings.</summary>
    public ErrorEstimate Rounded(double roundings) => new(Max, Cpu + roundings * Unit * Max, Device + roundings * Unit * Max);

    /// <summary>Times a number both know exactly, and rounded.</summary>
    public ErrorEstimate Times(double factor) => new ErrorEstimate(Max * factor, Cpu * factor, Device * factor).Rounded(1);

    /// <summary>The sum, rounded.</summary>
    public static ErrorEstimate operator +(ErrorEstimate a, ErrorEstimate b) => new ErrorEstimate(a.Max + b.Max, a.Cpu + b.Cpu, a.Device + b.Device).Rounded(1);

    /// <summary>The product, rounded.</summary>
    public static ErrorEstimate operator *(ErrorEstimate a, ErrorEstimate b) => new ErrorEstimate(a.Max * b.Max, a.Max * b.Cpu + a.Cpu * b.Max, a.Max * b.Device + a.Device * b.Max).Rounded(1);

    /// <summary>A weighted sum of such values.</summary>
    /// <param name="terms">How many.</param>
    /// <param name="weights">Sum of the magnitudes of the weights.</param>
    /// <param name="bias">Largest magnitude of what is added to it.</param>
    public ErrorEstimate Weighted(double terms, double weights, double bias = 0)
    {
        double max = weights * Max + bias, rounding = OfSum(terms + 1) * max;
        return new ErrorEstimate(max, weights * Cpu + rounding, weights * Device + rounding);
    }

    /// <summary>A three-tap convolution of such values over so many channels; the CPU's goes through its minimal filter, whose transforms round 12 times more.</summary>
    public ErrorEstimate Convolved(int channels, double weights, double bias = 0)
    {
        ErrorEstimate direct = Weighted(3 * channels, weights, bias);
        return direct with { Cpu = weights * Cpu + OfSum(channels + 12) * (MinimalFilterGrowth * weights * Max + bias) };
    }

    /// <summary>A sum of so many products of two such values.</summary>
    public ErrorEstimate SumOfProducts(double terms, ErrorEstimate other) => (this * other).Summed(terms);

    /// <summary>A sum of so many such values.</summary>
    public ErrorEstimate Summed(double terms) => Weighted(terms, terms);

    /// <summary>What a function makes of it that changes by at most <paramref name="slope"/> times its argument's change, is at most as large, and rounds so many times itself.</summary>
    public ErrorEstimate Through(double slope, double roundings) => new ErrorEstimate(Max, slope * Cpu, slope * Device).Rounded(roundings);

    /// <summary>tanh of such a value times sigmoid of another: the slopes are 1 and 1/4.</summary>
    public ErrorEstimate Gated() => new(1, 1.25 * Cpu + CpuGate, 1.25 * Device + DeviceGate);

    /// <summary>x sigmoid(x): a slope of at most 1.1; an exponential, a sum and a quotient.</summary>
    public ErrorEstimate Silu() => Through(1.1, 6);
}
