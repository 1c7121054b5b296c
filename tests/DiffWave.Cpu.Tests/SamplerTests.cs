using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class SamplerTests
{
    private static NetworkCase[] Cases =>
    [
        new(Setup.Config(8, Conditioner.Mel, 5, [15, 20]), 777, 3), new(Setup.Config(16), 1, 1), new(Setup.Config(24, Conditioner.Label), 301, 3),
        new(Setup.Config(16, Conditioner.Mel | Conditioner.Label, 33, [2], philsyn: true), 600, 1), new(Setup.Config(8, Conditioner.Mel, 5, [16, 16]), 256, 1),
    ];

    [Fact]
    public void SameBitsForAnyChunkMemoryBudgetAndThreads()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        using var three = Setup.Device(SimdLevel.Portable, threads: 3);
        foreach (var c in Cases)
        {
            ops.Load(c.Config, c.Parameters);
            three.Load(c.Config, c.Parameters);
            float[][] expected = SamplerSetup.Run(ops, c, SamplerSetup.Request(c));
            Compare($"{c}, three threads", SamplerSetup.Run(three, c, SamplerSetup.Request(c)));
            int grain = Network.ChunkGrain(c.Config);
            foreach (int chunk in new[] { 1, 3 * grain, 5 * grain + 1, 100 * grain }) Compare($"{c}, chunks of {chunk}", SamplerSetup.Run(ops, c, SamplerSetup.Request(c) with { ChunkRows = chunk }));
            // From one step a pass, whose conditioner is not kept, to all six in one.
            foreach (long budget in new[] { 1L, 100_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000, 1L << 40 })
                foreach (int chunk in new[] { 2 * grain, 1000 }) Compare($"{c}, {budget} bytes, chunks of {chunk}", SamplerSetup.Run(ops, c, SamplerSetup.Request(c) with { MemoryBudget = budget, ChunkRows = chunk }));

            void Compare(string what, float[][] actual)
            {
                for (int item = 0; item < c.Batch; item++) Setup.AssertSameBits(what, expected[item], actual[item]);
            }
        }
    }

    [Fact]
    public void ABatchGivesTheBitsOfSeparateRuns()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        foreach (var c in Cases.Where(c => c.Batch > 1))
        {
            ops.Load(c.Config, c.Parameters);
            float[][] together = SamplerSetup.Run(ops, c, SamplerSetup.Request(c));
            for (int item = 0; item < c.Batch; item++)
                Setup.AssertSameBits($"{c}, item {item}", SamplerSetup.Run(ops, c, SamplerSetup.Alone(SamplerSetup.Request(c), item))[0], together[item]);
        }
    }

    [Fact]
    public void AsAccurateAsPlainFloat32()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        foreach (var c in Cases)
        {
            ops.Load(c.Config, c.Parameters);
            float[] audio = SamplerSetup.Run(ops, c, SamplerSetup.Request(c))[0];
            Setup.AssertAsGoodAsNaive($"audio, {c}", SamplerSetup.Chain<double>(c), SamplerSetup.Chain<float>(c), audio);
        }
    }

    [Fact]
    public void DdimWithFullNoiseIsDdpm()
    {
        // On the training schedule itself both are the same formula; coefficients agree to float32 rounding (the eps weight is a difference of nearly equal numbers).
        foreach (var schedule in new[] { SamplerSetup.Training, new NoiseSchedule(NoiseSchedule.LinearBetas(1e-4, 0.02, 200)) })
        {
            var ddpm = SamplerStep.Chain(schedule, schedule);
            var ddim = SamplerStep.Chain(schedule, schedule, SamplerKind.Ddim, eta: 1);
            Assert.Equal(schedule.Betas.Count, ddpm.Count);
            foreach (var (p, i) in ddpm.Zip(ddim))
            {
                Assert.Equal((p.Index, p.Step), (i.Index, i.Step));
                Assert.Equal(p.Scale, i.Scale, 1.2e-7f);
                Assert.Equal(p.EpsWeight, i.EpsWeight, 1e-8f);
                Assert.Equal(p.Sigma, i.Sigma, 1e-8f);
            }
        }
    }

    [Fact]
    public void DdimWithoutNoiseNeverAsksForAny()
    {
        var c = Cases[0];
        using var ops = Setup.Device(SimdLevel.Auto);
        ops.Load(c.Config, c.Parameters);
        var steps = SamplerStep.Chain(SamplerSetup.Fast, SamplerSetup.Training, SamplerKind.Ddim, eta: 0);
        Assert.All(steps, step => Assert.Equal(0, step.Sigma));
        float[][] audio = SamplerSetup.Run(ops, c, SamplerSetup.Request(c, steps) with { Noise = new InitialNoiseOnly(steps.Count) });
        Assert.All(audio, item => Assert.All(item, value => Assert.True(float.IsFinite(value))));
    }

    private sealed class InitialNoiseOnly(int initial) : INoise
    {
        public void Fill(int index, int item, long first, Span<float> normals)
        {
            Assert.Equal(initial, index);
            new SeededNoise(3).Fill(index, item, first, normals);
        }
    }

    [Fact]
    public void StopsWhenCancelledAndReportsProgress()
    {
        var c = Cases[0];
        using var ops = Setup.Device(SimdLevel.Auto);
        ops.Load(c.Config, c.Parameters);
        var fractions = new List<double>();
        var request = SamplerSetup.Request(c) with { MemoryBudget = 1, ChunkRows = 64 };
        using var sampler = new Sampler(c.Config, ops);
        sampler.Run(request, (_, _, _) => { }, new Progress(fractions.Add));
        Assert.Equal(fractions.Order(), fractions);
        Assert.Equal(1, fractions[^1], 1e-12);
        using var cancel = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => sampler.Run(request, (_, _, _) => { }, new Progress(_ => cancel.Cancel()), cancel.Token));
    }

    private sealed class Progress(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }
}
