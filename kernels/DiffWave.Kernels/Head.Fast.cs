namespace DiffWave.Kernels;

public static partial class Head
{
    private const int LanesV2 = 16; // of a row

    /// <summary>Version 2. Blocks of 256 threads: rows / 16 along x, rounded up, B along z. Addresses of h and the weights are multiples of 16.</summary>
    /// <param name="h">[B, rows, C], C a multiple of 4.</param>
    /// <param name="weight">[1, C].</param>
    /// <param name="bias">[1].</param>
    /// <param name="eps">Receives [B, rows, 1].</param>
    /// <param name="rows">Rows to compute.</param>
    [Kernel("head_v2", BlockX = 256)]
    public static void ForwardV2(Rows h, ArrayView<float> weight, ArrayView<float> bias, Rows eps, int rows)
    {
        int item = Grid.IdxZ, row = Grid.GlobalIndex.X / LanesV2, lane = Group.IdxX % LanesV2, fours = h.Channels / 4;
        var source = new FourRows(h, item);
        ArrayView<Float4> factors = Fours.Of(weight);
        float sum = 0;
        if (row < rows)
        {
            int place = source.Place(row);
            for (int four = lane; four < fours; four += LanesV2)
            {
                Float4 a = source.At(place, four), w = factors[four];
                sum += a.X * w.X + a.Y * w.Y + (a.Z * w.Z + a.W * w.W);
            }
        }
        for (int distance = LanesV2 / 2; distance > 0; distance /= 2) sum += Warp.ShuffleXor(sum, distance);
        if (row < rows && lane == 0) eps.Row(item, row)[0] = sum + bias[0];
    }
}
