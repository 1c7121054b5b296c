namespace DiffWave.Kernels;

public static partial class InputProjection
{
    /// <summary>Rows of a thread of version 2.</summary>
    public const int RowsV2 = 8;

    /// <summary>Version 2. Blocks of 256 threads: rows C / (8 * 256) along x, the rows rounded up to a multiple of 8 and the blocks rounded up, B along z.</summary>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="weight">[C, 1].</param>
    /// <param name="bias">[C].</param>
    /// <param name="x">Receives [B, rows, C].</param>
    /// <param name="rows">Rows to compute, rows C below 2^31.</param>
    /// <param name="channels">C.</param>
    [Kernel("input_projection_v2", BlockX = 256)]
    public static void ForwardV2(Rows<float> audio, ArrayView<float> weight, ArrayView<float> bias, Rows<float> x, int rows, [Const] int channels)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, first = index / channels * RowsV2, c = index % channels;
        if (first >= rows) return;
        float w = weight[c], b = bias[c];
        ArrayView<float> source = audio.Values.SubView((long)item * audio.ItemRows + audio.First), target = x.Values.SubView(((long)item * x.ItemRows + x.First) * channels);
        for (int i = 0; i < RowsV2; i++)
            if (first + i < rows) target[(first + i) * channels + c] = XMath.Max(0, w * source[first + i] + b);
    }
}
