using System.Numerics;
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

    private static float[][] Items(int batch, int count, uint stream) => BackwardSetup.Items(batch, count, stream);

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ResidualBlock(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, layer, rows, batch, philsyn, label) in Cases)
        {
            var config = Setup.Config(channels, label ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
            var parameters = BackwardSetup.Load(ops, config);
            int d = config.Dilation(layer), layers = config.Layers;
            bool last = layer == layers - 1;
            string what = $"C={channels} T={rows} B={batch} d={d} last={last}";
            float[][] x = Items(batch, rows * channels, 0), step = Items(batch, layers * channels, 10), preGate = Items(batch, rows * 2 * channels, 20), dSkip = Items(batch, rows * channels, 30), dY = Items(batch, rows * channels, 40);
            float[][] dStepBefore = Items(batch, layers * channels, 50), dLabelBefore = Items(batch, layers * 2 * channels, 60);
            using var buffers = new Buffers(ops);
            IBuffer gate = buffers.Of(preGate, 2 * channels), dX = last ? buffers.Poisoned(batch, rows, channels) : buffers.Of(dY, channels);
            IBuffer dStep = buffers.Of(dStepBefore, channels), skips = buffers.Of(dSkip, channels);
            IBuffer? dLabel = label ? buffers.Of(dLabelBefore, 2 * channels) : null;
            ops.ResidualBlockBackward(layer, buffers.Of(x, channels), buffers.Of(step, channels), gate, skips, dX, dStep, dLabel);

            var truths = new ReferenceBackward<double>.BlockResult[batch];
            var naives = new ReferenceBackward<float>.BlockResult[batch];
            BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
            for (int item = 0; item < batch; item++)
            {
                var (truth, naive) = (truths[item], naives[item]);
                Setup.AssertAsGoodAsNaive($"dX, {what}", truth.DX, naive.DX, buffers.Read(dX, item, 0, rows));
                Setup.AssertAsGoodAsNaive($"gradient of the pre-gate, {what}", truth.DPreGate, naive.DPreGate, buffers.Read(gate, item, 0, rows));
                Setup.AssertAsGoodAsNaive($"dStep, {what}", truth.DStep, naive.DStep, buffers.Read(dStep, item, layer, 1));
                if (dLabel is not null) Setup.AssertAsGoodAsNaive($"dLabel, {what}", truth.DLabel, naive.DLabel, buffers.Read(dLabel, item, layer, 1));
                Setup.AssertSameBits("gradient of the skips", dSkip[item], buffers.Read(skips, item, 0, rows));
                for (int other = 0; other < layers; other++)
                {
                    if (other == layer) continue;
                    Setup.AssertSameBits("another layer's row", dStepBefore[item][(other * channels)..((other + 1) * channels)], buffers.Read(dStep, item, other, 1));
                    if (dLabel is not null) Setup.AssertSameBits("another layer's row", dLabelBefore[item][(other * 2 * channels)..((other + 1) * 2 * channels)], buffers.Read(dLabel, item, other, 1));
                }
            }

            void Evaluate<T>(Gradients<T> gradients, ReferenceBackward<T>.BlockResult[] results) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                    results[item] = ReferenceBackward<T>.Block(config, parameters, layer, Reference<T>.Of(x[item]), Reference<T>.Of(step[item].AsSpan(layer * channels, channels)), Reference<T>.Of(preGate[item]),
                        last ? null : Reference<T>.Of(dY[item]), Reference<T>.Of(dSkip[item]), gradients);
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ConditionerProjection(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, bands, rows, batch) in new[] { (1, 5, 1, 1), (5, 1, 3, 3), (16, 80, 129, 1), (24, 33, 129, 3), (40, 80, 3, 1), (64, 80, 600, 1) })
        {
            const int Layer = 3;
            var config = Setup.Config(channels, Conditioner.Mel, bands);
            var parameters = BackwardSetup.Load(ops, config);
            float[][] upsampled = Items(batch, rows * bands, 0), dConditioner = Items(batch, rows * 2 * channels, 10), before = Items(batch, rows * bands, 20);
            using var buffers = new Buffers(ops);
            IBuffer dUpsampled = buffers.Of(before, bands);
            ops.ConditionerProjectionBackward(Layer, buffers.Of(upsampled, bands), buffers.Of(dConditioner, 2 * channels), dUpsampled);
            string what = $"C={channels} M={bands} T={rows} B={batch}";
            var truths = new double[batch][];
            var naives = new float[batch][];
            BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
            for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive($"dUpsampled, {what}", truths[item], naives[item], buffers.Read(dUpsampled, item, 0, rows));

            void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                {
                    T[] added = ReferenceBackward<T>.MelBias(config, parameters, Layer, Reference<T>.Of(upsampled[item]), Reference<T>.Of(dConditioner[item]), gradients);
                    results[item] = [.. added.Zip(Reference<T>.Of(before[item]), (value, sum) => sum + value)];
                }
            }
        }
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
                IBuffer preGate = Random(Rows, 2 * Channels, 0), dX = Random(Rows, Channels, 10), dStep = buffers.New(call, config.Layers, Channels), dLabel = buffers.New(call, config.Layers, 2 * Channels), dUpsampled = Random(Rows, Bands, 50);
                ops.ResidualBlockBackward(layer, Random(Rows, Channels, 20), Random(config.Layers, Channels, 30), preGate, Random(Rows, Channels, 40), dX, dStep, dLabel);
                ops.ConditionerProjectionBackward(layer, Random(Rows, Bands, 60), preGate, dUpsampled);
                foreach (var (what, buffer) in new[] { ("pre-gate", preGate), ("dX", dX), ("dStep", dStep), ("dLabel", dLabel), ("dUpsampled", dUpsampled) })
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
        const int Rows = 9, Channels = 5;
        using var ops = Setup.Device(level);
        var config = Setup.Config(Channels, Conditioner.Mel);
        BackwardSetup.Load(ops, config);
        float[] Values(int count, bool bad)
        {
            float[] values = Setup.Normals(count, 3);
            if (bad) values[count / 2] = float.NaN;
            return values;
        }
        for (int bad = 0; bad < 6; bad++)
        {
            ops.ZeroGradients();
            using var buffers = new Buffers(ops);
            IBuffer Of(int channels, int which) => buffers.Of([Values(Rows * channels, bad == which)], channels);
            if (bad < 4)
                ops.ResidualBlockBackward(1, Of(Channels, 0), buffers.Of([Setup.Normals(config.Layers * Channels, 1)], Channels), Of(2 * Channels, 1), Of(Channels, 2), Of(Channels, 3), buffers.New(1, config.Layers, Channels), null);
            else ops.ConditionerProjectionBackward(1, Of(5, 4), Of(2 * Channels, 5), buffers.New(1, Rows, 5));
            Assert.True(double.IsNaN(ops.GradientNorm()), $"case {bad}");
        }
    }
}
