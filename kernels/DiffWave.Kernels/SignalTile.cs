namespace DiffWave.Kernels;

/// <summary>
/// Tables of packed signals: parts of signals of unequal length that lie one behind the other, [1, sum of rows, C], and that one launch computes. Row 0 of the launch is the first row of the first part, and
/// nothing exists outside a signal for its own rows: only the first part can begin inside its signal, and only the last one end inside it.
/// </summary>
public static class PackedSignals
{
    /// <summary>q for a launch, as <see cref="TimeTile.Neighbours"/> chooses it for one signal.</summary>
    /// <param name="rows">Rows of each part, 1 to 2^30.</param>
    /// <param name="dilation">d, 1 to 2^20.</param>
    /// <param name="tileRows">R, a power of two up to 1024.</param>
    /// <returns>A divisor of d and R, at most 64.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument outside its range.</exception>
    public static int Neighbours(ReadOnlySpan<int> rows, int dilation, int tileRows) => TimeTile.Cheapest(rows, dilation, tileRows);

    /// <summary>A record a part, in order, of four numbers: its first tile, the tile behind its last one, its first row and the row behind its last one. Its place in the table is its item of the biases.</summary>
    /// <param name="rows">Rows of each part, all at least 1.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, a power of two that divides d and R.</param>
    /// <param name="tileRows">R.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument outside the range of <see cref="TimeTile.Count"/>.</exception>
    public static int[] Table(ReadOnlySpan<int> rows, int dilation, int neighbours, int tileRows)
    {
        int[] table = new int[4 * rows.Length];
        for (int part = 0, tile = 0, row = 0; part < rows.Length; part++)
        {
            table[4 * part] = tile;
            table[4 * part + 1] = tile = checked(tile + TimeTile.Count(rows[part], dilation, neighbours, tileRows));
            table[4 * part + 2] = row;
            table[4 * part + 3] = row = checked(row + rows[part]);
        }
        return table;
    }
}

// A tile of a residual block's launch: which rows it computes, and which rows of x exist for them. Times count from the first row of the launch.
internal readonly struct SignalTile(TimeTile rows, int item, int signal, int begin, int end, int until)
{
    private readonly TimeTile rows = rows;

    // Of the buffers, and of the biases.
    public readonly int Item = item, Signal = signal;

    // The first row of x that exists, the row behind the last one to compute, and the row behind the last one of x that exists.
    public readonly int Begin = begin, End = end, Until = until;

    public int First => rows.First;

    public int Dilation => rows.Dilation;

    public int Time(int row) => rows.Time(row);
}

// The tiles of a launch by their numbers. A block asks for them in rising order: the part of a packed one is found by stepping on from that of the one before.
internal struct SignalTiles(ArrayView<int> parts, int tiles, int rows, int before, int after, int dilation, int neighbours, int tileRows, bool packed)
{
    private readonly ArrayView<int> parts = parts;
    private readonly int tiles = tiles, rows = rows, begin = -before, until = rows + after, dilation = dilation, neighbours = neighbours, tileRows = tileRows;
    private readonly bool packed = packed;
    private int part;

    // Number 0 and up; behind the last one some tile or other, of which nothing is to be read or written.
    public SignalTile At(int index)
    {
        if (!packed)
        {
            var tile = new TimeTile(index, rows, dilation, neighbours, tileRows);
            return new SignalTile(tile, tile.Item, tile.Item, begin, rows, until);
        }
        ArrayView<UInt4> records = parts.AsAligned16().Cast<UInt4>();
        UInt4 record = Ptx.LdGlobalNc(ref records[part]);
        while (index < tiles && index >= (int)record.Y)
        {
            part++;
            record = Ptx.LdGlobalNc(ref records[part]);
        }
        int first = (int)record.Z, end = (int)record.W;
        return new SignalTile(new TimeTile(index - (int)record.X, first, end - first, dilation, neighbours, tileRows), 0, part, first == 0 ? begin : first, end, end == rows ? until : end);
    }
}
