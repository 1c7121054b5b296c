// Gradient of the input of a 1x1 convolution: the transposed product
//
//   dx[b, t, i] (+)= scale * sum over o of W[o, i] dy[b, t, o]                          W: O x I; dy: B x T x O; dx: B x T x I
//
// The conditioner projection adds to the gradient of the upsampled mel (scale 1), the head's skip projection writes that of the skips (scale 1 / sqrt(L)).
//
// b1  one thread an element of dx
// b2  128 rows x 64 inputs a block by RowProduct
// b3  fp16 or bf16 on tensor cores: weights stay in shared memory in the order of fragments, rows go from global memory straight to the operands, the products of several layers are summed
//     (of the 896 bytes a row and layer (O = 128 in 16 bits, I = 80 in float32, read and written) 640 are dx, which up to four layers then share)
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of the input of a 1x1 convolution: <c>dx[b, t, i] (+)= scale * sum over o of W[o, i] dy[b, t, o]</c>.</summary>
public static partial class PointwiseConvBackward
{
    private const int Threads = 256;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="weights">O x I.</param>
    /// <param name="dY">Gradient of the result, rows x O, B T rows.</param>
    /// <param name="dX">In and out: rows x I; read when accumulating only.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="scale">Factor of the product.</param>
    /// <param name="accumulate">Whether to add to dX.</param>
    public static void Reference<T>(ReadOnlySpan<float> weights, ReadOnlySpan<float> dY, Span<T> dX, int outputs, int inputs, float scale, bool accumulate) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < dX.Length; index++)
        {
            T sum = T.Zero;
            for (int o = 0; o < outputs; o++) sum += T.CreateChecked(weights[o * inputs + index % inputs]) * T.CreateChecked(dY[index / inputs * outputs + o]);
            dX[index] = T.CreateChecked(scale) * sum + (accumulate ? dX[index] : T.Zero);
        }
    }

    /// <summary>Version 1. Threads: at least one an element of an item of dX along x; items along z.</summary>
    /// <param name="weights">O x I.</param>
    /// <param name="dY">Gradient of the result, O channels.</param>
    /// <param name="dX">Receives the gradient of the input, I channels.</param>
    /// <param name="rows">T.</param>
    /// <param name="scale">Factor of the product.</param>
    /// <param name="accumulate">Whether to add to what dX holds.</param>
    [Kernel("pointwise_conv_backward_v1", BlockX = Threads)]
    public static void BackwardV1(ArrayView<float> weights, Rows<float> dY, Rows<float> dX, int rows, float scale, [Const] bool accumulate)
    {
        int inputs = dX.Channels, row = Grid.GlobalIndex.X / inputs, i = Grid.GlobalIndex.X % inputs, item = Grid.IdxZ;
        if (row >= rows) return;
        ArrayView<float> d = dY.Row(item, row), result = dX.Row(item, row);
        float sum = 0;
        for (int o = 0; o < dY.Channels; o++) sum += weights[o * inputs + i] * d[o];
        result[i] = accumulate ? scale * sum + result[i] : scale * sum;
    }

    /// <summary>A product and an addition a weight and row; dY and the weights are read, dX is written, and read when accumulating.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="accumulate">Whether dX is added to.</param>
    /// <param name="dYBytes">Bytes of a value of dY.</param>
    /// <param name="dXBytes">Bytes of a value of dX.</param>
    public static Cost BackwardCost(long rows, long outputs, long inputs, bool accumulate, int dYBytes, int dXBytes) =>
        new(2 * rows * outputs * inputs, rows * (dYBytes * outputs + (accumulate ? 2 : 1) * dXBytes * inputs) + sizeof(float) * outputs * inputs);
}
