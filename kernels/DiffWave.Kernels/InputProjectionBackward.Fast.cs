namespace DiffWave.Kernels;

public static partial class InputProjectionBackward
{
    private const int ThreadsV2 = 256, Eight = 8, AheadV2 = 4, PitchV2 = ThreadsV2 + 4; // 16 bytes of all threads, and where the next ones begin: half a line of banks further

    /// <summary>Version 2 of the gradients of w and bias. Blocks of 256 threads: slices of an item along x, items along z. Addresses of x and its gradient are multiples of 16.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">How it is stored.</typeparam>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="x">[B, rows, C], result of forward.</param>
    /// <param name="dx">Its gradient.</param>
    /// <param name="partial">Receives [B, slices, 2C]: dw of a slice, then dbias.</param>
    /// <param name="rows">T, T C below 2^31.</param>
    /// <param name="channels">C, a multiple of 8 up to 2048.</param>
    [Kernel("input_projection_backward_weights_v2", BlockX = ThreadsV2, MinimumSm = 80)]
    public static void WeightsV2<T, P>(Rows<float> audio, Rows<T> x, Rows<T> dx, ArrayView<float> partial, int rows, [Const] int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<Float4> shared = SharedMemory.Allocate<Float4>(4 * PitchV2);
        int item = Grid.IdxZ, thread = Group.IdxX, eights = channels / Eight, across = ThreadsV2 / eights, eight = thread % eights; // across: rows at a time
        int slice = Grid.IdxX, end = thread < across * eights ? XMath.Min(rows, (slice + 1) * SliceSum.SliceRows) : 0;
        ArrayView<UInt4> values = x.Run(item, rows).AsAligned16().Cast<UInt4>(), gradients = dx.Run(item, rows).AsAligned16().Cast<UInt4>();
        ArrayView<UInt4> value = LocalMemory.Allocate<UInt4>(AheadV2), gradient = LocalMemory.Allocate<UInt4>(AheadV2);
        ArrayView<float> a = LocalMemory.Allocate<float>(AheadV2), weightSums = LocalMemory.Allocate<float>(Eight), biasSums = LocalMemory.Allocate<float>(Eight);
        for (int first = slice * SliceSum.SliceRows + thread / eights; first < end; first += AheadV2 * across)
        {
            for (int i = 0; i < AheadV2; i++)
            {
                int row = first + i * across;
                (value[i], gradient[i], a[i]) = (default, default, 0);
                if (row >= end) continue;
                value[i] = values[row * eights + eight];
                gradient[i] = gradients[row * eights + eight];
                a[i] = audio.Row(item, row)[0];
            }
            for (int i = 0; i < AheadV2; i++)
            {
                AddPair<T, P>(value[i].X, gradient[i].X, a[i], weightSums, biasSums, 0);
                AddPair<T, P>(value[i].Y, gradient[i].Y, a[i], weightSums, biasSums, 2);
                AddPair<T, P>(value[i].Z, gradient[i].Z, a[i], weightSums, biasSums, 4);
                AddPair<T, P>(value[i].W, gradient[i].W, a[i], weightSums, biasSums, 6);
            }
        }
        for (int half = 0; half < 2; half++)
        {
            shared[half * PitchV2 + thread] = new Float4(weightSums[4 * half], weightSums[4 * half + 1], weightSums[4 * half + 2], weightSums[4 * half + 3]);
            shared[(2 + half) * PitchV2 + thread] = new Float4(biasSums[4 * half], biasSums[4 * half + 1], biasSums[4 * half + 2], biasSums[4 * half + 3]);
        }
        Group.Barrier();
        ArrayView<float> sums = shared.Cast<float>(), result = partial.SubView(((long)item * Grid.DimX + slice) * 2 * channels, 2 * channels);
        for (int index = thread; index < 2 * channels; index += ThreadsV2)
        {
            int c = index % channels, at = (index / channels * 2 + c / 4 % 2) * PitchV2 * 4 + c / Eight * 4 + c % 4;
            float sum = sums[at];
            for (int other = 1; other < Loop.Rolled(across); other++) sum += sums[at + other * eights * 4];
            result[index] = sum;
        }
    }

    // A NaN of x does not get lost.
    private static void AddPair<T, P>(uint values, uint gradients, float a, ArrayView<float> weightSums, ArrayView<float> biasSums, int k) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        Float2 x = P.Unpack(values), dx = P.Unpack(gradients);
        float d = x.X <= 0 ? 0 : dx.X, e = x.Y <= 0 ? 0 : dx.Y;
        weightSums[k] += d * a;
        weightSums[k + 1] += e * a;
        biasSums[k] += d;
        biasSums[k + 1] += e;
    }
}
