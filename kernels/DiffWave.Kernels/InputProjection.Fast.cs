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

    private const int ThreadsV3 = 256, Eight = 8;

    /// <summary>Rows of a block of version 3.</summary>
    /// <param name="channels">C, a multiple of 8 up to 2048.</param>
    public static int RowsV3(int channels) => ThreadsV3 / (channels / Eight) * Eight;

    /// <summary>Version 3. Blocks of 256 threads: rows / <see cref="RowsV3"/> along x, rounded up, B along z.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">How it is stored.</typeparam>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="weight">[C, 1].</param>
    /// <param name="bias">[C].</param>
    /// <param name="x">Receives [B, rows, C]; the address a multiple of 16.</param>
    /// <param name="rows">Rows to compute, rows C below 2^31.</param>
    /// <param name="channels">C, a multiple of 8 up to 2048.</param>
    /// <param name="early">Whether it may be launched early, on sm_90 and later: everything but the weights, which the kernel right before it must not have written, is touched after the kernels before it are complete.</param>
    [Kernel("input_projection_v3", BlockX = ThreadsV3, MinimumSm = 80)]
    public static void ForwardV3<T, P>(Rows<float> audio, ArrayView<float> weight, ArrayView<float> bias, Rows<T> x, int rows, [Const] int channels, [Const] bool early)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int item = Grid.IdxZ, eights = channels / Eight, across = ThreadsV3 / eights, first = Grid.IdxX * RowsV3(channels) + Group.IdxX / eights, c = Group.IdxX % eights; // across: rows at a time
        if (first >= rows || Group.IdxX >= across * eights) return;
        ArrayView<float> w = LocalMemory.Allocate<float>(Eight), b = LocalMemory.Allocate<float>(Eight), source = audio.Values.SubView((long)item * audio.ItemRows + audio.First);
        for (int k = 0; k < Eight; k++) (w[k], b[k]) = (weight[c * Eight + k], bias[c * Eight + k]);
        if (early) EarlyLaunch.AwaitOthers();
        ArrayView<UInt4> target = x.Run(item, rows).AsAligned16().Cast<UInt4>();
        for (int i = 0; i < Eight; i++)
        {
            int row = first + i * across;
            if (row >= rows) continue;
            float a = source[row];
            target[row * eights + c] = new UInt4(Pair<T, P>(a, w, b, 0), Pair<T, P>(a, w, b, 2), Pair<T, P>(a, w, b, 4), Pair<T, P>(a, w, b, 6));
        }
    }

    private static uint Pair<T, P>(float a, ArrayView<float> w, ArrayView<float> b, int k) where T : unmanaged where P : struct, IMatrixPair<T> =>
        P.Pack(XMath.Max(0, w[k] * a + b[k]), XMath.Max(0, w[k + 1] * a + b[k + 1]));
}
