// Second stage of every sum over the rows of a batch: the sums of fixed slices of rows, added in order
//
//   target[g, o, i, k] (+)= (p[g, 0, o, k, i] + p[g, 1, o, k, i]) + ..    p: groups x slices x values, values = outputs x taps x inputs; target: groups x values
//
// A slice is 512 rows of one item, the last one of an item what is left, whatever the device and the batch. A gradient of weights is one group whose slices are those of all items in
// order, added to what the target holds: a batch cut into several calls gives the same bits. A gradient of something an item has for itself is a group an item. Inside a slice's
// values inputs lie side by side, because that is how the first stage makes them; the target is in PyTorch's order [outputs, inputs, taps].
//
// v1  one thread a value
// v2  sixteen slices are on their way before the first is added: the same additions, less waiting
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Adds the sums of slices in order: <c>target[g, v] (+)= p[g, 0, v] + p[g, 1, v] + ..</c>, and puts a convolution's values into PyTorch's order.</summary>
public static partial class SliceSum
{
    /// <summary>Rows of a slice; a slice never reaches over the end of an item.</summary>
    public const int SliceRows = 512;

    private const int Threads = 256;

    /// <summary>Slices of an item.</summary>
    /// <param name="rows">T.</param>
    public static int Slices(int rows) => (rows + SliceRows - 1) / SliceRows;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="partial">groups x slices x values.</param>
    /// <param name="target">In and out: groups x values; read when accumulating only.</param>
    /// <param name="slices">Slices of a group.</param>
    /// <param name="values">Values of a slice.</param>
    /// <param name="inputs">Inputs of the convolution.</param>
    /// <param name="taps">Its taps; 1 keeps the order.</param>
    /// <param name="accumulate">Whether to add to the target.</param>
    public static void Reference<T>(ReadOnlySpan<float> partial, Span<T> target, int slices, int values, int inputs, int taps, bool accumulate) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < target.Length; index++)
        {
            int group = index / values, value = index % values, at = group * values + Canonical(value, inputs, taps);
            T sum = accumulate ? target[at] : T.Zero;
            for (int slice = 0; slice < slices; slice++) sum += T.CreateChecked(partial[(group * slices + slice) * values + value]);
            target[at] = sum;
        }
    }

    /// <summary>Version 1. Threads: at least one a value along x; groups along z.</summary>
    /// <param name="partial">groups x slices x values.</param>
    /// <param name="target">A row of values for each group: <c>target.Row(group, 0)</c>; its channels are the number of values.</param>
    /// <param name="slices">Slices of a group.</param>
    /// <param name="inputs">Inputs of the convolution; any number at least 1 with one tap.</param>
    /// <param name="taps">Its taps; 1 keeps the order.</param>
    /// <param name="accumulate">Whether to add to what the target holds.</param>
    [Kernel("slice_sum_v1", BlockX = Threads)]
    public static void SumV1(ArrayView<float> partial, Rows<float> target, int slices, int inputs, int taps, [Const] bool accumulate)
    {
        int value = Grid.GlobalIndex.X, group = Grid.IdxZ, values = target.Channels, at = Canonical(value, inputs, taps);
        if (value >= values) return;
        ArrayView<float> result = target.Row(group, 0);
        float sum = accumulate ? result[at] : 0;
        for (int slice = 0; slice < slices; slice++) sum += partial[((long)group * slices + slice) * values + value];
        result[at] = sum;
    }

    // From [outputs, taps, inputs] to [outputs, inputs, taps].
    private static int Canonical(int value, int inputs, int taps) => (value / (taps * inputs) * inputs + value % inputs) * taps + value / inputs % taps;

    /// <summary>An addition a value of every slice; the partial sums are read, the target is read and written.</summary>
    /// <param name="groups">Groups.</param>
    /// <param name="slices">Slices of a group.</param>
    /// <param name="values">Values of a slice.</param>
    public static Cost SumCost(long groups, long slices, long values) => new(groups * slices * values, sizeof(float) * groups * values * (slices + 2));
}
