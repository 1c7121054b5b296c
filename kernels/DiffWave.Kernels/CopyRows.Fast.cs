namespace DiffWave.Kernels;

public static partial class CopyRows
{
    /// <summary>Version 2. Grid: x over tiles of 1024 values of an item (rows x C), y over items.</summary>
    /// <param name="source">[B, rows, C], C a multiple of 4; the address a multiple of 16.</param>
    /// <param name="target">Receives [B, rows, C]; the address a multiple of 16; must not <see cref="Overlap"/> the source.</param>
    /// <param name="rows">Rows of an item; rows x C is at most 2^30.</param>
    [Kernel("copy_rows_v2", BlockX = 256)]
    public static void CopyV2(Rows<float> source, Rows<float> target, int rows)
    {
        int item = Grid.IdxY, index = Grid.GlobalIndex.X;
        if (index >= rows * (target.Channels / 4)) return;
        target.Run(item, rows).AsAligned16().Cast<Float4>()[index] = source.Run(item, rows).AsAligned16().Cast<Float4>()[index];
    }
}
