// Weights of a residual block, transposed, in the order in which tensor cores take them on the way back
//
// Two matrices of a layer, their rows what is multiplied and their C columns what comes of it:
//   rows 0 .. 2C - 1     O: the C residual outputs times sqrt(1/2), then the C skip outputs      columns: gated channels
//   rows 2C .. 8C - 1    W: tap 0's 2C outputs, tap 1's, tap 2's                                 columns: inputs
//
// Column 8 f + p is channel 32 (f / 4) + 8 (p / 2) + 2 (f % 4) + p % 2: of a product's 16 x 8 results a lane holds p = 2j and 2j + 1, so its four tiles of a group of 32 channels are 8 channels side
// by side. The rows of O follow in each half, because the gradients that are multiplied are read by the same eights.
//
// A lane 4i + j of a warp reads its part of a step of 16 rows and a pair of tiles, 16 columns, at once:
//   packed[((step (C / 16) + pair) 32 + lane) 8 + v] = B[16 step + 2j + v % 2 + 8 (v / 2 % 2), 16 pair + 8 (v / 4) + i]
//
// b1  float32, one thread a value
// b2  16 bits, one thread the 16 bytes of a lane in one store
namespace DiffWave.Kernels;

/// <summary>Transposed weights of a residual block in the order in which tensor cores take them: both products' operands, layer after layer. Channels are a multiple of 32.</summary>
public static partial class BlockWeightsBackward
{
    private const int Taps = 3, Step = 16;
    private const float RootHalf = 0.70710678f;

    /// <summary>Values of a layer.</summary>
    /// <param name="channels">C.</param>
    public static int Size(int channels) => (2 + 2 * Taps) * channels * channels;

    /// <summary>The channel that a column stands for.</summary>
    /// <param name="column">0 to C - 1.</param>
    public static int Channel(int column) => BlockWeights.Channel(column / 8, column % 8);

    /// <summary>The order, weight after weight: where each of them goes.</summary>
    /// <typeparam name="T">Element type of the precision.</typeparam>
    /// <param name="dilated">W, 2C x C x 3.</param>
    /// <param name="output">O, 2C x C.</param>
    /// <param name="packed">Receives <see cref="Size"/> values.</param>
    /// <param name="channels">C.</param>
    /// <param name="round">Rounds to the precision.</param>
    public static void Reference<T>(ReadOnlySpan<float> dilated, ReadOnlySpan<float> output, Span<T> packed, int channels, Func<float, T> round) where T : unmanaged
    {
        int[] columns = new int[channels]; // of a channel
        for (int column = 0; column < channels; column++) columns[Channel(column)] = column;
        for (int o = 0; o < 2 * channels; o++)
            for (int i = 0; i < channels; i++)
            {
                float weight = output[o * channels + i];
                packed[Place(o / channels * channels + columns[o % channels], columns[i], channels)] = round(o < channels ? weight * RootHalf : weight);
                for (int k = 0; k < Taps; k++) packed[Place((1 + k) * 2 * channels + o, columns[i], channels)] = round(dilated[(o * channels + i) * Taps + k]);
            }
    }

    private static int Place(int row, int column, int channels)
    {
        int lane = column % 8 * 4 + row % 8 / 2, value = column / 8 % 2 * 4 + row / 8 % 2 * 2 + row % 2;
        return ((row / Step * (channels / Step) + column / Step) * 32 + lane) * 8 + value;
    }

    /// <summary>Version 1, not rounded. Threads: one a packed value of a layer, along x; z the layers.</summary>
    /// <param name="dilated">The arena from W of layer 0 on: W of layer l, [2C, C, 3], begins <paramref name="layerStride"/> l further.</param>
    /// <param name="output">The arena from O of layer 0 on, [2C, C], in the same way.</param>
    /// <param name="packed">Receives <see cref="Size"/> values a layer.</param>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    [Kernel("block_weights_backward_v1", BlockX = 256)]
    public static void PackV1(ArrayView<float> dilated, ArrayView<float> output, ArrayView<float> packed, int channels, int layerStride)
    {
        int index = Grid.GlobalIndex.X, size = Size(channels);
        if (index >= size) return;
        int value = index % 8, lane = index / 8 % 32, pair = index / 256 % (channels / Step), step = index / (Step * channels);
        int row = step * Step + lane % 4 * 2 + value % 2 + value / 2 % 2 * 8, column = pair * Step + value / 4 * 8 + lane / 4;
        packed[(long)Grid.IdxZ * size + index] = Weight(dilated, output, row, Channel(column), channels, (long)Grid.IdxZ * layerStride);
    }

    private static float Weight(ArrayView<float> dilated, ArrayView<float> output, int row, int channel, int channels, long layer)
    {
        if (row >= 2 * channels) return dilated[layer + (row % (2 * channels) * channels + channel) * Taps + row / (2 * channels) - 1];
        float weight = output[layer + (row / channels * channels + Channel(row % channels)) * channels + channel];
        return row < channels ? weight * RootHalf : weight;
    }

    /// <summary>Every weight is read, every packed one written.</summary>
    /// <param name="layers">L.</param>
    /// <param name="channels">C.</param>
    /// <param name="elementBytes">Bytes of a packed value: 2 or 4.</param>
    public static Cost PackCost(int layers, int channels, int elementBytes) => new((long)layers * channels * channels, layers * (sizeof(float) + (long)elementBytes) * Size(channels));
}
