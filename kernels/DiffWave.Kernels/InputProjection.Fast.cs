namespace DiffWave.Kernels;

public static partial class InputProjection
{
    /// <summary>Version 2. Blocks of 256 threads: rows C / 1024 along x, rounded up, B along z. Addresses of x, the weights and the biases are multiples of 16.</summary>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="weight">[C, 1].</param>
    /// <param name="bias">[C].</param>
    /// <param name="x">Receives [B, rows, C].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    [Kernel("input_projection_v2", BlockX = 256)]
    public static void ForwardV2(Rows audio, ArrayView<float> weight, ArrayView<float> bias, Rows x, int rows, [Const] int channels)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, row = index / (channels / 4), four = index % (channels / 4);
        if (row >= rows) return;
        var target = new FourRows(x, item);
        float value = audio.Row(item, row)[0];
        Float4 w = Fours.Of(weight)[four], b = Fours.Of(bias)[four];
        target.At(target.Place(row), four) = new Float4(XMath.Max(0, w.X * value + b.X), XMath.Max(0, w.Y * value + b.Y), XMath.Max(0, w.Z * value + b.Z), XMath.Max(0, w.W * value + b.W));
    }
}
