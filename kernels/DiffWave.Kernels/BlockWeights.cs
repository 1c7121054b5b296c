// Weights of a residual block in the order in which tensor cores take them
//
// One matrix B of a layer, its rows what is multiplied and its columns what comes of it, 2C of them in both products of the block:
//   rows 0 .. 3C - 1                          W: tap 0's C inputs, tap 1's, tap 2's            columns: C of the filter, C of the gate
//   rows 3C .. 3C + M' - 1                    V: the mel's M bands, and zeros up to a multiple of 16 (M')
//   rows 3C + M' .. 4C + M' - 1               O: the C gated channels                          columns: C of the residual, C of the skip
//
// Column n of a half, tile f = n / 8 and place p = n % 8 in it, is channel 32 (f / 4) + 8 (p / 2) + 2 (f % 4) + p % 2: of a product's 16 x 8 results a lane holds places 2j and 2j + 1, so its four
// tiles of a group of 32 channels are 8 channels side by side. The rows of O follow, because what a lane holds of z becomes its part of an operand as it is: for 16 bits row r is the channel of
// column r, for tf32 places 0 to 7 of a tile come in the order 0, 2, 4, 6, 1, 3, 5, 7.
//
// B is cut into steps of 16 rows (8 for tf32) and pairs of tiles, 16 columns. A lane 4i + j of a warp reads its part of both tiles of a pair, 16 bytes, at once:
//   packed[((step (2C / 16) + pair) 32 + lane) 8 + v] = B[16 step + 2j + v % 2 + 8 (v / 2 % 2), 16 pair + 8 (v / 4) + i]         16 bits
//   packed[((step (2C / 16) + pair) 32 + lane) 4 + v] = B[8 step + j + 4 (v % 2), 16 pair + 8 (v / 2) + i]                       tf32
//
// v1  tf32, one thread a value
// v2  any precision, one thread the 16 bytes of a lane in one store
namespace DiffWave.Kernels;

/// <summary>
/// Weights of a residual block in the order in which tensor cores take them: both products' operands, rounded, layer after layer. Channels are a multiple of 32.
/// </summary>
public static partial class BlockWeights
{
    private const int Taps = 3, Group = 32, Tile = 8;

    /// <summary>Rows of the first product's operand, 3C + M', a multiple of 16.</summary>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    public static int InputRows(int channels, int bands) => Taps * channels + (bands + 15) / 16 * 16;

    /// <summary>Values of a layer, those of the second product from 2C <see cref="InputRows"/> on.</summary>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    public static int Size(int channels, int bands) => 2 * channels * (InputRows(channels, bands) + channels);

    /// <summary>The channel that a column stands for, counted from its half's first.</summary>
    /// <param name="tile">Tile of 8 columns, 0 to C / 8 - 1.</param>
    /// <param name="place">Column in it.</param>
    public static int Channel(int tile, int place) => tile / 4 * Group + place / 2 * Tile + tile % 4 * 2 + place % 2;

    /// <summary>The order, weight after weight: where each of them goes.</summary>
    /// <typeparam name="T">Element type of the precision.</typeparam>
    /// <param name="weights">Of a layer.</param>
    /// <param name="packed">Receives <see cref="Size"/> values.</param>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="depth">Rows of a step: 16 for 16 bits, 8 for tf32.</param>
    /// <param name="gateFirst">Whether the first half of W and V is the gate's.</param>
    /// <param name="round">Rounds to the precision.</param>
    public static void Reference<T>(ResidualBlock.Weights weights, Span<T> packed, int channels, int bands, int depth, bool gateFirst, Func<float, T> round) where T : unmanaged
    {
        int outputs = 2 * channels, inputRows = InputRows(channels, bands);
        packed.Fill(round(0));
        for (int o = 0; o < outputs; o++)
        {
            int column = Column(gateFirst ? (o + channels) % outputs : o, channels);
            for (int i = 0; i < channels; i++)
            {
                for (int k = 0; k < Taps; k++) packed[Place(k * channels + i, column, outputs, depth)] = round(weights.Dilated[(o * channels + i) * Taps + k]);
                int row = Column(i, channels);
                if (depth == 8) row = row / 8 * 8 + row % 2 * 4 + row % 8 / 2;
                packed[Place(inputRows + row, Column(o, channels), outputs, depth)] = round(weights.Output[o * channels + i]);
            }
            for (int m = 0; m < bands; m++) packed[Place(Taps * channels + m, column, outputs, depth)] = round(weights.Conditioner[o * bands + m]);
        }
    }

    // The column of an output: of the half's channel 32 g + 8 j + 2 f + e it is column 2 j + e of tile 4 g + f.
    private static int Column(int output, int channels)
    {
        int channel = output % channels, tile = channel / Group * 4 + channel % Tile / 2, place = channel % Group / Tile * 2 + channel % 2;
        return output / channels * channels + tile * Tile + place;
    }

    private static int Place(int row, int column, int columns, int depth)
    {
        int inStep = row % depth, inPair = column % 16;
        (int j, int inColumn) = depth == 16 ? (inStep % 8 / 2, inStep / 8 * 2 + inStep % 2) : (inStep % 4, inStep / 4);
        int lane = inPair % 8 * 4 + j, value = inPair / 8 * (depth / 4) + inColumn;
        return ((row / depth * (columns / 16) + column / 16) * 32 + lane) * (depth / 2) + value;
    }

    /// <summary>Version 1, for tf32. Threads: one a packed value of a layer, along x; z the layers.</summary>
    /// <param name="dilated">The arena from W of layer 0 on: W of layer l, [2C, C, 3], begins <paramref name="layerStride"/> l further.</param>
    /// <param name="conditioner">The arena from V of layer 0 on, [2C, M], in the same way; not read without bands.</param>
    /// <param name="output">The arena from O of layer 0 on, [2C, C], in the same way.</param>
    /// <param name="packed">Receives <see cref="Size"/> values a layer.</param>
    /// <param name="channels">C, a multiple of 32.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    /// <param name="gateFirst">Whether the first half of W and V is the gate's.</param>
    [Kernel("block_weights_v1", BlockX = 256)]
    public static void PackV1(ArrayView<float> dilated, ArrayView<float> conditioner, ArrayView<float> output, ArrayView<float> packed, int channels, int bands, int layerStride, [Const] bool gateFirst)
    {
        int index = Grid.GlobalIndex.X, size = Size(channels, bands);
        if (index >= size) return;
        int value = index % 4, lane = index / 4 % 32, pair = index / 128 % (channels / 8), step = index / (16 * channels);
        int row = step * 8 + lane % 4 + value % 2 * 4, column = pair * 16 + value / 2 * 8 + lane / 4;
        float weight = Weight(dilated, conditioner, output, row, column, channels, bands, (long)Grid.IdxZ * layerStride, 8, gateFirst);
        packed[(long)Grid.IdxZ * size + index] = XMath.IsNaN(weight) ? weight : Interop.IntAsFloat((Interop.FloatAsInt(weight) + 0x1000u) & 0xFFFFE000u); // 10 bits of fraction, ties away from zero
    }

    // An element of B.
    private static float Weight(ArrayView<float> dilated, ArrayView<float> conditioner, ArrayView<float> output, int row, int column, int channels, int bands, long layer, int depth, bool gateFirst)
    {
        int channel = Channel(column % channels / Tile, column % Tile), half = column / channels, gated = row - InputRows(channels, bands);
        if (gated >= 0)
        {
            int place = depth == 8 ? gated % 4 * 2 + gated % 8 / 4 : gated % 8;
            return output[layer + (half * channels + channel) * channels + Channel(gated / Tile, place)];
        }
        int o = (gateFirst ? 1 - half : half) * channels + channel;
        if (row < Taps * channels) return dilated[layer + (o * channels + row % channels) * Taps + row / channels];
        int band = row - Taps * channels;
        return band < bands ? conditioner[layer + o * bands + band] : 0;
    }

    /// <summary>Every weight is read, every value of the packed ones written.</summary>
    /// <param name="layers">L.</param>
    /// <param name="channels">C.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="elementBytes">Bytes of a packed value: 2 or 4.</param>
    public static Cost PackCost(int layers, int channels, int bands, int elementBytes) =>
        new(0, layers * (sizeof(float) * 2L * channels * (4 * channels + bands) + elementBytes * (long)Size(channels, bands)));
}
