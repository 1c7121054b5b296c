using DiffWave.Audio;
using DiffWave.Cpu.Tests;
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
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision });
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
            Assert.InRange(sampler.Together(request with { MemoryBudget = budget }), 1, 3);
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
