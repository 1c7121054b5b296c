using System.Runtime.InteropServices;
using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

/// <summary>Gradients that are added item after item have the same bits however a batch is cut into launches.</summary>
public class BatchCutTests
{
    [Theory, InlineData(1), InlineData(2), InlineData(4)]
    public void OfLinearLayers(int cut)
    {
        const int batch = 5, layers = 2, inputs = 3, outputs = 4, stride = outputs * (inputs + 1);
        float[] d = Values(1, batch * layers * outputs), x = Values(2, batch * inputs), whole = Values(3, layers * stride), parts = Values(3, layers * stride);
        void Add(float[] gradients, int first, int end) => SequentialLaunch.Run(new(layers * outputs, 1, 1), new(128, 1, 1), () => VectorLinear.BackwardWeightsV1(View(d, first * layers * outputs, end * layers * outputs),
            View(x, first * inputs, end * inputs), View(gradients, 0, gradients.Length), View(gradients, outputs * inputs, gradients.Length), end - first, inputs, outputs, stride));
        Add(whole, 0, batch);
        Add(parts, 0, cut);
        Add(parts, cut, batch);
        Assert.NotEqual(Values(3, layers * stride), whole);
        Assert.Equal(whole, parts);
    }

    [Theory, InlineData(1), InlineData(3)]
    public void OfLabels(int cut)
    {
        const int width = 7;
        float[] labels = Pinned<float>([1, 0, 1, 1]), dx = Values(1, labels.Length * width), whole = Values(2, 2 * width), parts = Values(2, 2 * width);
        void Add(float[] gradients, int first, int end) => SequentialLaunch.Run(new(1, 1, 1), new(128, 1, 1),
            () => LabelEmbedding.BackwardV1(View(labels, first, end), View(dx, first * width, end * width), View(gradients, 0, gradients.Length), width));
        Add(whole, 0, labels.Length);
        Add(parts, 0, cut);
        Add(parts, cut, labels.Length);
        Assert.NotEqual(Values(2, 2 * width), whole);
        Assert.Equal(whole, parts);
    }

    private static float[] Values(int seed, int length)
    {
        var random = new Random(seed);
        return Pinned([.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)]);
    }

    private static T[] Pinned<T>(T[] values) where T : unmanaged
    {
        T[] pinned = GC.AllocateUninitializedArray<T>(values.Length, pinned: true);
        values.CopyTo(pinned, 0);
        return pinned;
    }

    // Elements from first to before end of a pinned array.
    private static ArrayView<T> View<T>(T[] values, int first, int end) where T : unmanaged => new(Marshal.UnsafeAddrOfPinnedArrayElement(values, first), end - first);
}
