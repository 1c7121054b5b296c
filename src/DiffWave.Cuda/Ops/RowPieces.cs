using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>The rows of a range that exist, counted from its start, in pieces of at most so many rows.</summary>
internal struct RowPieces(TimeRange range, int most)
{
    private readonly int end = (int)Math.Min(range.Count, range.Length - range.First);
    private int next = (int)Math.Max(0, Math.Min(range.Count, -range.First));

    /// <summary>First row of the piece and how many it has.</summary>
    public (int First, int Count) Current { get; private set; }

    /// <summary>Goes on to the next piece.</summary>
    public bool MoveNext()
    {
        if (next >= end) return false;
        Current = (next, Math.Min(most, end - next));
        next += Current.Count;
        return true;
    }

    /// <summary>For foreach.</summary>
    public readonly RowPieces GetEnumerator() => this;
}
