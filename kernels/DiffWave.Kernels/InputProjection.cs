// Input projection, one value a row to C channels
//
//   x[t, c] = max(0, w[c] a[t] + b[c])          a: rows x 1, the signal; x: rows x C
//
// v1  one thread an element, as the formula reads
// v2  eight rows a thread: weight and bias stay in registers, the number of channels a constant
// v3  x in 16 bits: eight channels of eight rows a thread, 128-bit stores
//     At C = 64 192 FLOP and 260 bytes a row, under one FLOP a byte: memory limits it once the instructions of an element do not.
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Input projection: <c>x[t, c] = max(0, w[c] a[t] + b[c])</c>, a rows x 1, x rows x C.</summary>
public static partial class InputProjection
{
    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="audio">rows.</param>
    /// <param name="weight">C.</param>
    /// <param name="bias">C.</param>
    /// <param name="x">Receives rows x C.</param>
    public static void Reference<T>(ReadOnlySpan<float> audio, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<T> x) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < x.Length; index++)
        {
            int c = index % bias.Length;
            x[index] = T.Max(T.Zero, T.CreateChecked(weight[c]) * T.CreateChecked(audio[index / bias.Length]) + T.CreateChecked(bias[c]));
        }
    }

    /// <summary>Version 1. Blocks of 256 threads: rows C / 256 along x, rounded up, B along z.</summary>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="weight">[C, 1].</param>
    /// <param name="bias">[C].</param>
    /// <param name="x">Receives [B, rows, C].</param>
    /// <param name="rows">Rows to compute, rows C below 2^31.</param>
    [Kernel("input_projection_v1", BlockX = 256)]
    public static void ForwardV1(Rows<float> audio, ArrayView<float> weight, ArrayView<float> bias, Rows<float> x, int rows)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, channels = x.Channels;
        if (index >= rows * channels) return;
        int row = index / channels, c = index % channels;
        x.Row(item, row)[c] = XMath.Max(0, weight[c] * audio.Row(item, row)[0] + bias[c]);
    }

    /// <summary>Reads a, writes x; a product, a sum and a comparison an element.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="elementBytes">Bytes of a value of x.</param>
    public static Cost ForwardCost(long rows, int channels, int elementBytes = sizeof(float)) => new(3 * rows * channels, elementBytes * rows * channels + sizeof(float) * (rows + 2 * channels));
}
