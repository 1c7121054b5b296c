using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The network with activations and products in less than float32, on the emulator.</summary>
public class CudaPrecisionTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    public static TheoryData<Precision> Precisions => [Precision.Fp16, Precision.Bf16, Precision.Tf32];

    // Every number of channels there are kernels for; a row, rows that are no whole tiles, more rows than a tile; both flavours of the graph.
    private static NetworkCase[] Cases =>
    [
        new(Setup.Config(32, Both, 8, [5, 4]), 150, 3), new(Setup.Config(32, philsyn: true), 1, 1), new(Setup.Config(64, Conditioner.Mel, 80, [16, 4], philsyn: true), 131, 2),
        new(Setup.Config(64, Conditioner.Label), 7, 2), new(Setup.Config(128, Conditioner.Mel, 24, [6], layers: 3), 37, 1), new(Setup.Config(256, layers: 2), 21, 1),
    ];

    /// <summary>
    /// The rule of the float32 tests, one precision further down: the error against float64 is at most twice that of a float64 evaluation which rounds wherever the precision must, plus a floor of four units
    /// in the last place of the largest value. That evaluation rounds at the same places but not alike: a sum on the other side of a tie rounds the other way.
    /// </summary>
    [Theory]
    [MemberData(nameof(Precisions))]
    public void AsAccurateAsItsRoundings(Precision precision)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision }, races: true);
        foreach (NetworkCase c in Cases)
        {
            device.Ops.Load(c.Config, c.Parameters);
            float[][] eps = Network.Evaluate(device.Ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
            float[][]? mels = c.Config.HasMel ? Setup.Mels(c.Config, c.Batch, c.Frames).Rows : null;
            for (int item = 0; item < c.Batch; item++)
            {
                int label = c.Labels.Length > 0 ? c.Labels[item] : 0;
                double[] audio = Reference<double>.Of(c.Audio[item]);
                double[]? mel = mels is null ? null : Reference<double>.Of(mels[item]);
                double[] truth = Reference<double>.Network(c.Config, c.Parameters, audio, c.Steps[item], mel, label);
                float[] rounded = [.. RoundedNetwork.Evaluate(precision, c.Config, c.Parameters, audio, c.Steps[item], mel, label).Select(value => (float)value)];
                double error = Setup.MaxError(truth, eps[item]), naive = Setup.MaxError(truth, rounded), floor = 4 * RoundedNetwork.Unit(precision) * truth.Max(Math.Abs);
                TestContext.Current.TestOutputHelper?.WriteLine($"{precision} {c}, item {item}: error {error:g3}, its roundings alone {naive:g3}, largest {truth.Max(Math.Abs):g3}");
                Assert.True(error <= 2 * naive + floor, $"{precision}, {c}, item {item}: error {error:g3}, allowed {2 * naive + floor:g3} (twice {naive:g3}, which its roundings come to, plus {floor:g3})");
            }
        }
    }

    private static readonly IReadOnlyList<SamplerStep> TwoSteps = SamplerStep.Chain(new NoiseSchedule([1e-3, 0.3]), SamplerSetup.Training);

    // One upsampler for all layers and one a layer: one ring and a ring a layer. Signals long enough for tiles of 256 rows, whose pieces are not: fp16 and bf16 at 128 channels, tf32 at 64.
    private static NetworkCase[] ChainCases =>
        [new(Setup.Config(32, Both, 8, [5, 4], layers: 5), 130, 2), new(Setup.Config(32, Both, 16, [2], philsyn: true, layers: 5), 90, 1), new(Setup.Config(64, layers: 3), 1, 1),
            new(Setup.Config(128, layers: 2, cycle: 2), 530, 1), new(Setup.Config(64, Conditioner.Mel, 8, [5, 4], layers: 2, cycle: 2), 530, 1)];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void AWholeSignalAPipelineAndPassesGiveTheSameBits(Precision precision)
    {
        using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision });
        using var smallLaunches = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision, LaunchValues = 2500 });
        foreach (NetworkCase c in ChainCases)
        {
            device.Ops.Load(c.Config, c.Parameters);
            smallLaunches.Ops.Load(c.Config, c.Parameters);
            SamplerRequest request = SamplerSetup.Request(c, TwoSteps);
            float[][] expected = SamplerSetup.Run(device.Ops, c, request);
            Assert.All(expected, audio => Assert.Contains(audio, sample => sample != 0 && Math.Abs(sample) != 1));
            int grain = Network.ChunkGrain(c.Config);
            if (c.Rows > 500)
            {
                Compare("chunks of less than two tiles", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = 256 }));
                continue;
            }
            Compare("small launches", SamplerSetup.Run(smallLaunches.Ops, c, request));
            Compare("a pipeline", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = grain }));
            Compare("a pipeline in other chunks", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = 2 * grain }));
            Compare("a step a pass", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = grain, MemoryBudget = 1 }));
            if (c.Config.HasMel) Compare("no memory to keep the mel", SamplerSetup.Run(device.Ops, c, request with { MemoryBudget = SmallestBudget(c, device.Ops) }));
            for (int item = 0; item < c.Batch && c.Batch > 1; item++)
                Setup.AssertSameBits($"{precision}, {c}, item {item} alone", SamplerSetup.Run(device.Ops, c, SamplerSetup.Alone(request, item))[0], expected[item]);

            void Compare(string what, float[][] actual)
            {
                for (int item = 0; item < c.Batch; item++) Setup.AssertSameBits($"{precision}, {c}, {what}", expected[item], actual[item]);
            }
        }
    }

    // The smallest budget at which a chain is held whole.
    private static long SmallestBudget(NetworkCase c, CudaOps ops)
    {
        long budget = 1000;
        while (WholeChain.Shape.Of(c.Config, ops, SamplerSetup.Request(c, TwoSteps), 0, c.Batch, budget) is null) budget += budget / 64;
        return budget;
    }

    [Fact]
    public void AReplayedRecordingIsAFreshRun()
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = Precision.Fp16 }, races: true);
        NetworkCase c = new(Setup.Config(32, Both, 8, [5, 4], layers: 3), 70, 2);
        using var kept = new Sampler(c.Config, device.Ops);
        for (ulong run = 1; run <= 4; run++)
        {
            Parameters weights = run == 4 ? Setup.Weights(c.Config, seed: 5) : c.Parameters; // other weights of the same model: the recording stays
            device.Ops.Load(c.Config, weights);
            SamplerRequest request = SamplerSetup.Request(c, TwoSteps) with { Noise = new SeededNoise(run), Labels = [(int)run % 6, 2] };
            float[][] replayed = SamplerSetup.Run(kept, request);
            using var fresh = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
            fresh.Ops.Load(c.Config, weights);
            float[][] expected = SamplerSetup.Run(fresh.Ops, c, request);
            for (int item = 0; item < 2; item++) Setup.AssertSameBits($"run {run}, item {item}", expected[item], replayed[item]);
        }
    }

    [Fact]
    public void SixteenBitsTakeHalfTheMemory()
    {
        NetworkCase c = new(Setup.Config(32, Conditioner.Mel, 8, [5, 4], layers: 3), 400, 2);
        long[] peaks = new long[2], budgets = new long[2];
        foreach (Precision precision in new[] { Precision.Tf32, Precision.Fp16 })
        {
            using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision });
            device.Ops.Load(c.Config, c.Parameters);
            long before = device.Ops.PeakMemoryBytes;
            SamplerSetup.Run(device.Ops, c, SamplerSetup.Request(c, TwoSteps));
            peaks[precision == Precision.Fp16 ? 1 : 0] = device.Ops.PeakMemoryBytes - before;
            budgets[precision == Precision.Fp16 ? 1 : 0] = SmallestBudget(c, device.Ops);
        }
        Assert.InRange((double)peaks[1] / peaks[0], 0.3, 0.65);
        Assert.InRange((double)budgets[1] / budgets[0], 0.3, 0.65);
    }

    [Theory]
    [InlineData(Precision.Fp16, 1.0 / (1 << 11))]
    [InlineData(Precision.Bf16, 1.0 / (1 << 8))]
    public void ActivationsAreRoundedOnTheirWayInAndMovedUnchanged(Precision precision, double halfUnit)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision });
        CudaOps ops = device.Ops;
        using IBuffer from = ops.AllocateActivation(2, 40, 6), to = ops.AllocateActivation(2, 50, 6), odd = ops.AllocateActivation(1, 3, 3);
        float[] values = Setup.Normals(40 * 6, 1), rounded = new float[values.Length], moved = new float[values.Length];
        ops.Upload(values, from, 1, 0);
        ops.Download(from, 1, 0, rounded);
        Assert.All(values.Zip(rounded), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, Math.Abs(pair.First) * halfUnit));
        Assert.Contains(values.Zip(rounded), pair => pair.First != pair.Second);
        ops.Copy(new Window(from, 0), new Window(to, 7), 40);
        ops.Copy(new Window(to, 7), new Window(to, 9), 40); // onto itself
        ops.Download(to, 1, 9, moved);
        Setup.AssertSameBits("moved rows", rounded, moved);
        ops.Clear(to);
        ops.Download(to, 1, 9, moved);
        Assert.All(moved, value => Assert.Equal(0, value));
        ops.Upload([1, 2, 3, 4, 5, 6, 7, 8, 9], odd, 0, 0);
        float[] last = new float[3];
        ops.Download(odd, 0, 2, last);
        Assert.Equal([7, 8, 9], last);
        Assert.Contains("even number of channels", Assert.Throws<ArgumentException>(() => ops.Copy(new Window(odd, 0), new Window(odd, 1), 1)).Message, StringComparison.Ordinal);
        using IBuffer floats = ops.Allocate(2, 40, 6);
        Assert.Contains("different types", Assert.Throws<ArgumentException>(() => ops.Copy(new Window(from, 0), new Window(floats, 0), 1)).Message, StringComparison.Ordinal);
    }

    // With little shared memory weights cannot stay in it; tensor cores that multiply all of this came with sm_80.
    [Fact]
    public void SmallerDevicesStreamTheWeightsOrRefuse()
    {
        NetworkCase c = new(Setup.Config(64, Conditioner.Mel, 80, [16, 4], layers: 3), 40, 1);
        float[][] audio = new float[3][];
        int[] devices = [90, 80, 86];
        for (int i = 0; i < devices.Length; i++)
        {
            using var driver = new EmulatedDriver(new EmulatorOptions { Sm = devices[i] });
            using var ops = new CudaOps(driver, new CudaOptions { Precision = Precision.Fp16 });
            ops.Load(c.Config, c.Parameters);
            audio[i] = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, [])[0];
        }
        double[] resident = Reference<double>.Of(audio[0]);
        foreach (float[] streamed in audio[1..]) Assert.InRange(Setup.MaxError(resident, streamed), 0, 4 * RoundedNetwork.Unit(Precision.Fp16) * resident.Max(Math.Abs));

        using var small = new EmulatedDriver(new EmulatorOptions { Sm = 86 });
        using var large = new CudaOps(small, new CudaOptions { Precision = Precision.Tf32 });
        ModelConfig wide = Setup.Config(256, layers: 1);
        Assert.Contains("bytes of shared memory, emulated sm_86 has 101376; compute in fp32", Assert.Throws<UnsupportedPrecisionException>(() => large.Load(wide, Setup.Weights(wide))).Message, StringComparison.Ordinal);
        using var old = new EmulatedDriver(new EmulatorOptions { Sm = 75 });
        Assert.Contains("tensor cores of sm_80 or later", Assert.Throws<UnsupportedPrecisionException>(() => new CudaOps(old, new CudaOptions { Precision = Precision.Fp16 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatAPrecisionCannotDoIsRefused()
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = Precision.Bf16 });
        CudaOps ops = device.Ops;
        Assert.EndsWith(", bf16)", ops.Device, StringComparison.Ordinal);
        Refused<UnsupportedPrecisionException>("bf16: the model has 16 channels, there are kernels for 32, 64, 128 and 256; compute in fp32", () => ops.Load(Setup.Config(16), Setup.Weights(Setup.Config(16))));
        Refused<UnsupportedPrecisionException>("5 bands, the kernels take multiples of 8", () => ops.Load(Setup.Config(32, Conditioner.Mel), Setup.Weights(Setup.Config(32, Conditioner.Mel))));

        ModelConfig config = Setup.Config(32);
        ops.Load(config, Setup.Weights(config));
        using IBuffer x = ops.AllocateActivation(1, 12, 32), y = ops.AllocateActivation(1, 12, 32), skips = ops.AllocateActivation(1, 10, 32), step = ops.Allocate(1, config.Layers, 32), floats = ops.Allocate(1, 12, 64);
        void Block(Window input, Window? mel = null, BlockTape? tape = null) =>
            ops.ResidualBlock(0, new TimeRange(0, 10, 10), input, step, null, mel, new Window(y, 1), new Window(skips, 0), tape);
        Refused<InvalidOperationException>("call FoldBiases", () => Block(new Window(x, 1)));
        ops.FoldBiases(step, null);
        Block(new Window(x, 1));
        Refused<UnsupportedPrecisionException>("keeps what its gate reads, not what comes out of it", () => Block(new Window(x, 1), tape: new BlockTape(new Window(x, 0), new Window(y, 0))));
        Refused<ArgumentException>("a buffer of Single, expected BFloat16", () => Block(new Window(x, 1), tape: new BlockTape(new Window(floats, 0))));
        Refused<ArgumentException>("has no mel", () => Block(new Window(x, 1), new Window(floats, 0)));
        Refused<ArgumentException>("a buffer of Single, expected BFloat16", () => Block(new Window(floats, 1)));
        Refused<InvalidOperationException>("project the mel themselves", () => ops.ConditionerProjection(0, new TimeRange(0, 10, 10), new Window(x, 0), new Window(y, 0)));
        Assert.Null(CudaOps.Problem(Precision.Fp32, Setup.Config(16)));
        foreach (string preset in new[] { "base", "large", "sc09", "small" }) Assert.Null(CudaOps.Problem(Precision.Fp16, ModelConfig.Preset(preset)));

        static void Refused<E>(string why, Action action) where E : Exception => Assert.Contains(why, Assert.Throws<E>(action).Message, StringComparison.Ordinal);
    }
}
