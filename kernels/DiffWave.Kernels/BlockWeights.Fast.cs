namespace DiffWave.Kernels;

public static partial class BlockWeights
{
    /// <summary>Version 2. Threads: one for each 16 bytes of a layer, <see cref="Size"/> / (Depth / 2) of them, along x; z the layers.</summary>
    /// <typeparam name="T">Element type of the precision.</typeparam>
    /// <typeparam name="P">The precision.</typeparam>
    /// <param name="dilated">The arena from W of layer 0 on: W of layer l, [2C, C, 3], begins <paramref name="layerStride"/> l further.</param>
    /// <param name="conditioner">The arena from V of layer 0 on, [2C, M], in the same way; not read without bands.</param>
    /// <param name="output">The arena from O of layer 0 on, [2C, C], in the same way.</param>
    /// <param name="packed">Receives <see cref="Size"/> values a layer; the address a multiple of 16.</param>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    /// <param name="gateFirst">Whether the first half of W and V is the gate's.</param>
    [Kernel("block_weights_v2", BlockX = 256, MinimumSm = 80)]
    public static void PackV2<T, P>(ArrayView<float> dilated, ArrayView<float> conditioner, ArrayView<float> output, ArrayView<T> packed, int channels, int bands, int layerStride, [Const] bool gateFirst)
        where T : unmanaged where P : struct, IMatrixOperand<T>
    {
        int index = Grid.GlobalIndex.X, size = Size(channels, bands) / (P.Depth / 2);
        if (index >= size) return;
        int lane = index % 32, pair = index / 32 % (channels / 8), row = index / (4 * channels) * P.Depth + lane % 4 * (P.Depth / 8), column = pair * 16 + lane / 4;
        long layer = (long)Grid.IdxZ * layerStride;
        ArrayView<uint> words = LocalMemory.Allocate<uint>(4);
        for (int word = 0; word < 4; word++)
        {
            int from = row + word % 2 * (P.Depth / 2), to = column + word / 2 * 8;
            words[word] = P.Bits(Weight(dilated, conditioner, output, from, to, channels, bands, layer, P.Depth, gateFirst));
            if (P.Depth == 16) words[word] |= P.Bits(Weight(dilated, conditioner, output, from + 1, to, channels, bands, layer, P.Depth, gateFirst)) << 16;
        }
        packed.AsAligned16().Cast<UInt4>()[(long)Grid.IdxZ * size + index] = new UInt4(words[0], words[1], words[2], words[3]);
    }
}
