using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class OneBandTests
{
    // A whole vector written over a row of one value must not reach into the rows that follow.
    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void UpsamplerKeepsToItsRows(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        var config = Setup.Config(8, Conditioner.Mel, bands: 1, factors: [3]);
        ops.Load(config, Setup.Weights(config));
        using var buffers = new Buffers(ops);
        IBuffer upsampled = buffers.Poisoned(1, 60, 1);
        ops.UpsampleMel(0, new TimeRange(0, 30, 30), new Window(buffers.Of(Setup.Mels(config, 1, 10).Rows, 1), 0), 0, 10, new Window(upsampled, 0));
        Assert.All(buffers.Read(upsampled, 0, 0, 30), value => Assert.True(float.IsFinite(value)));
        // The next rows belong to another thread's piece or to the next item of the batch.
        Assert.All(buffers.Read(upsampled, 0, 30, 30), value => Assert.True(float.IsNaN(value)));
    }
}
