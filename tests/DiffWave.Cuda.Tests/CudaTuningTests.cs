using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Tuning decides about time alone: every cut gives the same bits, and the fastest is taken.</summary>
public sealed class CudaTuningTests : IDisposable
{
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"tuning-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    // bf16 has the cuts of fp16.
    public static TheoryData<Precision, int> Models => new MatrixTheoryData<Precision, int>([Precision.Tf32, Precision.Fp16], [32, 64, 128, 256]);

    [Theory]
    [MemberData(nameof(Models))]
    public void EveryCutGivesTheSameBits(Precision precision, int channels)
    {
        var c = new NetworkCase(Setup.Config(channels, Conditioner.Mel, 8, [5, 4], layers: 3, cycle: 3), 140, 1);
        var options = new CudaOptions { Precision = precision };
        using var usual = new OpsUnderTest(checks: false, options: options);
        float[][] expected = Evaluate(usual.Ops, c);
        int layers = c.Config.Layers, tried = 0;
        IReadOnlyList<BlockCut>[] cuts = [.. Enumerable.Range(0, layers).Select(layer => usual.Ops.Cuts(layer, c.Batch, c.Rows))];
        Assert.All(cuts, all => Assert.Equal(all.Count, all.Distinct().Count()));
        for (int i = 1; i < cuts.Max(all => all.Count); i++)
        {
            using var driver = new Emulator.EmulatedDriver();
            TileTuning tuning = TileTuning.Open(driver, folder);
            tuning.Keep(Enumerable.Range(0, layers).Where(layer => i < cuts[layer].Count).Select(layer => new TunedBlock(Shape(precision, c, layer), cuts[layer][i], 1, cuts[layer][0], 2)));
            using var tuned = new OpsUnderTest(checks: false, options: options with { Tuning = tuning });
            Assert.Equal(expected, Evaluate(tuned.Ops, c));
            tried++;
        }
        Assert.True(tried >= 2, $"{tried} cuts");
    }

    private static BlockShape Shape(Precision precision, NetworkCase c, int layer) => new(precision, c.Config.Channels, c.Config.Bands, c.Config.Dilation(layer), BlockShape.Rounded((long)c.Batch * c.Rows));

    private static float[][] Evaluate(CudaOps ops, NetworkCase c)
    {
        ops.Load(c.Config, c.Parameters);
        int grain = Network.ChunkGrain(c.Config);
        return Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels, (c.Rows + c.Config.ContextRows + grain - 1) / grain * grain);
    }

    [Fact]
    public void TheFastestCutIsFoundAndTaken()
    {
        var c = new NetworkCase(Setup.Config(64, Conditioner.Mel, 8, [5, 4], layers: 4, cycle: 4), 300, 1);
        using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
        device.Ops.Load(c.Config, c.Parameters);
        int asked = 0;
        // Of dilation 8 there are cuts with 1, 2, 4 and 8 neighbours; the clock likes each layer's third measurement.
        IReadOnlyList<TunedBlock> found = device.Ops.Tune(1, c.Rows, rounds: 1, clock: action => { action(); return asked++ switch { 0 => 10, _ when Third(asked) => 5, _ => 10 }; });
        Assert.Equal([1, 2, 4, 8], found.Select(block => block.Shape.Dilation));
        Assert.All(found, block => Assert.Equal((64, 8, 256L), (block.Shape.Channels, block.Shape.Bands, block.Shape.Rows)));
        Assert.Equal(found[0].Usual, found[0].Cut); // one cut only
        Assert.Equal(device.Ops.Cuts(3, 1, c.Rows)[2], found[3].Cut);
        Assert.Equal((0.25, 0.5), (found[3].Microseconds, found[3].UsualMicroseconds));

        // 1 cut, 2 cuts, 3 cuts, 4 cuts: the third measurement of the layers that have three.
        bool Third(int number) => number is 1 + 2 + 3 or 1 + 2 + 3 + 3;
    }

    [Fact]
    public void ADifferenceWithinTheNoiseChangesNothing()
    {
        var c = new NetworkCase(Setup.Config(64, layers: 4, cycle: 4), 300, 1);
        using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
        device.Ops.Load(c.Config, c.Parameters);
        double time = 1000;
        Assert.All(device.Ops.Tune(1, c.Rows, rounds: 1, clock: _ => time -= 1), block => Assert.Equal(block.Usual, block.Cut));
    }

    [Fact]
    public void TheEmulatorHasNoClockAndFp32NoCuts()
    {
        var c = new NetworkCase(Setup.Config(32, layers: 2, cycle: 2), 20, 1);
        using var fp32 = new OpsUnderTest(checks: false);
        fp32.Ops.Load(c.Config, c.Parameters);
        Assert.Contains("fp32", Assert.Throws<UnsupportedPrecisionException>(() => fp32.Ops.Tune(1, 20)).Message);
        if (fp32.Ops.Device.StartsWith("cuda", StringComparison.Ordinal)) return; // a GPU has one
        using var fp16 = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
        fp16.Ops.Load(c.Config, c.Parameters);
        Assert.Contains("has no clock", Assert.Throws<NotSupportedException>(() => fp16.Ops.Tune(1, 20)).Message);
    }

    [Fact]
    public void CutsThatThereAreNotAreIgnored()
    {
        var c = new NetworkCase(Setup.Config(64, layers: 2, cycle: 2), 100, 1);
        using var driver = new Emulator.EmulatedDriver();
        TileTuning tuning = TileTuning.Open(driver, folder);
        tuning.Keep(Enumerable.Range(0, 2).Select(layer => new TunedBlock(Shape(Precision.Fp16, c, layer), layer == 0 ? new BlockCut("Resident", 2) : new BlockCut("Gone", 1), 1, new BlockCut("Resident", 1), 2)));
        var options = new CudaOptions { Precision = Precision.Fp16 };
        using OpsUnderTest usual = new(checks: false, options: options), tuned = new(checks: false, options: options with { Tuning = tuning });
        Assert.Equal(Evaluate(usual.Ops, c), Evaluate(tuned.Ops, c)); // two neighbours do not divide a dilation of 1
    }
}
