// Whether a signal, or an array of gradients, holds a value that is not finite
//
//   found[b] = 1 if any x[b, row, c] is NaN or infinite          x: B x rows x C; found: B, zero before
//
// v1  one thread a value, items along y; only threads that find something write
namespace DiffWave.Kernels;

/// <summary>Flags items with values that are not finite.</summary>
public static class FiniteCheck
{
    /// <summary>Whether any value is NaN or infinite.</summary>
    /// <param name="x">Values of one item.</param>
    public static bool Reference(ReadOnlySpan<float> x)
    {
        foreach (float value in x)
            if (!float.IsFinite(value)) return true;
        return false;
    }

    /// <summary>Version 1. Grid: x over tiles of 256 values of an item (rows x C), y over items.</summary>
    /// <param name="x">[B, rows, C]; a flat array of n values is one item of n rows with one channel.</param>
    /// <param name="found">B numbers: 1 is stored where a value is not finite, others keep what they hold.</param>
    /// <param name="rows">Rows of an item; rows x C is at most 2^30.</param>
    [Kernel("finite_check_v1", BlockX = 256)]
    public static void CheckV1(Rows x, ArrayView<int> found, int rows)
    {
        int item = Grid.IdxY, index = Grid.GlobalIndex.X;
        if (index >= rows * x.Channels) return;
        if (!XMath.IsFinite(x.Run(item, rows)[index])) found[item] = 1; // every thread that writes writes the same
    }

    /// <summary>Every value is read once.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="channels">C.</param>
    public static Cost CheckCost(long items, long rows, long channels) => new(0, sizeof(float) * items * rows * channels);
}
