using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Backward of the operations around the residual blocks, in float32 on vectors, against <see cref="ReferenceBackward{T}"/> in float64.</summary>
public class BackwardTests
{
    private static readonly (int Channels, int Rows, int Batch)[] Sizes = [(1, 1, 1), (1, 600, 1), (5, 3, 3), (5, 129, 1), (16, 1, 3), (24, 129, 1), (24, 600, 3), (40, 3, 1), (40, 129, 3), (64, 600, 1), (64, 1030, 1)];

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void InputProjection(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in Sizes)
        {
            var config = Setup.Config(channels);
            var parameters = BackwardSetup.Load(ops, config);
            using var buffers = new Buffers(ops);
            // The result is given, so all evaluations see the same signs.
            float[][] audio = BackwardSetup.Items(batch, rows, 0), dX = BackwardSetup.Items(batch, rows * channels, 10), x = [.. audio.Select(samples => Reference<float>.InputProjection(parameters, samples))];
            IBuffer dAudio = buffers.Poisoned(batch, rows, 1);
            ops.InputProjectionBackward(buffers.Of(audio, 1), buffers.Of(x, channels), buffers.Of(dX, channels), dAudio);
            string what = $"C={channels} T={rows} B={batch}";
            var truths = new double[batch][];
            var naives = new float[batch][];
            BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
            for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive($"dAudio, {what}", truths[item], naives[item], buffers.Read(dAudio, item, 0, rows));

            void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                    results[item] = ReferenceBackward<T>.InputProjection(parameters, Reference<T>.Of(audio[item]), Reference<T>.Of(x[item]), Reference<T>.Of(dX[item]), gradients);
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void Head(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in Sizes)
        {
            var config = Setup.Config(channels);
            var parameters = BackwardSetup.Load(ops, config);
            using var buffers = new Buffers(ops);
            float[][] skips = BackwardSetup.Items(batch, rows * channels, 0), dEps = BackwardSetup.Items(batch, rows, 10);
            foreach (float[] item in skips) BackwardSetup.AwayFromKinks(config, parameters, item);
            IBuffer dSkips = buffers.Poisoned(batch, rows, channels);
            ops.HeadBackward(buffers.Of(skips, channels), buffers.Of(dEps, 1), dSkips);
            string what = $"C={channels} T={rows} B={batch}";
            var truths = new double[batch][];
            var naives = new float[batch][];
            BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
            for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive($"dSkips, {what}", truths[item], naives[item], buffers.Read(dSkips, item, 0, rows));

            void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++) results[item] = ReferenceBackward<T>.Head(config, parameters, Reference<T>.Of(skips[item]), Reference<T>.Of(dEps[item]), gradients);
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void MelUpsampler(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (factors, bands, frames, batch, philsyn) in new (int[], int, int, int, bool)[]
                 { ([16, 16], 80, 3, 1, false), ([15, 20], 33, 2, 1, true), ([5, 5, 11], 5, 3, 1, false), ([2], 5, 1, 3, false), ([2], 80, 300, 1, true), ([3], 1, 43, 3, true), ([1], 33, 300, 1, false), ([3, 1, 7], 16, 13, 3, true), ([300], 17, 2, 1, false) })
        {
            var config = Setup.Config(8, Conditioner.Mel, bands, factors, philsyn);
            var parameters = BackwardSetup.Load(ops, config);
            int rows = frames * config.Hop, layer = philsyn ? 5 : 0;
            float[][] mels = Setup.Mels(config, batch, frames).Rows, dUpsampled = BackwardSetup.Items(batch, rows * bands, 10), upsampled = [.. mels.Select(mel => Reference<float>.Upsample(config, parameters, layer, mel))];
            for (int stages = 1; stages < factors.Length; stages++) // inner signs are computed again, in float32 and float64; the seed leaves them apart from the kink
                foreach (float[] mel in mels)
                    Assert.True(Reference<double>.Upsample(config with { UpsampleFactors = factors[..stages] }, parameters, layer, Reference<double>.Of(mel)).Min(Math.Abs) > 1e-6, "an inner value lies at the kink: use another seed");
            using var buffers = new Buffers(ops);
            ops.UpsampleMelBackward(layer, buffers.Of(mels, bands), buffers.Of(upsampled, bands), buffers.Of(dUpsampled, bands));
            BackwardSetup.AssertGradients($"[{string.Join(", ", factors)}] M={bands} B={batch}", ops, parameters, Evaluate, Evaluate);

            void Evaluate<T>(Gradients<T> gradients) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                    ReferenceBackward<T>.Upsample(config, parameters, layer, Reference<T>.Of(mels[item]), Reference<T>.Of(upsampled[item]), Reference<T>.Of(dUpsampled[item]), gradients);
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void StepEmbeddingAndLabel(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, batch) in new[] { (1, 1), (5, 3), (40, 1), (24, 3) })
        {
            var config = Setup.Config(channels, Conditioner.Label);
            var parameters = BackwardSetup.Load(ops, config);
            float[][] rows = BackwardSetup.Items(batch, ModelConfig.StepTableWidth, 0), dStep = BackwardSetup.Items(batch, config.Layers * channels, 10), dLabel = BackwardSetup.Items(batch, config.Layers * 2 * channels, 20);
            int[] labels = [.. new[] { 5, 0, 5 }.Take(batch)];
            using var buffers = new Buffers(ops);
            IBuffer table = buffers.Of(rows, ModelConfig.StepTableWidth), embedding = buffers.New(batch, 1, ModelConfig.StepWidth), stepBias = buffers.New(batch, config.Layers, channels);
            ops.StepEmbedding(table, embedding, stepBias);
            ops.StepEmbeddingBackward(table, embedding, buffers.Of(dStep, channels));
            ops.LabelBiasBackward(labels, buffers.Of(dLabel, 2 * channels));
            BackwardSetup.AssertGradients($"C={channels} B={batch}", ops, parameters, Evaluate, Evaluate);

            void Evaluate<T>(Gradients<T> gradients) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                {
                    ReferenceBackward<T>.StepEmbedding(config, parameters, Reference<T>.Of(rows[item]), Reference<T>.Of(dStep[item]), gradients);
                    ReferenceBackward<T>.LabelBias(config, parameters, labels[item], Reference<T>.Of(dLabel[item]), gradients);
                }
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void NaNReachesTheNorm(SimdLevel level)
    {
        const int Rows = 12, Channels = 24;
        using var ops = Setup.Device(level);
        var config = Setup.Config(Channels, Conditioner.Mel, bands: 5, factors: [2, 2]);
        var parameters = BackwardSetup.Load(ops, config);
        Assert.Equal(0, ops.GradientNorm());
        using var buffers = new Buffers(ops);
        float[] Values(int count, bool bad)
        {
            float[] values = Setup.Normals(count, 3);
            if (bad) values[count / 2] = float.NaN;
            return values;
        }
        for (int bad = 0; bad < 9; bad++)
        {
            ops.ZeroGradients();
            if (bad < 2) ops.HeadBackward(buffers.Of([Values(Rows * Channels, bad == 0)], Channels), buffers.Of([Values(Rows, bad == 1)], 1), buffers.New(1, Rows, Channels));
            else if (bad < 5)
            {
                // The NaN of a gradient would be lost only where the result is 0, so it is made positive there.
                float[] x = [.. Values(Rows * Channels, bad == 2).Select(Math.Abs)];
                ops.InputProjectionBackward(buffers.Of([Values(Rows, bad == 3)], 1), buffers.Of([x], Channels), buffers.Of([Values(Rows * Channels, bad is 2 or 4)], Channels), null);
            }
            else if (bad < 8) ops.UpsampleMelBackward(0, buffers.Of([Values(Rows / 4 * 5, bad == 5)], 5), buffers.Of([Values(Rows * 5, bad == 6)], 5), buffers.Of([Values(Rows * 5, bad is 6 or 7)], 5));
            else ops.StepEmbeddingBackward(buffers.Of([Values(ModelConfig.StepTableWidth, true)], ModelConfig.StepTableWidth), buffers.New(1, 1, ModelConfig.StepWidth), buffers.Of([Values(config.Layers * Channels, false)], Channels));
            Assert.True(double.IsNaN(ops.GradientNorm()), $"case {bad}");
        }
    }
}
