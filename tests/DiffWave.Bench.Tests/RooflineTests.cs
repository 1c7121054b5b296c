using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>The arithmetic of the roofline.</summary>
public class RooflineTests
{
    [Theory] // seconds at the compute roof, at the memory roof, and taken
    [InlineData(1, 0.1, 1.25, "compute", 0.8)]
    [InlineData(0.01, 0.1, 0.2, "memory", 0.5)]
    [InlineData(0, 1, 1.25, "memory", 0.8)]
    [InlineData(1, 0.1, 4, "compute", 0.25)]
    [InlineData(1, 0.1, 5, "neither", 0.2)]
    public void TheLowerRoofBounds(double compute, double memory, double seconds, string bound, double share)
    {
        RoofPlace place = RoofPlace.Of(compute, memory, seconds);
        Assert.Equal(bound, place.Bound);
        Assert.Equal(share, place.Share, 1e-12);
    }

    [Fact]
    public void ForwardOperationsAddUpToTheNetwork()
    {
        var config = ModelConfig.Preset("base");
        OpWork[] works = [.. OpWork.All(config).Where(work => !work.IsTraining)];
        long Of(string name) => works.First(work => work.Name.StartsWith(name, StringComparison.Ordinal)).Cost.Flops;
        long sum = config.Layers * (Of("residual_block") + Of("conditioner_projection")) + Of("mel_upsampler") + Of("input_projection") + Of("head");
        Assert.Equal(OpCost.Evaluation(config, works.First(work => work.Name.StartsWith("residual_block", StringComparison.Ordinal)).Rows).Flops, sum);
    }

    [Fact]
    public void MinimalFilteringExecutesFiveEighthsOfABlock()
    {
        var config = ModelConfig.Preset("base");
        Assert.Equal(0.625 * OpCost.ResidualBlock(config, 1000).Flops, CpuWork.ResidualBlock(config, 1000));
        Assert.Equal(0.8125 * 2 * OpCost.ResidualBlock(config, 1000).Flops, CpuWork.ResidualBlockBackward(config, 1000));
        Assert.True(CpuWork.Synthesis(config, 1000, 6) < 6.0 * OpCost.Evaluation(config, 1000).Flops * 0.625);
        Assert.True(CpuWork.TrainingStep(config, 1000, recompute: true) > CpuWork.TrainingStep(config, 1000, recompute: false));
    }

    [Fact]
    public void EveryOperationRunsAndLeavesFiniteNumbers()
    {
        var config = ModelConfig.Preset("tiny");
        using IOps ops = Cpu.CpuDevice.Create(1);
        Assert.All(OpWork.All(config), work =>
        {
            using OpBuffers buffers = work.Prepare(ops, config);
            work.Call(ops, config, buffers)();
            Assert.True(work.Cost.Bytes > 0);
            foreach (IBuffer? buffer in new[] { buffers.Y, buffers.Skips, buffers.Eps, buffers.DX, buffers.DPreGate })
            {
                if (buffer is null) continue;
                var values = new float[buffer.Rows * buffer.Channels];
                ops.Download(buffer, 0, 0, values);
                Assert.DoesNotContain(values, value => !float.IsFinite(value));
            }
        });
    }
}
