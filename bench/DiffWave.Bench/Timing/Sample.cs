namespace DiffWave.Bench;

/// <summary>Repeated measurements of one quantity, in the order they were taken.</summary>
internal sealed class Sample
{
    private readonly List<double> _values;

    public Sample(params IEnumerable<double> values) => _values = [.. values];

    public void Add(double value) => _values.Add(value);

    public IReadOnlyList<double> Values => _values;

    public int Count => _values.Count;

    public double Median => Quantile(0.5);

    public double Low => _values.Min();

    public double High => _values.Max();

    /// <summary>
    /// Half the width of an interval that holds the median of many more measurements with about 95 % confidence, by McGill, Tukey and Larsen (1978): 1.57 times the range of the middle half over the root of the count.
    /// With fewer than five measurements the whole range, which is all that is known.
    /// </summary>
    public double HalfWidth => Count < 5 ? Math.Max(Median - Low, High - Median) : 1.57 * (Quantile(0.75) - Quantile(0.25)) / Math.Sqrt(Count);

    /// <summary><see cref="HalfWidth"/> as a part of the median: the noise beside a number.</summary>
    public double Spread => HalfWidth / Median;

    /// <summary>Linear interpolation between order statistics.</summary>
    public double Quantile(double q)
    {
        var sorted = _values.Order().ToArray();
        double at = q * (sorted.Length - 1);
        int low = (int)at;
        return low + 1 < sorted.Length ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[^1];
    }
}
