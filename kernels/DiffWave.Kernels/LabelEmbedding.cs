// Class labels: each item's row of a table of trained rows
//
//   x[b, i] = E[label_b, i]                                       E: labels x I; x: B x I
//
// What a residual layer adds for the label is a linear layer of x, see VectorLinear.cs.
//
// v1  one thread an element
//
// Backward: dE[label_b, i] += dx[b, i], item after item, also where several items have the same label.
//
// b1  one thread a column goes over the items
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Rows of a table by label: <c>x[b, i] = E[label_b, i]</c>, E labels x I, x B x I.</summary>
public static class LabelEmbedding
{
    /// <summary>Adds to the gradient of the table, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="labels">One label an item.</param>
    /// <param name="dx">Gradient of x, B x I.</param>
    /// <param name="tableGradient">Added to: labels x I.</param>
    /// <param name="width">I.</param>
    public static void ReferenceBackward<T>(ReadOnlySpan<int> labels, ReadOnlySpan<float> dx, Span<T> tableGradient, int width) where T : IFloatingPointIeee754<T>
    {
        for (int index = 0; index < dx.Length; index++) tableGradient[labels[index / width] * width + index % width] += T.CreateChecked(dx[index]);
    }

    /// <summary>Version 1. Threads: at least one an element of x, along x.</summary>
    /// <param name="table">E, labels x I.</param>
    /// <param name="labels">One label an item, a whole number within the table.</param>
    /// <param name="x">Receives B x I.</param>
    /// <param name="width">I.</param>
    [Kernel("label_embedding_v1", BlockX = 256)]
    public static void ForwardV1(ArrayView<float> table, ArrayView<float> labels, ArrayView<float> x, int width)
    {
        int index = Grid.GlobalIndex.X;
        if (index < x.IntLength) x[index] = table[(int)labels[index / width] * width + index % width];
    }

    /// <summary>Version 1 of backward. Threads: at least one a column, along x.</summary>
    /// <param name="labels">One label an item, a whole number within the table.</param>
    /// <param name="dx">Gradient of x, B x I.</param>
    /// <param name="tableGradient">Added to: gradient of E, labels x I.</param>
    /// <param name="width">I.</param>
    [Kernel("label_embedding_backward_v1", BlockX = 128)]
    public static void BackwardV1(ArrayView<float> labels, ArrayView<float> dx, ArrayView<float> tableGradient, int width)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= width) return;
        for (int item = 0; item < labels.IntLength; item++) tableGradient[(int)labels[item] * width + i] += dx[item * width + i];
    }

    /// <summary>A row an item is read and written, and its label read.</summary>
    /// <param name="batch">B.</param>
    /// <param name="width">I.</param>
    public static Cost ForwardCost(long batch, int width) => new(0, sizeof(float) * batch * (2 * width + 1));

    /// <summary>A row an item is read, another read and written, and the label read.</summary>
    /// <param name="batch">B.</param>
    /// <param name="width">I.</param>
    public static Cost BackwardCost(long batch, int width) => new(batch * width, sizeof(float) * batch * (3 * width + 1));
}
