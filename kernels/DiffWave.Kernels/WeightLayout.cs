// Weights of a convolution in the order in which the faster kernels read them
//
//   packed[(k I + i) O + o] = w[o, i, k]          forward: the outputs of an input and tap side by side; w: O x I x K, K = 1 for a matrix
//   packed[(k O + o) I + i] = w[o, i, k]          backward, to the input: the inputs of an output and tap side by side
//
// v1  one thread an element of the packed weights
// b1  one thread an element of the packed weights
namespace DiffWave.Kernels;

/// <summary>Weights of a convolution, O x I x K, in the order of the faster kernels: <c>packed[(k I + i) O + o]</c> for forward, <c>packed[(k O + o) I + i]</c> for backward.</summary>
public static class WeightLayout
{
    /// <summary>The order for forward.</summary>
    /// <param name="weight">O x I x K.</param>
    /// <param name="packed">Receives K x I x O.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    public static void Reference<T>(ReadOnlySpan<float> weight, Span<T> packed, int outputs, int inputs) where T : System.Numerics.INumberBase<T>
    {
        int taps = weight.Length / (outputs * inputs);
        for (int index = 0; index < weight.Length; index++)
            packed[(index % taps * inputs + index / taps % inputs) * outputs + index / (taps * inputs)] = T.CreateChecked(weight[index]);
    }

    /// <summary>The order for backward.</summary>
    /// <param name="weight">O x I x K.</param>
    /// <param name="packed">Receives K x O x I.</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    public static void ReferenceBackward<T>(ReadOnlySpan<float> weight, Span<T> packed, int outputs, int inputs) where T : System.Numerics.INumberBase<T>
    {
        int taps = weight.Length / (outputs * inputs);
        for (int index = 0; index < weight.Length; index++)
            packed[(index % taps * outputs + index / (taps * inputs)) * inputs + index / taps % inputs] = T.CreateChecked(weight[index]);
    }

    /// <summary>The order for forward. Threads: at least one an element of a layer, along x, fewer than 2^31; z the layers.</summary>
    /// <param name="weight">The arena from the weights of layer 0 on: those of layer l, [O, I, K], begin <paramref name="layerStride"/> l further.</param>
    /// <param name="packed">Receives layers x [K, I, O].</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="taps">K.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    [Kernel("weight_layout_v1", BlockX = 256)]
    public static void ForwardV1(ArrayView<float> weight, ArrayView<float> packed, int outputs, int inputs, int taps, int layerStride)
    {
        int index = Grid.GlobalIndex.X, layer = Grid.IdxZ, values = outputs * inputs * taps;
        if (index >= values) return;
        int o = index % outputs, i = index / outputs % inputs, k = index / (outputs * inputs);
        packed[(long)layer * values + index] = weight[(long)layer * layerStride + (o * inputs + i) * taps + k];
    }

    /// <summary>The order for backward. Threads: at least one an element of a layer, along x, fewer than 2^31; z the layers.</summary>
    /// <param name="weight">The arena from the weights of layer 0 on: those of layer l, [O, I, K], begin <paramref name="layerStride"/> l further.</param>
    /// <param name="packed">Receives layers x [K, O, I].</param>
    /// <param name="outputs">O.</param>
    /// <param name="inputs">I.</param>
    /// <param name="taps">K.</param>
    /// <param name="layerStride">Floats from a layer's weights to those of the next; not used for one layer.</param>
    [Kernel("weight_layout_backward_v1", BlockX = 256)]
    public static void BackwardV1(ArrayView<float> weight, ArrayView<float> packed, int outputs, int inputs, int taps, int layerStride)
    {
        int index = Grid.GlobalIndex.X, layer = Grid.IdxZ, values = outputs * inputs * taps;
        if (index >= values) return;
        int i = index % inputs, o = index / inputs % outputs, k = index / (outputs * inputs);
        packed[(long)layer * values + index] = weight[(long)layer * layerStride + (o * inputs + i) * taps + k];
    }

    /// <summary>Every weight is read and written.</summary>
    /// <param name="weights">O I K.</param>
    public static Cost PackCost(long weights) => new(0, 2 * sizeof(float) * weights);
}
