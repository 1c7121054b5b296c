using DiffWave.Cuda;

namespace DiffWave.Kernels.Tests;

/// <summary>What the device decides by itself: how gradients are clipped, whether a step updates anything; and copies of rows that overlap.</summary>
public class OptimiserDecisionTests
{
    private const double NaN = double.NaN, Infinity = double.PositiveInfinity;

    [Theory]
    [InlineData(2, 1, 100, 0.5)]
    [InlineData(2, 3, 100, 1)]
    [InlineData(2, 2, 100, 1)]
    [InlineData(2, 0, 100, 1)]           // 0 clips nothing
    [InlineData(200, 1, 100, 0.005)]     // too large only before clipping
    [InlineData(100, 0, 100, 1)]
    [InlineData(100.5, 0, 100, NaN)]
    [InlineData(1e30, 200, 100, NaN)]
    [InlineData(NaN, 0, 100, NaN)]
    [InlineData(NaN, 1, 100, NaN)]
    [InlineData(Infinity, 0, 100, NaN)]
    [InlineData(Infinity, 1, 100, NaN)]
    [InlineData(Infinity, 0, Infinity, NaN)]
    [InlineData(0, 1, 100, 1)]
    [InlineData(3, 1, 100, 1.0 / 3)]     // divided in float64, rounded once
    public void TheScaleClipsOrForbids(double norm, double clipNorm, double largestNorm, double expected)
    {
        foreach (string version in Versions)
        {
            Assert.Equal((float)expected, Scale(version, norm, [1, 2, 3], clipNorm, largestNorm));
            Assert.Equal((float)expected, Scale(version, norm, [], clipNorm, largestNorm));
            Assert.Equal((float)expected / 1024, Scale(version, 1024 * norm, [1, 2, 3], clipNorm, largestNorm, lossScale: 1024));
        }
        Assert.Equal((float)expected, GradientNorm.ReferenceScale(norm, [1, 2, 3], new UpdateLimits(clipNorm, largestNorm, lossScale: 1)));
    }

    [Theory]
    [InlineData(NaN)]
    [InlineData(Infinity)]
    [InlineData(-Infinity)]
    public void OneLossThatIsNotFiniteForbids(double loss)
    {
        foreach (int at in (int[])[0, 1, 255, 256, 299])
        {
            double[] losses = new double[300];
            losses[at] = loss;
            Assert.All(Versions, version => Assert.Equal(float.NaN, Scale(version, 1, losses, 1, 100)));
        }
    }

    private static readonly string[] Versions = ["gradient_norm_v1", "gradient_norm_v2"];

    // One gradient other than zero is the norm. It lies in the second of three slices, and the launch comes twice: the count of blocks begins at 0 again.
    private static float Scale(string version, double norm, double[] losses, double clipNorm, double largestNorm, double lossScale = 1)
    {
        float[] gradients = new float[10_000], scale = [-1];
        double[] partial = new double[3], found = [-1];
        gradients[5000] = (float)norm;
        int[] finished = [0];
        for (int launch = 0; launch < 2; launch++)
        {
            OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3(3), null, gradients, losses, new[] { new UpdateLimits(clipNorm, largestNorm, lossScale) }, partial, finished, found, scale);
            Assert.Equal((float)norm / lossScale, found[0]);
            Assert.Equal(0, finished[0]);
        }
        return scale[0];
    }

    [Theory]
    [InlineData("adam_v1")]
    [InlineData("adam_v2")]
    public void AForbiddenStepLeavesEverythingAsItIs(string version)
    {
        float[] Values(float first) => [.. Enumerable.Range(0, 300).Select(i => first + i)];
        float[] weights = Values(1), gradients = Values(2), m = Values(3), v = Values(4), average = Values(5);
        void Step(float scale) => OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3(2), new Dictionary<string, object> { ["averaged"] = true }, weights, gradients, m, v, average, new[] { scale },
            new[] { new AdamFactors(1, 0.1, 0.9, 0.999, 1e-8, 0.5) });
        Step(float.NaN);
        Assert.Equal([Values(1), Values(2), Values(3), Values(4), Values(5)], (float[][])[weights, gradients, m, v, average]);
        Step(0); // no gradient is not no step
        Assert.All((float[][])[weights, m, v, average], values => Assert.DoesNotContain(values.Zip(Values(values == weights ? 1 : values == m ? 3 : values == v ? 4 : 5)), pair => pair.First == pair.Second));
    }

    [Theory]
    [InlineData(0, 0, 5, false)] // the same window: nothing to do
    [InlineData(0, 1, 5, true)]
    [InlineData(4, 0, 5, true)]
    [InlineData(5, 0, 5, false)]
    [InlineData(0, 5, 5, false)]
    public void WindowsOverlapWhereTheyShareARow(int source, int target, int rows, bool expected)
    {
        var values = new Device.ArrayView<float>(4096, 40);
        Assert.Equal(expected, CopyRows.Overlap(new Rows<float>(values, 10, source, 2), new Rows<float>(values, 10, target, 2), rows));
        Assert.False(CopyRows.Overlap(new Rows<float>(values, 10, source, 2), new Rows<float>(new Device.ArrayView<float>(8192, 40), 10, target, 2), rows));
    }

    [Theory]
    [InlineData("copy_rows_v1", 0, 3)]
    [InlineData("copy_rows_v1", 3, 0)]
    [InlineData("copy_rows_v2", 1, 2)]
    [InlineData("copy_rows_v2", 2, 1)]
    public void OverlappingWindowsGoThroughAScratchBuffer(string version, int source, int target)
    {
        const int items = 3, itemRows = 200, rows = 150, channels = 4;
        float[] values = [.. Enumerable.Range(0, items * itemRows * channels)], scratch = new float[items * rows * channels], expected = [.. values];
        for (int item = 0; item < items; item++) Array.Copy(values, (item * itemRows + source) * channels, expected, (item * itemRows + target) * channels, rows * channels);
        void Copy(RowsOf<float> from, RowsOf<float> to) => OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3((rows * channels + 255) / 256, items), null, from, to, rows);
        Copy(new RowsOf<float>(values, itemRows, source, channels), new RowsOf<float>(scratch, rows, 0, channels));
        Copy(new RowsOf<float>(scratch, rows, 0, channels), new RowsOf<float>(values, itemRows, target, channels));
        Assert.Equal(expected, values);
    }
}
