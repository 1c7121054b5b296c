namespace DiffWave.Engine;

/// <summary>
/// Signals of unequal length one behind the other, without padding, in buffers [1, <see cref="Total"/>, C]. Each is a signal of its own: the rows of one do not exist for another, and item s of what a
/// step or a label adds belongs to signal s.
/// </summary>
public sealed class Segments
{
    /// <param name="lengths">Rows of each signal, all at least 1.</param>
    /// <exception cref="ArgumentException">There are no signals, one has no rows, or together they have more than a buffer holds.</exception>
    public Segments(IReadOnlyList<int> lengths)
    {
        if (lengths.Count == 0) throw new ArgumentException("no lengths are given, expected at least one");
        int[] starts = new int[lengths.Count];
        long total = 0;
        for (int s = 0; s < starts.Length; s++)
        {
            if (lengths[s] < 1) throw new ArgumentException($"length {s} is {lengths[s]}, expected at least 1");
            starts[s] = (int)total;
            total += lengths[s];
            if (total > int.MaxValue) throw new ArgumentException($"{lengths.Count} signals have {lengths.Sum(length => (long)length)} rows, expected at most {int.MaxValue} together");
        }
        (Lengths, Starts, Total) = ([.. lengths], starts, (int)total);
    }

    /// <summary>Rows of each signal.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>First row of each signal.</summary>
    public IReadOnlyList<int> Starts { get; }

    /// <summary>Rows of all signals together.</summary>
    public int Total { get; }

    /// <summary>How many signals there are.</summary>
    public int Count => Lengths.Count;

    /// <summary>What a range of the rows has of each signal, for a device that takes them one by one.</summary>
    /// <param name="range">Rows of all signals together.</param>
    /// <returns>The signal, the times of its own that lie in the range, and the row of the range that holds the first of them.</returns>
    public IEnumerable<(int Signal, TimeRange Times, int Row)> Parts(TimeRange range)
    {
        for (int s = 0; s < Count; s++)
        {
            long first = Math.Max(range.First, Starts[s]), end = Math.Min(range.First + range.Count, (long)Starts[s] + Lengths[s]);
            if (first < end) yield return (s, new TimeRange(first - Starts[s], (int)(end - first), Lengths[s]), (int)(first - range.First));
        }
    }
}
