// Gradient of the head's hidden layer, through eps = w relu(hidden) + b
//
//   dhidden[b, t, c] = w[c] deps[b, t] where hidden[b, t, c] > 0, else 0                hidden, dhidden: B x T x C; deps: B x T
//
// hidden may come before or after its ReLU, and dhidden may take its place.
//
// b1  one thread an element
// b2  eight rows of four channels a thread with 128-bit loads and stores: the weights stay in registers, the number of channels is a constant
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of the head's hidden layer: <c>dhidden[b, t, c] = w[c] deps[b, t]</c> where hidden is positive, else 0.</summary>
public static partial class HeadBackward
{
    private const int Threads = 256;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="hidden">rows x C, B T rows.</param>
    /// <param name="dEps">A value a row.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives rows x C.</param>
    public static void Reference<T>(ReadOnlySpan<float> hidden, ReadOnlySpan<float> dEps, ReadOnlySpan<float> weights, Span<T> dHidden) where T : IFloatingPointIeee754<T>
    {
        int channels = weights.Length;
        for (int index = 0; index < dHidden.Length; index++)
            dHidden[index] = hidden[index] > 0 ? T.CreateChecked(weights[index % channels]) * T.CreateChecked(dEps[index / channels]) : T.Zero;
    }

    /// <summary>Version 1. Threads: at least one an element of an item along x; items along z.</summary>
    /// <param name="hidden">C channels.</param>
    /// <param name="dEps">One channel.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives C channels; may be <paramref name="hidden"/>.</param>
    /// <param name="rows">T.</param>
    [Kernel("head_backward_v1", BlockX = Threads)]
    public static void BackwardV1(Rows<float> hidden, Rows<float> dEps, ArrayView<float> weights, Rows<float> dHidden, int rows)
    {
        int channels = hidden.Channels, row = Grid.GlobalIndex.X / channels, c = Grid.GlobalIndex.X % channels, item = Grid.IdxZ;
        if (row >= rows) return;
        dHidden.Row(item, row)[c] = hidden.Row(item, row)[c] > 0 ? weights[c] * dEps.Row(item, row)[0] : 0;
    }

    /// <summary>A product an element; hidden and dEps are read, dHidden is written.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    public static Cost BackwardCost(long rows, long channels) => new(rows * channels, sizeof(float) * (rows * (2 * channels + 1) + channels));
}
