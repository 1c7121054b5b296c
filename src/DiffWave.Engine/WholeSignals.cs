namespace DiffWave.Engine;

/// <summary>Where a signal's first row lies in a buffer.</summary>
/// <param name="Item">The item.</param>
/// <param name="Row">The row.</param>
internal readonly record struct Place(int Item, int Row);

/// <summary>How signals lie in buffers that hold them whole: those of the same length side by side, an item each; others one behind the other in one item, without padding.</summary>
internal sealed class WholeSignals
{
    /// <param name="lengths">Rows of each signal.</param>
    /// <param name="sideBySide">Whether they may lie side by side; they do if they are of the same length.</param>
    public WholeSignals(IReadOnlyList<int> lengths, bool sideBySide)
    {
        Lengths = lengths;
        bool packed = !sideBySide || lengths.Any(length => length != lengths[0]);
        if (packed) Packed = new Segments(lengths);
        (Batch, Rows) = Packed is null ? (lengths.Count, lengths[0]) : (1, Packed.Total);
    }

    /// <summary>Rows of each signal.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>The signals as they lie one behind the other; null when they lie side by side.</summary>
    public Segments? Packed { get; }

    /// <summary>B, items of a buffer.</summary>
    public int Batch { get; }

    /// <summary>Rows of an item.</summary>
    public int Rows { get; }

    /// <summary>All rows.</summary>
    public TimeRange Range => new(0, Rows, Rows, Packed);

    /// <summary>Where a signal begins.</summary>
    public Place PlaceOf(int signal) => Packed is null ? new Place(signal, 0) : new Place(0, Packed.Starts[signal]);
}
