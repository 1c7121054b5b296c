namespace DiffWave.Bench;

/// <summary>Repeated measurements of one quantity.</summary>
internal sealed class Sample
{
    private readonly List<double> _values = [];

    public void Add(double value) => _values.Add(value);

    public double Median => Quantile(0.5);

    public double Low => _values.Min();

    public double High => _values.Max();

    public int Count => _values.Count;

    /// <summary>Linear interpolation between order statistics.</summary>
    public double Quantile(double q)
    {
        var sorted = _values.Order().ToArray();
        double at = q * (sorted.Length - 1);
        int low = (int)at;
        return low + 1 < sorted.Length ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[^1];
    }
}
