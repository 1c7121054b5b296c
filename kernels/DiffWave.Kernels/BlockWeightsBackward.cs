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
// b1  one thread the 16 bytes of a lane in one store
namespace DiffWave.Kernels;

/// <summary>Transposed weights of a residual block in the order in which tensor cores take them: both products' operands in 16 bits, layer after layer. Channels are a multiple of 32.</summary>
public static partial class BlockWeightsBackward
{
    private const int Taps = 3, Step = 16;
    private const float RootHalf = 0.70710678f;

    /// <summary>Values of a layer.</summary>
    /// <param name="channels">C.</param>
    public static int Size(int channels) => (2 + 2 * Taps) * channels * channels;

    /// <summary>The channel that a column stands for.</summary>
    /// <param name="column">0 to C - 1.</param>
    public static int Channel(int column) => column / 32 * 32 + column % 8 / 2 * 8 + column / 8 % 4 * 2 + column % 2;

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

    /// <summary>Every weight is read, every packed one written.</summary>
    /// <param name="layers">L.</param>
    /// <param name="channels">C.</param>
    public static Cost PackCost(int layers, int channels) => new((long)layers * channels * channels, layers * (sizeof(float) + 2L) * Size(channels));
}
