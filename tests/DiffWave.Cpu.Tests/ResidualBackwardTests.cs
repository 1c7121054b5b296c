using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Backward of the residual block and of the conditioner projection against <see cref="ReferenceBackward{T}"/> in float64, and their bits.</summary>
public class ResidualBackwardTests
{
    // channels, layer (dilation 1 2 4 8 1 2 4; 6 is the last), T, batch, philsyn's switches, with label
    private static readonly (int Channels, int Layer, int Rows, int Batch, bool Philsyn, bool Label)[] Cases =
    [
        (1, 0, 1, 1, false, false), (1, 3, 600, 1, true, true), (5, 3, 3, 3, true, true), (5, 0, 129, 1, false, false), (16, 3, 1, 1, false, true), (16, 2, 129, 3, true, false), (24, 6, 129, 1, false, true),
        (24, 3, 7, 3, true, false), (40, 1, 600, 1, true, true), (40, 6, 3, 3, true, true), (64, 3, 129, 1, false, false), (64, 2, 600, 1, true, true), (64, 0, 1030, 1, false, false),
    ];

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ResidualBlock(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, layer, rows, batch, philsyn, label) in Cases) BackwardChecks.ResidualBlock(ops, channels, layer, rows, batch, philsyn, label);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ConditionerProjection(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, bands, rows, batch, layers) in new[] { (1, 5, 1, 1, 2), (5, 1, 3, 3, 1), (16, 80, 129, 1, 1), (24, 33, 129, 3, 4), (40, 80, 3, 1, 1), (64, 80, 600, 1, 1) })
            BackwardChecks.ConditionerProjection(ops, channels, bands, rows, batch, layers);
    }

    [Fact]
    public void NeitherThreadsNorVectorsNorCallsChangeABit()
    {
        var expected = Run(SimdLevel.Portable, threads: 1, call: 2);
        foreach (var level in new[] { SimdLevel.Avx512, SimdLevel.Avx2, SimdLevel.Portable }.Where(BackwardBitsTests.Exists))
            foreach (var (threads, call) in new[] { (1, 2), (2, 2), (3, 2), (1, 1), (3, 1) })
            {
                var actual = Run(level, threads, call);
                Assert.Equal(expected.Select(result => result.What), actual.Select(result => result.What));
                for (int i = 0; i < expected.Count; i++) Setup.AssertSameBits($"{expected[i].What}, {level}, {threads} threads, {call} items a call", expected[i].Values, actual[i].Values);
            }
    }

    private static List<(string What, float[] Values)> Run(SimdLevel level, int threads, int call)
    {
        const int Channels = 24, Bands = 19, Rows = 1201, Batch = 2;
        using var ops = Setup.Device(level, threads);
        var config = Setup.Config(Channels, Conditioner.Mel | Conditioner.Label, Bands, [1], philsyn: true);
        var parameters = BackwardSetup.Load(ops, config);
        var results = new List<(string What, float[] Values)>();
        foreach (int layer in new[] { 2, 6 })
            for (int first = 0; first < Batch; first += call)
            {
                using var buffers = new Buffers(ops);
                int at = first;
                IBuffer Random(int rows, int channels, uint stream) => buffers.Of([.. Enumerable.Range(at, call).Select(item => Setup.Normals(rows * channels, stream + (uint)item))], channels);
                IBuffer dPreGate = buffers.New(call, Rows, 2 * Channels), dX = buffers.New(call, Rows, Channels), dStep = buffers.New(call, config.Layers, Channels), dLabel = buffers.New(call, config.Layers, 2 * Channels), dUpsampled = Random(Rows, Bands, 50);
                ops.ResidualBlockBackward(layer, Random(Rows, Channels, 20), Random(config.Layers, Channels, 30), Random(Rows, 2 * Channels, 0), Random(Rows, Channels, 40), Random(Rows, Channels, 10), dX, dPreGate, dStep, dLabel);
                ops.ConditionerProjectionBackward(layer, Random(Rows, Bands, 60), [dPreGate], dUpsampled);
                foreach (var (what, buffer) in new[] { ("pre-gate", dPreGate), ("dX", dX), ("dStep", dStep), ("dLabel", dLabel), ("dUpsampled", dUpsampled) })
                    for (int item = 0; item < call; item++) results.Add(($"{what} of layer {layer}", buffers.Read(buffer, item, 0, buffer.Rows)));
            }
        float[] gradients = new float[parameters.Arena.Length];
        ops.ReadGradients(gradients);
        results.Add(("gradients", gradients));
        return [.. results.OrderBy(result => result.What, StringComparer.Ordinal)]; // a stable sort: items stay in order, however they were cut into calls
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void NaNReachesTheNorm(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        BackwardChecks.NaNOfABlockReachesTheNorm(ops, channels: 5, bands: 5, rows: 9);
    }
}
