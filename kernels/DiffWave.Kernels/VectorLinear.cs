// Linear layers of one row an item: the step embedding's two, and in every residual layer that of the step and that of the label
//
//   y[b, l, o] = f(sum over i of W_l[o, i] x[b, i] + c_l[o])      x: B x I; W_l: O x I; c_l: O; y: B x L x O; f(u) = u, or silu(u) = u / (1 + e^-u)
//
// Weights and biases stand where a model's arena has them: those of layer l as many floats further on as l layers hold.
//
// v1  a warp an output: its lanes sum a stride of the row, shuffles join them
//
// Backward, with d the gradient of sum and bias: dW_l[o, i] += sum over b of d[b, l, o] x[b, i], dc_l[o] += sum over b of d[b, l, o], item after item, beginning with the
// gradient that is there: how a batch is cut into calls changes no bit. dx[b, i] = sum over l and o of W_l[o, i] d[b, l, o]; where x = silu(u), times silu'(u).
//
// b1  weights: a block a row of W, one thread a weight goes over the items
// b1  input: a block 32 inputs of an item, eight warps share the rows of all W and meet in shared memory
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Linear layers of one row an item: <c>y[b, l, o] = f(sum over i of W_l[o, i] x[b, i] + c_l[o])</c>, x B x I, y B x L x O, f the identity or silu.</summary>
public static partial class VectorLinear
{
    private const int Warps = 8, RowThreads = 128;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">B x I.</param>
    /// <param name="weight">W of layer 0, O x I, and those of the other layers at their distance.</param>
    /// <param name="bias">c of layer 0, O, and those of the other layers at their distance.</param>
    /// <param name="y">Receives B x L x O.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next.</param>
    /// <param name="silu">Whether f is silu.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<T> y, int layers, int inputs, int outputs, int layerStride, bool silu)
        where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < y.Length; index++)
        {
            int item = index / (layers * outputs), layer = index / outputs % layers, o = index % outputs;
            T sum = T.CreateChecked(bias[layer * layerStride + o]);
            for (int i = 0; i < inputs; i++) sum += T.CreateChecked(weight[layer * layerStride + o * inputs + i]) * T.CreateChecked(x[item * inputs + i]);
            y[index] = silu ? sum / (T.One + T.Exp(-sum)) : sum;
        }
    }

    /// <summary>Adds the gradients of the weights and biases, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="d">Gradient of sum and bias, B x L x O.</param>
    /// <param name="x">B x I, as given to forward.</param>
    /// <param name="weightGradient">As the weights of <see cref="Reference"/>.</param>
    /// <param name="biasGradient">As the biases of <see cref="Reference"/>.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next.</param>
    public static void ReferenceBackwardWeights<T>(ReadOnlySpan<float> d, ReadOnlySpan<float> x, Span<T> weightGradient, Span<T> biasGradient, int layers, int inputs, int outputs, int layerStride)
        where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < d.Length; index++)
        {
            int item = index / (layers * outputs), layer = index / outputs % layers, o = index % outputs;
            T gradient = T.CreateChecked(d[index]);
            biasGradient[layer * layerStride + o] += gradient;
            for (int i = 0; i < inputs; i++) weightGradient[layer * layerStride + o * inputs + i] += gradient * T.CreateChecked(x[item * inputs + i]);
        }
    }

    /// <summary>The gradient of the input, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="d">Gradient of sum and bias, B x L x O.</param>
    /// <param name="weight">As given to forward.</param>
    /// <param name="u">B x I where x = silu(u); empty where the gradient of x itself is meant.</param>
    /// <param name="dx">Receives the gradient of x, or of u, B x I.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next.</param>
    public static void ReferenceBackwardInput<T>(ReadOnlySpan<float> d, ReadOnlySpan<float> weight, ReadOnlySpan<float> u, Span<T> dx, int layers, int inputs, int outputs, int layerStride)
        where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < dx.Length; index++)
        {
            int item = index / inputs, i = index % inputs;
            T sum = T.Zero;
            for (int row = 0; row < layers * outputs; row++)
                sum += T.CreateChecked(weight[row / outputs * layerStride + row % outputs * inputs + i]) * T.CreateChecked(d[item * layers * outputs + row]);
            if (!u.IsEmpty)
            {
                T pre = T.CreateChecked(u[index]), s = T.One / (T.One + T.Exp(-pre));
                sum *= s * (T.One + pre * (T.One - s));
            }
            dx[index] = sum;
        }
    }

    /// <summary>Version 1. Blocks: x over the L O outputs, 8 a block; z the items.</summary>
    /// <param name="x">B x I.</param>
    /// <param name="weight">The arena from W of layer 0 on: W of layer l, O x I, begins <paramref name="layerStride"/> l further.</param>
    /// <param name="bias">The arena from c of layer 0 on, in the same way.</param>
    /// <param name="y">Receives B x L x O.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    /// <param name="silu">Whether f is silu.</param>
    [Kernel("vector_linear_v1", BlockX = Warps * 32)]
    public static void ForwardV1(ArrayView<float> x, ArrayView<float> weight, ArrayView<float> bias, ArrayView<float> y, int layers, int inputs, int outputs, int layerStride, [Const] bool silu)
    {
        int item = Grid.IdxZ, output = Grid.IdxX * Warps + Warp.WarpIdx;
        if (output >= layers * outputs) return;
        int layer = output / outputs, o = output % outputs;
        ArrayView<float> row = weight.SubView(layer * layerStride + o * inputs, inputs), values = x.SubView(item * inputs, inputs);
        float sum = 0;
        for (int i = Warp.LaneIdx; i < inputs; i += Warp.WarpSize) sum += row[i] * values[i];
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2) sum += Warp.ShuffleDown(sum, distance);
        if (!Warp.IsFirstLane) return;
        float u = sum + bias[layer * layerStride + o];
        y[item * layers * outputs + output] = silu ? u * Sigmoid(u) : u;
    }

    /// <summary>Version 1 of the gradients of weights and biases. Blocks: one a row of the L O.</summary>
    /// <param name="d">Gradient of sum and bias, B x L x O.</param>
    /// <param name="x">B x I, as given to forward.</param>
    /// <param name="weightGradient">Added to: the arena of gradients from W of layer 0 on.</param>
    /// <param name="biasGradient">Added to: the arena of gradients from c of layer 0 on.</param>
    /// <param name="batch">B.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    [Kernel("vector_linear_backward_weights_v1", BlockX = RowThreads)]
    public static void BackwardWeightsV1(ArrayView<float> d, ArrayView<float> x, ArrayView<float> weightGradient, ArrayView<float> biasGradient, int batch, int inputs, int outputs, int layerStride)
    {
        int output = Grid.IdxX, rows = Grid.DimX, layer = output / outputs, o = output % outputs;
        ArrayView<float> row = weightGradient.SubView(layer * layerStride + o * inputs, inputs);
        for (int i = Group.IdxX; i < inputs; i += RowThreads)
        {
            float gradient = row[i];
            for (int item = 0; item < batch; item++) gradient += d[item * rows + output] * x[item * inputs + i];
            row[i] = gradient;
        }
        if (Group.IdxX != 0) return;
        float sum = biasGradient[layer * layerStride + o];
        for (int item = 0; item < batch; item++) sum += d[item * rows + output];
        biasGradient[layer * layerStride + o] = sum;
    }

    /// <summary>Version 1 of the gradient of the input. Blocks: x over the inputs, 32 a block; z the items.</summary>
    /// <param name="d">Gradient of sum and bias, B x L x O.</param>
    /// <param name="weight">As given to forward.</param>
    /// <param name="u">B x I where x = silu(u); not read without <paramref name="silu"/>.</param>
    /// <param name="dx">Receives the gradient of u, or of x without <paramref name="silu"/>, B x I. May be <paramref name="u"/>.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    /// <param name="silu">Whether x = silu(u) and the gradient of u is asked for.</param>
    [Kernel("vector_linear_backward_input_v1", BlockX = 32, BlockY = Warps)]
    public static void BackwardInputV1(ArrayView<float> d, ArrayView<float> weight, ArrayView<float> u, ArrayView<float> dx, int layers, int inputs, int outputs, int layerStride, [Const] bool silu)
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(Warps * 32);
        int item = Grid.IdxZ, i = Grid.IdxX * 32 + Group.IdxX;
        float sum = 0;
        for (int layer = 0; layer < layers && i < inputs; layer++)
            for (int o = Group.IdxY; o < outputs; o += Warps)
                sum += weight[layer * layerStride + o * inputs + i] * d[(item * layers + layer) * outputs + o];
        sums[Group.LinearIndex] = sum;
        Group.Barrier();
        if (Group.IdxY != 0 || i >= inputs) return;
        for (int warp = 1; warp < Warps; warp++) sum += sums[warp * 32 + Group.IdxX];
        if (silu)
        {
            float pre = u[item * inputs + i], s = Sigmoid(pre);
            sum *= s * (1 + pre * (1 - s));
        }
        dx[item * inputs + i] = sum;
    }

    // Far below zero the exponential is infinite and the quotient 0, as it should be.
    private static float Sigmoid(float u) => 1 / (1 + XMath.Exp(-u));

    /// <summary>Weights and biases are read once, x is read, y is written.</summary>
    /// <param name="batch">B.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    public static Cost ForwardCost(long batch, int layers, int inputs, int outputs) =>
        new(2 * batch * layers * outputs * inputs, sizeof(float) * ((long)layers * outputs * (inputs + 1) + batch * (inputs + (long)layers * outputs)));

    /// <summary>d and x are read, the gradients of weights and biases are read and written.</summary>
    /// <param name="batch">B.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    public static Cost BackwardWeightsCost(long batch, int layers, int inputs, int outputs) =>
        new(2 * batch * layers * outputs * inputs, sizeof(float) * (2L * layers * outputs * (inputs + 1) + batch * (inputs + (long)layers * outputs)));

    /// <summary>d and the weights are read, dx is written.</summary>
    /// <param name="batch">B.</param>
    /// <param name="layers">L.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    public static Cost BackwardInputCost(long batch, int layers, int inputs, int outputs) =>
        new(2 * batch * layers * outputs * inputs, sizeof(float) * ((long)layers * outputs * inputs + batch * (inputs + (long)layers * outputs)));
}
