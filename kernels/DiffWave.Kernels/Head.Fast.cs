namespace DiffWave.Kernels;

public static partial class Head
{
    private const int ThreadsV2 = 256, LanesV2 = 16; // of a row

    /// <summary>Rows of a block of version 2.</summary>
    public const int RowsV2 = ThreadsV2 / LanesV2;

    /// <summary>Version 2. Blocks of 256 threads: rows / 16 along x, rounded up, B along z.</summary>
    /// <param name="h">[B, rows, C]; the address a multiple of 16.</param>
    /// <param name="weight">[1, C].</param>
    /// <param name="bias">[1].</param>
    /// <param name="eps">Receives [B, rows, 1].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    [Kernel("head_v2", BlockX = ThreadsV2)]
    public static void ForwardV2(Rows<float> h, ArrayView<float> weight, ArrayView<float> bias, Rows<float> eps, int rows, [Const] int channels)
    {
        ArrayView<Float4> factors = SharedMemory.Allocate<Float4>(channels / 4); // weights need not lie at multiples of 16 bytes
        for (int c = Group.IdxX; c < channels; c += ThreadsV2) factors.Cast<float>()[c] = weight[c];
        Group.Barrier();
        int item = Grid.IdxZ, row = Grid.GlobalIndex.X / LanesV2, lane = Group.IdxX % LanesV2;
        var source = new FourRows(h, item);
        float sum = 0;
        if (row < rows)
        {
            int place = source.Place(row);
            for (int four = lane; four < channels / 4; four += LanesV2)
            {
                Float4 a = source.At(place, four), w = factors[four];
                sum += a.X * w.X + a.Y * w.Y + (a.Z * w.Z + a.W * w.W);
            }
        }
        for (int distance = LanesV2 / 2; distance > 0; distance /= 2) sum += Warp.ShuffleXor(sum, distance);
        if (row < rows && lane == 0) eps.Row(item, row)[0] = sum + bias[0];
    }
}
