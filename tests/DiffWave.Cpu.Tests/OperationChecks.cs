using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Forward operations of any device against <see cref="Reference{T}"/> in float64, or for the bits where every device has the same: one check an operation, for one case.</summary>
internal static class OperationChecks
{
    public static void InputProjectionAndHead(IOps ops, int channels, int rows, int batch)
    {
        var config = Setup.Config(channels);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        using var buffers = new Buffers(ops);
        float[][] audio = BackwardSetup.Items(batch, rows, 0), skips = BackwardSetup.Items(batch, rows * channels, 9);
        // The range reaches over both ends of the signal; what lies there is not touched.
        IBuffer x = buffers.Poisoned(batch, rows + 7, channels), eps = buffers.Poisoned(batch, rows + 7, 1);
        var range = new TimeRange(-3, rows + 7, rows);
        ops.InputProjection(range, new Window(buffers.Of(audio, 1, 3, 4), 0), new Window(x, 0));
        ops.Head(range, new Window(buffers.Of(skips, channels, 3, 4), 0), new Window(eps, 0));
        for (int item = 0; item < batch; item++)
        {
            string what = $"C={channels} T={rows}";
            Setup.AssertAsGoodAsNaive($"input projection, {what}", Reference<double>.InputProjection(parameters, Reference<double>.Of(audio[item])),
                Reference<float>.InputProjection(parameters, audio[item]), buffers.Read(x, item, 3, rows));
            Setup.AssertAsGoodAsNaive($"head, {what}", Reference<double>.Head(config, parameters, Reference<double>.Of(skips[item])), Reference<float>.Head(config, parameters, skips[item]),
                buffers.Read(eps, item, 3, rows));
            Assert.All(buffers.Read(x, item, 0, 3).Concat(buffers.Read(x, item, rows + 3, 4)), value => Assert.True(float.IsNaN(value)));
            Assert.All(buffers.Read(eps, item, 0, 3).Concat(buffers.Read(eps, item, rows + 3, 4)), value => Assert.True(float.IsNaN(value)));
        }
    }

    public static void MelUpsampler(IOps ops, int[] factors, int bands, int frames, bool philsyn)
    {
        var config = Setup.Config(8, Conditioner.Mel, bands, factors, philsyn);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        var (_, mels) = Setup.Mels(config, 2, frames);
        int whole = frames * config.Hop, layer = philsyn ? 5 : 0;
        using var buffers = new Buffers(ops);
        IBuffer mel = buffers.Of(mels, bands);
        foreach (int length in new[] { whole, Math.Max(1, whole - config.Hop / 2) })
        {
            IBuffer upsampled = buffers.New(2, length, bands);
            ops.UpsampleMel(layer, new TimeRange(0, length, length), new Window(mel, 0), 0, frames, new Window(upsampled, 0));
            for (int item = 0; item < 2; item++)
                Setup.AssertAsGoodAsNaive($"upsampler [{string.Join(", ", factors)}], {bands} bands", Reference<double>.Upsample(config, parameters, layer, Reference<double>.Of(mels[item]))[..(length * bands)],
                    Reference<float>.Upsample(config, parameters, layer, mels[item])[..(length * bands)], buffers.Read(upsampled, item, 0, length));
            // Any stretch, from a window of the mel that starts later, gives the same bits.
            int first = length / 3, count = length - first, firstFrame = Math.Max(0, first / config.Hop - 3);
            IBuffer part = buffers.New(2, count, bands);
            ops.UpsampleMel(layer, new TimeRange(first, count, length), new Window(buffers.Of([.. mels.Select(m => m[(firstFrame * bands)..])], bands), 0), firstFrame, frames, new Window(part, 0));
            for (int item = 0; item < 2; item++) Setup.AssertSameBits("a stretch", buffers.Read(upsampled, item, first, count), buffers.Read(part, item, 0, count));
        }
    }

    /// <summary>The result is written from row <paramref name="start"/> of a ring of as many rows as it has.</summary>
    public static void ConditionerProjectionIntoARing(IOps ops, int channels, int bands, int rows, int start)
    {
        const int Layer = 3;
        var config = Setup.Config(channels, Conditioner.Mel, bands);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        using var buffers = new Buffers(ops);
        float[][] upsampled = BackwardSetup.Items(2, rows * bands, 3);
        IBuffer ring = buffers.New(2, rows, 2 * channels);
        ops.ConditionerProjection(Layer, new TimeRange(0, rows, rows), new Window(buffers.Of(upsampled, bands), 0), new Window(ring, start));
        for (int item = 0; item < 2; item++)
            Setup.AssertAsGoodAsNaive($"conditioner C={channels} M={bands}", Reference<double>.MelBias(config, parameters, Layer, Reference<double>.Of(upsampled[item])),
                Reference<float>.MelBias(config, parameters, Layer, upsampled[item]), [.. buffers.Read(ring, item, start, rows - start), .. buffers.Read(ring, item, 0, start)]);
    }

    /// <summary>Embeddings of three rows of a step table, [128] each, and of three labels.</summary>
    public static void StepEmbeddingAndLabels(IOps ops, int channels, int layers, float[][] rows)
    {
        var config = Setup.Config(channels, Conditioner.Label, layers: layers);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        using var buffers = new Buffers(ops);
        int[] labels = [5, 0, 3];
        IBuffer embedding = buffers.New(3, 1, ModelConfig.StepWidth), stepBias = buffers.New(3, layers, channels), labelBias = buffers.New(3, layers, 2 * channels);
        ops.StepEmbedding(buffers.Of(rows, ModelConfig.StepTableWidth), embedding, stepBias);
        ops.LabelBias(buffers.OneEach([.. labels.Select(label => (float)label)]), labelBias);
        for (int item = 0; item < 3; item++)
        {
            double[] truth = Reference<double>.Embedding(parameters, Reference<double>.Of(rows[item]));
            float[] naive = Reference<float>.Embedding(parameters, rows[item]);
            T[] Layers<T>(Func<int, T[]> of) => [.. Enumerable.Range(0, layers).SelectMany(of)];
            Setup.AssertAsGoodAsNaive("embedding", truth, naive, buffers.Read(embedding, item, 0, 1));
            Setup.AssertAsGoodAsNaive("step bias", Layers(i => Reference<double>.StepBias(parameters, i, truth)), Layers(i => Reference<float>.StepBias(parameters, i, naive)),
                buffers.Read(stepBias, item, 0, layers));
            Setup.AssertAsGoodAsNaive("label bias", Layers(i => Reference<double>.LabelBias(parameters, i, labels[item])), Layers(i => Reference<float>.LabelBias(parameters, i, labels[item])),
                buffers.Read(labelBias, item, 0, layers));
        }
    }

    /// <summary>Layers 0 to 6 have dilations 1 2 4 8 1 2 4.</summary>
    public static void ResidualBlock(IOps ops, int channels, int layer, int rows, int batch, bool philsyn, bool conditioned)
    {
        var config = Setup.Config(channels, conditioned ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
        var parameters = Setup.Weights(config);
        ops.Load(config, parameters);
        int d = config.Dilation(layer), biases = config.Layers * channels;
        float[][] x = BackwardSetup.Items(batch, rows * channels, 0), before = BackwardSetup.Items(batch, rows * channels, 10), step = BackwardSetup.Items(batch, biases, 20);
        float[][] label = BackwardSetup.Items(batch, 2 * biases, 30), mel = BackwardSetup.Items(batch, rows * 2 * channels, 40);
        using var buffers = new Buffers(ops);
        IBuffer y = buffers.New(batch, rows, channels), skips = buffers.Of(before, channels), preGate = buffers.New(batch, rows, 2 * channels), gated = buffers.New(batch, rows, channels);
        // Rows around the signal hold NaN: beyond an end a convolution reads zero, whatever the buffer holds.
        ops.ResidualBlock(layer, new TimeRange(0, rows, rows), new Window(buffers.Of(x, channels, d, d), d), buffers.Of(step, channels), conditioned ? buffers.Of(label, 2 * channels) : null,
            conditioned ? new Window(buffers.Of(mel, 2 * channels), 0) : null, new Window(y, 0), new Window(skips, 0), new BlockTape(new Window(preGate, 0), new Window(gated, 0)));
        for (int item = 0; item < batch; item++)
        {
            var truth = Evaluate<double>(item);
            var naive = Evaluate<float>(item);
            string what = $"C={channels} T={rows} d={d} item {item}";
            Setup.AssertAsGoodAsNaive($"pre-gate, {what}", truth.PreGate, naive.PreGate, buffers.Read(preGate, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"gate, {what}", truth.Gated, naive.Gated, buffers.Read(gated, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"skips, {what}", truth.Skip, naive.Skip, buffers.Read(skips, item, 0, rows));
            if (layer < config.Layers - 1) Setup.AssertAsGoodAsNaive($"y, {what}", truth.Y, naive.Y, buffers.Read(y, item, 0, rows));
            else Assert.All(buffers.Read(y, item, 0, rows), value => Assert.Equal(0, value)); // there is none
        }

        Reference<T>.BlockResult Evaluate<T>(int item) where T : struct, IFloatingPointIeee754<T>
        {
            var block = Reference<T>.Block(config, parameters, layer, Reference<T>.Of(x[item]), Reference<T>.Of(step[item].AsSpan(layer * channels, channels)),
                conditioned ? Reference<T>.Of(label[item].AsSpan(layer * 2 * channels, 2 * channels)) : null, conditioned ? Reference<T>.Of(mel[item]) : null);
            if (layer > 0) for (int i = 0; i < block.Skip.Length; i++) block.Skip[i] += Reference<T>.Of(before[item][i]);
            return block;
        }
    }

    /// <summary>A NaN in x stays one; processors differ in which they make, and only where <paramref name="bitsOfNaN"/> is set must it be the host's.</summary>
    public static void ReverseStepIsThePlainFloat32Formula(IOps ops, bool bitsOfNaN)
    {
        const int Rows = 301;
        using var buffers = new Buffers(ops);
        float[] x = Setup.Normals(Rows, 0), eps = Setup.Normals(Rows, 1), noise = Setup.Normals(Rows, 2);
        x[5] = float.NaN;
        foreach (var (sigma, clamp) in new[] { (0f, false), (0.3f, true), (0.3f, false) })
        {
            IBuffer y = buffers.Of([x], 1);
            var z = sigma == 0 ? buffers.Poisoned(1, Rows, 1) : buffers.Of([noise], 1);
            ops.ReverseStep(new TimeRange(-4, Rows, Rows - 20), new Window(y, 0), new Window(buffers.Of([eps], 1), 0), new Window(z, 0), 1.1f, 0.7f, sigma, clamp, new Window(y, 0));
            float[] expected = [.. x.Select((value, i) =>
            {
                if (i < 4 || i >= Rows - 16) return value; // outside the signal
                float next = 1.1f * (value - 0.7f * eps[i]);
                if (sigma != 0) next += sigma * noise[i];
                return clamp && !float.IsNaN(next) ? Math.Min(1, Math.Max(-1, next)) : next;
            })];
            float[] actual = buffers.Read(y, 0, 0, Rows);
            Assert.True(float.IsNaN(actual[5]));
            if (!bitsOfNaN) (expected[5], actual[5]) = (0, 0);
            Setup.AssertSameBits("x", expected, actual);
        }
    }
}
