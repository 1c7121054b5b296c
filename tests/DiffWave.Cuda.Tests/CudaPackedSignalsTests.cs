using DiffWave.Audio;
using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Signals of unequal length one behind the other: each has the bits it has alone.</summary>
public class CudaPackedSignalsTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    private static readonly IReadOnlyList<SamplerStep> TwoSteps = SamplerStep.Chain(new NoiseSchedule([1e-3, 0.5]), SamplerSetup.Training);

    // Some shorter than a dilation, one of a single sample, two of the same length.
    private static readonly long[] Lengths = [67, 1, 130, 5, 130, 16];

    private static SamplerRequest Request(ModelConfig config, INoise noise) => new()
    {
        Steps = TwoSteps, Noise = noise, Lengths = Lengths, Labels = config.HasLabel ? [5, 0, 3, 1, 2, 4] : [], Mels = config.HasMel ? [.. Lengths.Select((length, s) => Mel(config, length, s))] : null,
    };

    // One mel in two has frames that its signal does not reach.
    private static MemoryMel Mel(ModelConfig config, long length, int s)
    {
        int frames = (int)((length - 1) / config.Hop + 1) + s % 2 * 9;
        return new MemoryMel(Setup.Normals(config.Bands * frames, 70 + (uint)s), config.Bands, frames);
    }

    public static TheoryData<Precision> Precisions => [Precision.Fp32, Precision.Tf32, Precision.Fp16];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void EachHasTheBitsItHasAlone(Precision precision)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision }, races: true);
        using var smallLaunches = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision, LaunchValues = 3000 });
        ModelConfig[] configs = precision == Precision.Fp32
            ? [Setup.Config(8, Both, 8, [5, 4]), Setup.Config(5, Conditioner.Label), Setup.Config(12, Both, 33, [2], philsyn: true)]
            : [Setup.Config(32, Both, 8, [5, 4], layers: 5), Setup.Config(32, Both, 8, [2], philsyn: true, layers: 5)];
        foreach (ModelConfig config in configs)
        {
            NetworkCase c = new(config, 1, 1);
            device.Ops.Load(config, c.Parameters);
            smallLaunches.Ops.Load(config, c.Parameters);
            SamplerRequest request = Request(config, new SeededNoise(3));
            using var sampler = new Sampler(config, device.Ops);
            Assert.Equal(Lengths.Length, sampler.Together(request));
            float[][] together = SamplerSetup.Run(sampler, request);
            for (int item = 0; item < Lengths.Length; item++)
                Setup.AssertSameBits($"{precision}, {c}, item {item}", SamplerSetup.Run(device.Ops, c, SamplerSetup.Alone(request, item))[0], together[item]);
            Compare("replayed", SamplerSetup.Run(sampler, request));
            Compare("small launches", SamplerSetup.Run(smallLaunches.Ops, c, request));
            long budget = 1000;
            while (WholeChain.Shape.Of(config, device.Ops, request, 0, 3, budget) is null) budget += budget / 16;
            Assert.InRange(sampler.Together(request with { MemoryBudget = budget }), 1, Lengths.Length - 1);
            Compare("in groups", SamplerSetup.Run(sampler, request with { MemoryBudget = budget }));
            Compare("one by one along time", SamplerSetup.Run(sampler, request with { ChunkRows = 1 }));
            float[][] same = SamplerSetup.Run(sampler, request with { Noise = new SeededNoise(3, sameForAll: true) });
            for (int item = 0; item < Lengths.Length; item++)
                Setup.AssertSameBits($"{precision}, {c}, item {item} with the noise of item 0",
                    SamplerSetup.Run(device.Ops, c, SamplerSetup.Alone(request, item) with { Noise = request.Noise })[0], same[item]);

            void Compare(string what, float[][] actual)
            {
                for (int item = 0; item < Lengths.Length; item++) Setup.AssertSameBits($"{precision}, {c}, {what}, item {item}", together[item], actual[item]);
            }
        }
    }

    [Fact]
    public void AudioComesInTheOrderOfTheCallsWhileTheNextIsUnderWay()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Lazy = true });
        using var ops = new CudaOps(driver);
        NetworkCase c = new(Setup.Config(8, Both, 8, [5, 4]), 1, 1);
        ops.Load(c.Config, c.Parameters);
        SamplerRequest request = Request(c.Config, new SeededNoise(3));
        float[][] expected = SamplerSetup.Run(ops, c, request);
        using var sampler = new Sampler(c.Config, ops);
        var order = new List<(int Call, int Item)>();
        var fractions = new List<double>[3];
        void Begin(int call, SamplerRequest asked) => sampler.Begin(asked, (item, first, samples) =>
        {
            Assert.Equal(0, first);
            Setup.AssertSameBits($"call {call}, item {item}", expected[item], samples.ToArray());
            order.Add((call, item));
        }, new Progress((fractions[call] = []).Add));

        Begin(0, request);
        Assert.Empty(order);
        Begin(1, request with { ChunkRows = 133 }); // three groups: 67 + 1, 130, 5 | 130, 16 do not fit together
        (int, int)[] first = [.. Enumerable.Range(0, 6).Select(item => (0, item))];
        Assert.Equal(first, order.Take(6));
        Assert.InRange(order.Count, 7, 11); // the last group still waits
        Begin(2, request);
        (int, int)[] second = [.. Enumerable.Range(0, 6).Select(item => (1, item))];
        Assert.Equal([.. first, .. second], order);
        Assert.Throws<ArgumentException>(() => Begin(0, request with { Lengths = [0] })); // what waits stays
        Assert.Throws<CudaException>(() => Begin(0, request with { Mels = [.. request.Mels!.Take(5), new Unreadable(request.Mels![5])] }));
        sampler.Finish();
        Assert.Equal([.. first, .. second, .. Enumerable.Range(0, 6).Select(item => (2, item))], order);
        sampler.Finish();
        Assert.Equal(18, order.Count);
        Assert.All(fractions.Skip(1), told => Assert.Equal([.. told.SkipLast(1).Order(), 1], told));
        Begin(1, request); // never fetched
    }

    private sealed class Progress(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }

    private sealed class Unreadable(IMelSource mel) : IMelSource
    {
        public int Bands => mel.Bands;
        public int Frames => mel.Frames;
        public void Read(int firstFrame, int count, Span<float> frames) => throw new CudaException("read", "CUDA_ERROR_UNKNOWN", "made to fail", "");
        public void Dispose() { }
    }

    [Fact]
    public void WhatCannotBeHandedOnEndsAll()
    {
        using var device = new OpsUnderTest(checks: false);
        NetworkCase c = new(Setup.Config(8, Both, 8, [5, 4]), 1, 1);
        device.Ops.Load(c.Config, c.Parameters);
        SamplerRequest request = Request(c.Config, new SeededNoise(3));
        using var sampler = new Sampler(c.Config, device.Ops);
        sampler.Begin(request, (item, _, _) => { if (item == 2) throw new IOException("the disk is full"); });
        int written = 0;
        Assert.Throws<IOException>(() => sampler.Begin(request, (_, _, _) => written++));
        sampler.Finish();
        Assert.Equal(0, written);
        float[][] after = SamplerSetup.Run(sampler, request), fresh = SamplerSetup.Run(device.Ops, c, request);
        for (int item = 0; item < Lengths.Length; item++) Setup.AssertSameBits($"item {item} afterwards", fresh[item], after[item]);
    }

    [Fact]
    public void AMelThatDoesNotFitItsSignalIsRefused()
    {
        using var device = new OpsUnderTest();
        NetworkCase c = new(Setup.Config(8, Conditioner.Mel, 8, [5, 4]), 1, 1);
        device.Ops.Load(c.Config, c.Parameters);
        SamplerRequest request = Request(c.Config, new SeededNoise(3));
        Assert.Equal("141 samples need 8 mel frames, 7 given", Assert.Throws<ArgumentException>(() => SamplerSetup.Run(device.Ops, c, request with { Lengths = [67, 1, 141, 5, 130, 16] })).Message);
        Assert.Equal("the mel has 9 bands, expected 8", Assert.Throws<ArgumentException>(() => SamplerSetup.Run(device.Ops, c, request with { Mels = [.. request.Mels!.Skip(1), new MemoryMel(new float[9], 9, 1)] })).Message);
    }

    [Fact]
    public void ItemsInUnequalNumbersAreRefused()
    {
        using var device = new OpsUnderTest();
        NetworkCase c = new(Setup.Config(8, Both, 8, [5, 4]), 1, 1);
        device.Ops.Load(c.Config, c.Parameters);
        SamplerRequest request = Request(c.Config, new SeededNoise(3));
        string Refused(SamplerRequest wrong) => Assert.Throws<ArgumentException>(() => SamplerSetup.Run(device.Ops, c, wrong)).Message;
        Assert.Equal("lengths is empty, expected at least one item", Refused(request with { Lengths = [] }));
        Assert.Equal("length is 0, expected at least 1 sample", Refused(request with { Lengths = [67, 1, 0, 5, 130, 16] }));
        Assert.Equal("the model needs a mel an item: 6 expected, 5 given", Refused(request with { Mels = [.. request.Mels!.Skip(1)] }));
        Assert.Equal("the model needs a label an item: 6 expected, 2 given", Refused(request with { Labels = [1, 2] }));
    }
}
