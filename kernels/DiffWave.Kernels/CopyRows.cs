// Copy of rows from one activation to another, or within one
//
//   target[b, row, c] = source[b, row, c]          row = 0 .. rows - 1, each counted from its own first row; the items of both may be of different lengths
//
// Threads read and write in any order, so windows that overlap in one buffer go through a dense scratch buffer [B, rows, C] by two launches: see Overlap.
//
// v1  one thread a value, items along y
// v2  four channels a thread by 128-bit loads and stores
namespace DiffWave.Kernels;

/// <summary>Copy of rows: <c>target[b, row, c] = source[b, row, c]</c>.</summary>
public static partial class CopyRows
{
    /// <summary>Whether two windows share a row without being the same window: then rows must be copied to a buffer of their own first, and from there to their target.</summary>
    /// <param name="source">Where rows are read.</param>
    /// <param name="target">Where they are written.</param>
    /// <param name="rows">Rows of an item.</param>
    public static bool Overlap(Rows<float> source, Rows<float> target, int rows) =>
        source.Values.Address == target.Values.Address && source.First != target.First && Math.Abs((long)source.First - target.First) < rows;

    /// <summary>Version 1. Grid: x over tiles of 256 values of an item (rows x C), y over items.</summary>
    /// <param name="source">[B, rows, C].</param>
    /// <param name="target">Receives [B, rows, C]; must not <see cref="Overlap"/> the source.</param>
    /// <param name="rows">Rows of an item; rows x C is at most 2^30.</param>
    [Kernel("copy_rows_v1", BlockX = 256)]
    public static void CopyV1(Rows<float> source, Rows<float> target, int rows)
    {
        int item = Grid.IdxY, index = Grid.GlobalIndex.X;
        if (index >= rows * target.Channels) return;
        target.Run(item, rows)[index] = source.Run(item, rows)[index];
    }

    /// <summary>Every value is read and written.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="channels">C.</param>
    public static Cost CopyCost(long items, long rows, long channels) => new(0, 2 * sizeof(float) * items * rows * channels);
}
