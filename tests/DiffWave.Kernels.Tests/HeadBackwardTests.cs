using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>The head's backward in one launch: what its reference says, what it moves, and that its bits do not depend on how it is launched.</summary>
public sealed class HeadBackwardTests : IDisposable
{
    private readonly TrialsOnEmulator trials = new();

    [Theory]
    [InlineData(1, 700, 3)]
    [InlineData(3, 5, 6)]
    public void TheReferenceIsThatOfTheParts(int batch, int rows, int channels)
    {
        const float scale = 0.25f;
        var random = new Random(1);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => MathF.Round(16 * random.NextSingle() - 8) / 8)]; // exact sums
        float[] skips = Values(batch * rows * channels), skipWeight = Values(channels * channels), skipBias = Values(channels), weight = Values(channels), dEps = Values(batch * rows);
        float[] hidden = new float[skips.Length], dHidden = new float[skips.Length];
        PointwiseConv.Reference(skips, skipWeight, skipBias, hidden.AsSpan(), scale, true);
        HeadBackward.Reference(hidden, dEps, weight, dHidden.AsSpan());
        double[] Sums(float[] x, float[] weights, int columns)
        {
            double[] sums = new double[batch * SliceSum.Slices(rows) * columns];
            ColumnSum.Reference(x, weights, sums.AsSpan(), rows, columns, 1);
            return sums;
        }
        double[] forR = Sums(dHidden, [], channels), forW = Sums(hidden, dEps, channels), forB = Sums(dEps, [], 1), whole = new double[skips.Length], partial = new double[forB.Length * (2 * channels + 1)];
        HeadBackward.ReferenceWhole(skips, skipWeight, skipBias, weight, dEps, scale, rows, whole.AsSpan(), partial.AsSpan());
        Assert.Equal(dHidden.Select(value => (double)value), whole);
        Assert.Equal(Enumerable.Range(0, forB.Length).SelectMany(slice => (double[])[.. forR.AsSpan(slice * channels, channels), .. forW.AsSpan(slice * channels, channels), forB[slice]]), partial);
        Assert.Contains(hidden, value => value == 0);
        Assert.Contains(hidden, value => value > 0);
    }

    [Theory]
    [InlineData("head_backward_v3", "batch=2,rows=1300,channels=64")]
    [InlineData("head_backward_v3_bf16", "batch=3,rows=514,channels=32")]
    public void AnyNumberOfBlocksGivesTheSameBits(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        trials.AssertSameBitsForAnyNumberOfBlocks(version, version.Shapes[0].With(shape), 2, 5, 9);
    }

    [Theory]
    [InlineData("head_backward_v3", 64)]
    [InlineData("head_backward_v3", 256)]
    [InlineData("head_backward_v3_bf16", 128)]
    public void ActivationsMoveInWholeSectorsAndOnceAndTheProductIsOnTensorCores(string name, long channels)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        LaunchReport report = OnEmulator.Run(version, version.Shapes[0].With($"channels={channels}")).Reports[0];
        AccessSite[] activations = [.. report.Global.Where(site => !site.PtxText.Contains(".f32", StringComparison.Ordinal))];
        Assert.All(activations, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        Assert.Equal(2 * 512 * channels * 2 / 32, activations.Sum(site => site.Moved));
        Assert.All(report.Shared, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        Assert.Equal(2 * 512 * channels * channels, report.TensorFlops);
    }

    public void Dispose() => trials.Dispose();
}
