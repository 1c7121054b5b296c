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
}
