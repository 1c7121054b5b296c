namespace DiffWave.Kernels;

public static partial class BlockWeightsBackward
{
    /// <summary>Version 2. Threads: one for each 8 values of a layer, <see cref="Size"/> / 8 of them, along x; z the layers.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <param name="dilated">The arena from W of layer 0 on: W of layer l, [2C, C, 3], begins <paramref name="layerStride"/> l further.</param>
    /// <param name="output">The arena from O of layer 0 on, [2C, C], in the same way.</param>
    /// <param name="packed">Receives <see cref="Size"/> values a layer; the address a multiple of 16.</param>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    [Kernel("block_weights_backward_v2", BlockX = 256, MinimumSm = 80)]
    public static void PackV2<T, P>(ArrayView<float> dilated, ArrayView<float> output, ArrayView<T> packed, int channels, int layerStride) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int index = Grid.GlobalIndex.X, size = Size(channels) / 8;
        if (index >= size) return;
        int lane = index % 32, pair = index / 32 % (channels / Step), row = index / (2 * channels) * Step + lane % 4 * 2, column = pair * Step + lane / 4;
        long layer = (long)Grid.IdxZ * layerStride;
        ArrayView<uint> words = LocalMemory.Allocate<uint>(4);
        for (int word = 0; word < 4; word++)
        {
            int from = row + word % 2 * 8, to = Channel(column + word / 2 * 8);
            words[word] = P.Pack(Weight(dilated, output, from, to, channels, layer), Weight(dilated, output, from + 1, to, channels, layer));
        }
        packed.AsAligned16().Cast<UInt4>()[(long)Grid.IdxZ * size + index] = new UInt4(words[0], words[1], words[2], words[3]);
    }
}
