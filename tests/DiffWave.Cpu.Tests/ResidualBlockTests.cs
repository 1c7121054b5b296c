using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class ResidualBlockTests
{
    // channels, layer (dilation 1 2 4 8 1 2 4), T, batch, philsyn's switches, with conditioner and label
    private static readonly (int Channels, int Layer, int Rows, int Batch, bool Philsyn, bool Conditioned)[] Cases =
    [
        (2, 3, 777, 1, false, true), (2, 0, 1, 3, true, false), (8, 3, 5, 3, true, true), (8, 1, 777, 1, false, false), (16, 3, 1, 1, false, true), (16, 2, 33, 3, true, true),
        (24, 5, 131, 1, false, true), (33, 2, 130, 3, false, true), (33, 3, 7, 1, true, false), (64, 1, 67, 1, true, true), (64, 3, 200, 1, false, true), (128, 3, 35, 1, false, true), (16, 6, 99, 3, false, true),
    ];

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void AsAccurateAsPlainFloat32(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var c in Cases) OperationChecks.ResidualBlock(ops, c.Channels, c.Layer, c.Rows, c.Batch, c.Philsyn, c.Conditioned);
    }

    [Fact]
    public void RangesStartingAtMultiplesOfFourDilationsGiveTheSameBits()
    {
        const int Channels = 24, Rows = 333, Layer = 2;
        using var ops = Setup.Device(SimdLevel.Auto);
        var config = Setup.Config(Channels);
        ops.Load(config, Setup.Weights(config));
        int d = config.Dilation(Layer), grain = 4 * d;
        using var buffers = new Buffers(ops);
        IBuffer x = buffers.Of([Setup.Normals(Rows * Channels, 0)], Channels, 2 * grain, 2 * grain), step = buffers.Of([Setup.Normals(config.Layers * Channels, 1)], Channels);
        float[][] results = [.. new[] { Rows, 3 * grain, grain, 7 * grain + 5 }.Select(count =>
        {
            IBuffer y = buffers.New(1, Rows + 4 * grain, Channels), skips = buffers.New(1, Rows + 4 * grain, Channels);
            // From before the signal to after it; a range may be longer than the step to the next: rows are then computed twice.
            for (int first = -grain; first < Rows; first += count / grain * grain)
                ops.ResidualBlock(Layer, new TimeRange(first, Math.Min(count, Rows + grain - first), Rows), new Window(x, 2 * grain + first), step, null, null, new Window(y, 2 * grain + first), new Window(skips, 2 * grain + first));
            return buffers.Read(y, 0, 2 * grain, Rows);
        })];
        foreach (float[] result in results) Setup.AssertSameBits("y", results[0], result);
    }

    [Fact]
    public void FirstLayerStartsTheSumAndTheLastWritesNoOutput()
    {
        const int Channels = 8, Rows = 40;
        using var ops = Setup.Device(SimdLevel.Auto);
        var config = Setup.Config(Channels);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        using var buffers = new Buffers(ops);
        float[] input = Setup.Normals(Rows * Channels, 0), steps = Setup.Normals(config.Layers * Channels, 1);
        IBuffer x = buffers.Of([input], Channels, 8, 8), step = buffers.Of([steps], Channels), y = buffers.Poisoned(1, Rows, Channels), skips = buffers.Poisoned(1, Rows, Channels);
        var range = new TimeRange(0, Rows, Rows);
        ops.ResidualBlock(0, range, new Window(x, 8), step, null, null, new Window(y, 0), new Window(skips, 0));
        var truth = Reference<double>.Block(config, parameters, 0, Reference<double>.Of(input), Reference<double>.Of(steps.AsSpan(0, Channels)), null, null);
        var naive = Reference<float>.Block(config, parameters, 0, input, steps[..Channels], null, null);
        Setup.AssertAsGoodAsNaive("skips of layer 0", truth.Skip, naive.Skip, buffers.Read(skips, 0, 0, Rows));

        float[] untouched = buffers.Read(y, 0, 0, Rows);
        ops.ResidualBlock(config.Layers - 1, range, new Window(x, 8), step, null, null, new Window(y, 0), new Window(skips, 0));
        Setup.AssertSameBits("y of the last layer", untouched, buffers.Read(y, 0, 0, Rows));
    }
}
