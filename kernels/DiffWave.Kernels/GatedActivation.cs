// Gated activation, the nonlinearity of every residual layer
//
//   y[row, c] = tanh(h[row, c]) * sigmoid(h[row, C + c])          h: rows x 2C, the filter's C channels before the gate's; y: rows x C; rows = B T
//   y[row, c] = tanh(h[row, C + c]) * sigmoid(h[row, c])          gate first
//
// v1  one thread an element, as the formula reads
// v2  a grid-stride loop over four channels at a time: 128-bit loads and stores, the number of channels a constant
// v3  as v2 with tanh.approx for both factors: absolute error up to 2^-11 + 2^-12 instead of float32 rounding
//
// Backward, by the saved h: with t = tanh(filter) and s = sigmoid(gate), dfilter = dy s (1 - t^2) and dgate = dy t s (1 - s).
//
// b1  one thread an element, tanh and sigmoid computed again instead of stored
// b2  four channels at a time with 128-bit loads and stores; dy becomes y
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gated activation: <c>y[row, c] = tanh(h[row, c]) * sigmoid(h[row, C + c])</c>, h rows x 2C, y rows x C; gate first: the two halves change places.</summary>
public static partial class GatedActivation
{
    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="h">rows x 2C.</param>
    /// <param name="y">Receives rows x C.</param>
    /// <param name="channels">C.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    public static void Reference<T>(ReadOnlySpan<float> h, Span<T> y, int channels, bool gateFirst) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < y.Length; index++)
        {
            int first = index / channels * 2 * channels + index % channels, filter = gateFirst ? first + channels : first, gate = gateFirst ? first : first + channels;
            y[index] = T.Tanh(T.CreateChecked(h[filter])) * Sigmoid(T.CreateChecked(h[gate]));
        }
    }

    /// <summary>The gradient of <see cref="Reference"/>, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="h">rows x 2C, as given to forward.</param>
    /// <param name="dy">Gradient of y, rows x C.</param>
    /// <param name="dh">Receives the gradient of h, rows x 2C.</param>
    /// <param name="channels">C.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    public static void ReferenceBackward<T>(ReadOnlySpan<float> h, ReadOnlySpan<float> dy, Span<T> dh, int channels, bool gateFirst) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < dy.Length; index++)
        {
            int first = index / channels * 2 * channels + index % channels, filter = gateFirst ? first + channels : first, gate = gateFirst ? first : first + channels;
            T t = T.Tanh(T.CreateChecked(h[filter])), s = Sigmoid(T.CreateChecked(h[gate])), d = T.CreateChecked(dy[index]);
            dh[filter] = d * s * (T.One - t * t);
            dh[gate] = d * t * s * (T.One - s);
        }
    }

    private static T Sigmoid<T>(T x) where T : IFloatingPointIeee754<T> => T.One / (T.One + T.Exp(-x));

    /// <summary>Version 1 of forward. Threads: at least one an element of y, along x.</summary>
    /// <param name="h">rows x 2C, fewer than 2^31 elements.</param>
    /// <param name="y">Receives rows x C.</param>
    /// <param name="channels">C.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("gated_activation_v1", BlockX = 256)]
    public static void ForwardV1(ArrayView<float> h, ArrayView<float> y, int channels, [Const] bool gateFirst)
    {
        int index = Grid.GlobalIndex.X;
        if (index >= y.IntLength) return;
        int first = index / channels * 2 * channels + index % channels, filter = gateFirst ? first + channels : first, gate = gateFirst ? first : first + channels;
        y[index] = XMath.Tanh(h[filter]) * Sigmoid(h[gate]);
    }

    /// <summary>Version 1 of backward. Threads: at least one an element of dy, along x.</summary>
    /// <param name="h">rows x 2C, as given to forward.</param>
    /// <param name="dy">Gradient of y, rows x C.</param>
    /// <param name="dh">Receives the gradient of h, rows x 2C; may be <paramref name="h"/>.</param>
    /// <param name="channels">C.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("gated_activation_backward_v1", BlockX = 256)]
    public static void BackwardV1(ArrayView<float> h, ArrayView<float> dy, ArrayView<float> dh, int channels, [Const] bool gateFirst)
    {
        int index = Grid.GlobalIndex.X;
        if (index >= dy.IntLength) return;
        int first = index / channels * 2 * channels + index % channels, filter = gateFirst ? first + channels : first, gate = gateFirst ? first : first + channels;
        float t = XMath.Tanh(h[filter]), s = Sigmoid(h[gate]), d = dy[index];
        dh[filter] = d * s * (1 - t * t);
        dh[gate] = d * t * s * (1 - s);
    }

    // Far below zero the exponential is infinite and the quotient 0, as it should be.
    private static float Sigmoid(float x) => 1 / (1 + XMath.Exp(-x));

    /// <summary>Reads both halves of h and writes y; two activations and a product an element, counted as one FLOP each.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    public static Cost ForwardCost(long rows, int channels) => new(3 * rows * channels, 3 * sizeof(float) * rows * channels);

    /// <summary>Reads h and dy and writes dh, and y where it is asked for; the two activations and seven other operations an element.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="leavesY">Whether y is written.</param>
    public static Cost BackwardCost(long rows, int channels, bool leavesY) => new(11 * rows * channels, (leavesY ? 6 : 5) * sizeof(float) * rows * channels);
}
