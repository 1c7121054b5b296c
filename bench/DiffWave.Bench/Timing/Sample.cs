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
    /// Where the median of many more measurements lies with at least 95 % confidence, whatever their distribution: between two order statistics, by the binomial distribution (David and Nagaraja, Order Statistics, 7.1). Up to
    /// five measurements it is their whole range, which holds it less surely; up to eight a single disturbed one still widens it.
    /// </summary>
    public (double Low, double High) MedianInterval
    {
        get
        {
            double[] sorted = [.. _values.Order()];
            int n = sorted.Length, cut = 0;
            double tail = Math.Pow(0.5, n), term = tail; // chance that at most `cut` of n lie below the median
            while (cut + 1 < n / 2 && tail + term * (n - cut) / (cut + 1) <= 0.025)
            {
                term *= (double)(n - cut) / (cut + 1);
                tail += term;
                cut++;
            }
            return (sorted[cut], sorted[n - 1 - cut]);
        }
    }

    /// <summary>The noise beside a number: how far the farther end of <see cref="MedianInterval"/> is from the median, as a part of it.</summary>
    public double Spread => Math.Max(Median - MedianInterval.Low, MedianInterval.High - Median) / Median;

    /// <summary>Every value times the other sample's of the same round; null without one.</summary>
    public Sample? Times(Sample? other) => other is null ? null : new Sample(_values.Zip(other._values, (a, b) => a * b));

    /// <summary>Linear interpolation between order statistics.</summary>
    public double Quantile(double q)
    {
        var sorted = _values.Order().ToArray();
        double at = q * (sorted.Length - 1);
        int low = (int)at;
        return low + 1 < sorted.Length ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[^1];
    }
}
