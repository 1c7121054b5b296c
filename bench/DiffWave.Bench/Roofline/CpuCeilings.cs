namespace DiffWave.Bench;

/// <summary>
/// What this CPU can do at most, measured: multiply-adds out of registers, and copies of so many bytes, which some cache or main memory serves. The roofline model (Williams, Waterman and Patterson, 2009) with a memory roof for
/// every size.
/// </summary>
/// <param name="threads">Threads.</param>
internal sealed class CpuCeilings(int threads)
{
    private const int Rounds = 5;

    private readonly Dictionary<long, Sample> _copy = [];

    /// <summary>Sizes that are measured; a working set takes the nearest.</summary>
    public static IReadOnlyList<long> Sizes { get; } = [32L << 10, 128L << 10, 512L << 10, 2L << 20, 8L << 20, 32L << 20, 256L << 20];

    /// <summary>Copy rates by size so far, in bytes a second.</summary>
    public IReadOnlyDictionary<long, Sample> Copies => _copy;

    /// <summary>Bytes a second that copying a working set of so many bytes reaches.</summary>
    public double Copy(double bytes)
    {
        long size = Sizes.MinBy(size => Math.Abs(Math.Log(size / Math.Max(1, bytes))));
        if (!_copy.TryGetValue(size, out Sample? sample)) _copy[size] = sample = new Sample(Enumerable.Range(0, Rounds).Select(_ => CopyPeak.Measure(threads, size)));
        return sample.Median;
    }
}
