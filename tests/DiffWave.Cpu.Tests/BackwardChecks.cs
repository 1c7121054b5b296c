using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Backward operations of any device against <see cref="ReferenceBackward{T}"/> in float64, and for a NaN that must not get lost: one check an operation, for one case.</summary>
internal static class BackwardChecks
{
    private static float[][] Items(int batch, int count, uint stream) => BackwardSetup.Items(batch, count, stream);

    public static void InputProjection(IOps ops, int channels, int rows, int batch)
    {
        var parameters = BackwardSetup.Load(ops, Setup.Config(channels));
        using var buffers = new Buffers(ops);
        // The result is given, so all evaluations see the same signs.
        float[][] audio = Items(batch, rows, 0), dX = Items(batch, rows * channels, 10), x = [.. audio.Select(samples => Reference<float>.InputProjection(parameters, samples))];
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

    public static void Head(IOps ops, int channels, int rows, int batch)
    {
        var config = Setup.Config(channels);
        var parameters = BackwardSetup.Load(ops, config);
        using var buffers = new Buffers(ops);
        float[][] skips = Items(batch, rows * channels, 0), dEps = Items(batch, rows, 10);
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

    public static void MelUpsampler(IOps ops, int[] factors, int bands, int frames, int batch, bool philsyn)
    {
        var config = Setup.Config(8, Conditioner.Mel, bands, factors, philsyn);
        var parameters = BackwardSetup.Load(ops, config);
        int rows = frames * config.Hop, layer = philsyn ? 5 : 0;
        float[][] mels = Setup.Mels(config, batch, frames).Rows, dUpsampled = Items(batch, rows * bands, 10), upsampled = [.. mels.Select(mel => Reference<float>.Upsample(config, parameters, layer, mel))];
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

    public static void StepEmbeddingAndLabel(IOps ops, int channels, int layers, int batch)
    {
        var config = Setup.Config(channels, Conditioner.Label, layers: layers);
        var parameters = BackwardSetup.Load(ops, config);
        float[][] rows = Items(batch, ModelConfig.StepTableWidth, 0), dStep = Items(batch, layers * channels, 10), dLabel = Items(batch, layers * 2 * channels, 20);
        int[] labels = [.. new[] { 5, 0, 5 }.Take(batch)];
        using var buffers = new Buffers(ops);
        IBuffer table = buffers.Of(rows, ModelConfig.StepTableWidth), embedding = buffers.New(batch, 1, ModelConfig.StepWidth), stepBias = buffers.New(batch, layers, channels);
        ops.StepEmbedding(table, embedding, stepBias);
        ops.StepEmbeddingBackward(table, embedding, buffers.Of(dStep, channels));
        ops.LabelBiasBackward(buffers.OneEach([.. labels.Select(label => (float)label)]), buffers.Of(dLabel, 2 * channels));
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

    /// <summary>Layers 0 to 6 have dilations 1 2 4 8 1 2 4; 6 is the last.</summary>
    public static void ResidualBlock(IOps ops, int channels, int layer, int rows, int batch, bool philsyn, bool label)
    {
        var config = Setup.Config(channels, label ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
        var parameters = BackwardSetup.Load(ops, config);
        int layers = config.Layers;
        bool last = layer == layers - 1;
        string what = $"C={channels} T={rows} B={batch} d={config.Dilation(layer)} last={last}";
        float[][] x = Items(batch, rows * channels, 0), step = Items(batch, layers * channels, 10), preGate = Items(batch, rows * 2 * channels, 20), dSkip = Items(batch, rows * channels, 30), dY = Items(batch, rows * channels, 40);
        float[][] dStepBefore = Items(batch, layers * channels, 50), dLabelBefore = Items(batch, layers * 2 * channels, 60);
        using var buffers = new Buffers(ops);
        IBuffer gate = buffers.Of(preGate, 2 * channels), y = last ? buffers.Poisoned(batch, rows, channels) : buffers.Of(dY, channels), dX = buffers.Poisoned(batch, rows, channels), dGate = buffers.Poisoned(batch, rows, 2 * channels);
        IBuffer dStep = buffers.Of(dStepBefore, channels), skips = buffers.Of(dSkip, channels);
        IBuffer? dLabel = label ? buffers.Of(dLabelBefore, 2 * channels) : null;
        ops.ResidualBlockBackward(layer, buffers.Of(x, channels), buffers.Of(step, channels), gate, skips, y, dX, dGate, dStep, dLabel);

        var truths = new ReferenceBackward<double>.BlockResult[batch];
        var naives = new ReferenceBackward<float>.BlockResult[batch];
        BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++)
        {
            var (truth, naive) = (truths[item], naives[item]);
            Setup.AssertAsGoodAsNaive($"dX, {what}", truth.DX, naive.DX, buffers.Read(dX, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"gradient of the pre-gate, {what}", truth.DPreGate, naive.DPreGate, buffers.Read(dGate, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"dStep, {what}", truth.DStep, naive.DStep, buffers.Read(dStep, item, layer, 1));
            if (dLabel is not null) Setup.AssertAsGoodAsNaive($"dLabel, {what}", truth.DLabel, naive.DLabel, buffers.Read(dLabel, item, layer, 1));
            Setup.AssertSameBits("gradient of the skips", dSkip[item], buffers.Read(skips, item, 0, rows));
            Setup.AssertSameBits("the pre-gate", preGate[item], buffers.Read(gate, item, 0, rows));
            if (!last) Setup.AssertSameBits("gradient of y", dY[item], buffers.Read(y, item, 0, rows));
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

    public static void ConditionerProjection(IOps ops, int channels, int bands, int rows, int batch, int layers = 1)
    {
        const int Last = 5;
        var config = Setup.Config(channels, Conditioner.Mel, bands);
        var parameters = BackwardSetup.Load(ops, config);
        float[][] upsampled = Items(batch, rows * bands, 0), before = Items(batch, rows * bands, 20);
        float[][][] dConditioners = [.. Enumerable.Range(0, layers).Select(i => Items(batch, rows * 2 * channels, 30 + 10 * (uint)i))];
        using var buffers = new Buffers(ops);
        IBuffer dUpsampled = buffers.Of(before, bands);
        ops.ConditionerProjectionBackward(Last, buffers.Of(upsampled, bands), [.. dConditioners.Select(dConditioner => buffers.Of(dConditioner, 2 * channels))], dUpsampled);
        string what = $"C={channels} M={bands} T={rows} B={batch}, {layers} layers";
        var truths = new double[batch][];
        var naives = new float[batch][];
        BackwardSetup.AssertGradients(what, ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive($"dUpsampled, {what}", truths[item], naives[item], buffers.Read(dUpsampled, item, 0, rows));

        void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++)
            {
                results[item] = Reference<T>.Of(before[item]);
                for (int i = 0; i < layers; i++)
                {
                    T[] added = ReferenceBackward<T>.MelBias(config, parameters, Last - i, Reference<T>.Of(upsampled[item]), Reference<T>.Of(dConditioners[i][item]), gradients);
                    results[item] = [.. added.Zip(results[item], (value, sum) => sum + value)];
                }
            }
        }
    }

    /// <summary>A NaN in any argument of the operations around the residual blocks; <paramref name="rows"/> is a multiple of 4.</summary>
    public static void NaNReachesTheNorm(IOps ops, int channels, int bands, int rows)
    {
        var config = Setup.Config(channels, Conditioner.Mel, bands, factors: [2, 2]);
        BackwardSetup.Load(ops, config);
        Assert.Equal(0, ops.GradientNorm());
        for (int bad = 0; bad < 9; bad++)
        {
            using var buffers = new Buffers(ops);
            IBuffer Of(int count, int width, params int[] which) => buffers.Of([Values(count * width, which.Contains(bad))], width);
            ops.ZeroGradients();
            if (bad < 2) ops.HeadBackward(Of(rows, channels, 0), Of(rows, 1, 1), buffers.New(1, rows, channels));
            else if (bad < 5)
            {
                // The NaN of a gradient would be lost only where the result is 0, so it is made positive there.
                float[] x = [.. Values(rows * channels, bad == 2).Select(Math.Abs)];
                ops.InputProjectionBackward(Of(rows, 1, 3), buffers.Of([x], channels), Of(rows, channels, 2, 4), null);
            }
            else if (bad < 8) ops.UpsampleMelBackward(0, Of(rows / 4, bands, 5), Of(rows, bands, 6), Of(rows, bands, 6, 7));
            else ops.StepEmbeddingBackward(Of(1, ModelConfig.StepTableWidth, 8), buffers.New(1, 1, ModelConfig.StepWidth), Of(config.Layers, channels));
            Assert.True(double.IsNaN(ops.GradientNorm()), $"case {bad}");
        }
    }

    /// <summary>A NaN in any argument of the residual block and the conditioner projection.</summary>
    public static void NaNOfABlockReachesTheNorm(IOps ops, int channels, int bands, int rows)
    {
        var config = Setup.Config(channels, Conditioner.Mel, bands);
        BackwardSetup.Load(ops, config);
        Assert.Equal(0, ops.GradientNorm());
        for (int bad = 0; bad < 6; bad++)
        {
            using var buffers = new Buffers(ops);
            IBuffer Of(int width, int which) => buffers.Of([Values(rows * width, bad == which)], width);
            ops.ZeroGradients();
            if (bad < 4)
                ops.ResidualBlockBackward(1, Of(channels, 0), buffers.Of([Setup.Normals(config.Layers * channels, 1)], channels), Of(2 * channels, 1), Of(channels, 2), Of(channels, 3), buffers.New(1, rows, channels),
                    buffers.New(1, rows, 2 * channels), buffers.New(1, config.Layers, channels), null);
            else ops.ConditionerProjectionBackward(1, Of(bands, 4), [Of(2 * channels, 5)], buffers.New(1, rows, bands));
            Assert.True(double.IsNaN(ops.GradientNorm()), $"case {bad}");
        }
    }

    private static float[] Values(int count, bool bad)
    {
        float[] values = Setup.Normals(count, 3);
        if (bad) values[count / 2] = float.NaN;
        return values;
    }
}
