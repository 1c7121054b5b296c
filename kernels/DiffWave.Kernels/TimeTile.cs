using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>
/// A tile of time of a dilated convolution: R = p q rows of an item, p positions a dilation apart with q neighbours each. Local row n, 0 to R - 1, is time <c>First + n / q d + n % q</c>, so that tap
/// k of local row n is local row n + (k - 1) q: with a halo of q local rows on both sides, -q to R + q - 1, a tile holds every input of its outputs, whatever the dilation.
/// </summary>
/// <remarks>
/// The tiles of an item cover each of its rows exactly once: neighbouring tiles are q rows apart until a whole dilation is covered, then p dilations. q is a power of two that divides d and R.
/// A local row whose time is not below the rows of the launch is no row of it: nothing is to be stored there.
/// </remarks>
public readonly struct TimeTile
{
    /// <summary>Largest q.</summary>
    public const int MostNeighbours = 64;

    private readonly int shift; // q = 1 << shift

    /// <summary>The item of the batch.</summary>
    public readonly int Item;

    /// <summary>Time of local row 0, below the rows of the launch.</summary>
    public readonly int First;

    /// <summary>d.</summary>
    public readonly int Dilation;

    /// <summary>A tile by its number: neighbours after neighbours, then positions, then items.</summary>
    /// <param name="index">0 to B <see cref="Count"/> - 1.</param>
    /// <param name="rows">Rows of an item, as given to <see cref="Count"/>.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, by <see cref="Neighbours"/>.</param>
    /// <param name="tileRows">R.</param>
    public TimeTile(int index, int rows, int dilation, int neighbours, int tileRows)
    {
        shift = BitOperations.Log2((uint)neighbours);
        Dilation = dilation;
        uint count = (uint)Tiles(rows, dilation, shift, tileRows), across = (uint)Across(Math.Min(rows, dilation), shift), tile = (uint)index % count;
        Item = (int)((uint)index / count);
        First = (int)(tile / across) * (dilation * (tileRows >> shift)) + ((int)(tile % across) << shift);
    }

    /// <summary>A tile of a signal that lies from a row on.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    /// <param name="row">The signal's first row: times count from where it counts.</param>
    /// <param name="rows">Rows of the signal.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, by <see cref="Neighbours"/>.</param>
    /// <param name="tileRows">R.</param>
    public TimeTile(int index, int row, int rows, int dilation, int neighbours, int tileRows)
    {
        shift = BitOperations.Log2((uint)neighbours);
        Dilation = dilation;
        uint across = (uint)Across(Math.Min(rows, dilation), shift);
        Item = 0;
        First = row + (int)((uint)index / across) * (dilation * (tileRows >> shift)) + ((int)((uint)index % across) << shift);
    }

    /// <summary>Time of a local row, counted from the first row of the launch.</summary>
    /// <param name="row">-q to R + q - 1.</param>
    public int Time(int row) => First + (row >> shift) * Dilation + (row & (1 << shift) - 1);

    /// <summary>
    /// q for a launch: the power of two that makes rows computed in vain and rows of the halo fewest, the larger where two come out even. Depends on nothing but the arguments.
    /// </summary>
    /// <param name="rows">Rows of an item, 1 to 2^30.</param>
    /// <param name="dilation">d, 1 to 2^20.</param>
    /// <param name="tileRows">R, a power of two up to 1024.</param>
    /// <returns>A divisor of d and R, at most 64.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument outside its range.</exception>
    public static int Neighbours(int rows, int dilation, int tileRows) => Cheapest([rows], dilation, tileRows);

    // The same for signals of one launch.
    internal static int Cheapest(ReadOnlySpan<int> rows, int dilation, int tileRows)
    {
        int best = 1;
        long least = long.MaxValue;
        for (int q = 1; q <= Math.Min(tileRows, MostNeighbours) && dilation % q == 0; q *= 2)
        {
            // tiles R / rows + 2 q / R, both times rows R.
            long cost = 0;
            foreach (int each in rows) cost += (long)Count(each, dilation, q, tileRows) * tileRows * tileRows + 2L * q * each;
            if (cost <= least) (best, least) = (q, cost);
        }
        return best;
    }

    /// <summary>Tiles of an item.</summary>
    /// <param name="rows">Rows of an item, 1 to 2^30.</param>
    /// <param name="dilation">d, 1 to 2^20.</param>
    /// <param name="neighbours">q, by <see cref="Neighbours"/>.</param>
    /// <param name="tileRows">R, a power of two up to 1024.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument outside its range.</exception>
    public static int Count(int rows, int dilation, int neighbours, int tileRows)
    {
        Check(rows, dilation, tileRows);
        if (!BitOperations.IsPow2(neighbours) || dilation % neighbours != 0 || tileRows % neighbours != 0)
            throw new ArgumentOutOfRangeException(nameof(neighbours), neighbours, $"expected a power of two that divides a dilation of {dilation} and {tileRows} rows of a tile");
        return Tiles(rows, dilation, BitOperations.Log2((uint)neighbours), tileRows);
    }

    // Those of all spans of p dilations but the last, and those of the last that have a row.
    private static int Tiles(int rows, int dilation, int shift, int tileRows)
    {
        int span = dilation * (tileRows >> shift), spans = (rows - 1) / span;
        return spans * (dilation >> shift) + Across(Math.Min(rows - spans * span, dilation), shift);
    }

    // Tiles beside each other.
    private static int Across(int rows, int shift) => (rows + (1 << shift) - 1) >> shift;

    private static void Check(int rows, int dilation, int tileRows)
    {
        if (rows is < 1 or > 1 << 30) throw new ArgumentOutOfRangeException(nameof(rows), rows, "expected 1 to 2^30 rows");
        if (dilation is < 1 or > 1 << 20) throw new ArgumentOutOfRangeException(nameof(dilation), dilation, "expected a dilation of 1 to 2^20");
        if (tileRows > 1024 || !BitOperations.IsPow2(tileRows)) throw new ArgumentOutOfRangeException(nameof(tileRows), tileRows, "expected a power of two up to 1024");
    }
}
