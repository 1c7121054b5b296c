using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class OperationTests
{
    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void InputProjectionAndHead(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in new[] { (2, 1, 1), (8, 777, 3), (24, 5, 1), (33, 131, 3), (64, 129, 1), (128, 40, 1) })
        {
            var config = Setup.Config(channels);
            var parameters = Setup.Weights(config);
            ops.Load(config, parameters);
            using var buffers = new Buffers(ops);
            float[][] audio = [.. Enumerable.Range(0, batch).Select(item => Setup.Normals(rows, (uint)item))], skips = [.. Enumerable.Range(0, batch).Select(item => Setup.Normals(rows * channels, 9 + (uint)item))];
            // The range reaches over both ends of the signal; what lies there is not touched.
            IBuffer x = buffers.Poisoned(batch, rows + 7, channels), eps = buffers.Poisoned(batch, rows + 7, 1);
            var range = new TimeRange(-3, rows + 7, rows);
            ops.InputProjection(range, new Window(buffers.Of(audio, 1, 3, 4), 0), new Window(x, 0));
            ops.Head(range, new Window(buffers.Of(skips, channels, 3, 4), 0), new Window(eps, 0));
            for (int item = 0; item < batch; item++)
            {
                string what = $"C={channels} T={rows}";
                Setup.AssertAsGoodAsNaive($"input projection, {what}", Reference<double>.InputProjection(parameters, Reference<double>.Of(audio[item])), Reference<float>.InputProjection(parameters, audio[item]), buffers.Read(x, item, 3, rows));
                Setup.AssertAsGoodAsNaive($"head, {what}", Reference<double>.Head(config, parameters, Reference<double>.Of(skips[item])), Reference<float>.Head(config, parameters, skips[item]), buffers.Read(eps, item, 3, rows));
                Assert.All(buffers.Read(x, item, 0, 3).Concat(buffers.Read(x, item, rows + 3, 4)), value => Assert.True(float.IsNaN(value)));
                Assert.All(buffers.Read(eps, item, 0, 3).Concat(buffers.Read(eps, item, rows + 3, 4)), value => Assert.True(float.IsNaN(value)));
            }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void MelUpsampler(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (factors, bands, frames, philsyn) in new (int[], int, int, bool)[]
                 { ([16, 16], 80, 3, false), ([15, 20], 33, 4, true), ([5, 5, 11], 5, 3, false), ([2], 5, 1, false), ([2], 80, 40, true), ([16, 16], 5, 1, true), ([1], 33, 9, false), ([3, 1, 7], 33, 13, true) })
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
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ConditionerProjectionIntoARing(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, bands) in new[] { (1, 5), (16, 80), (33, 33), (64, 80) })
        {
            const int Rows = 150, Start = 77, Layer = 3;
            var config = Setup.Config(channels, Conditioner.Mel, bands);
            var parameters = Setup.Weights(config);
            ops.Load(config, parameters);
            using var buffers = new Buffers(ops);
            float[][] upsampled = [Setup.Normals(Rows * bands, 3), Setup.Normals(Rows * bands, 4)];
            IBuffer ring = buffers.New(2, Rows, 2 * channels);
            ops.ConditionerProjection(Layer, new TimeRange(0, Rows, Rows), new Window(buffers.Of(upsampled, bands), 0), new Window(ring, Start));
            for (int item = 0; item < 2; item++)
                Setup.AssertAsGoodAsNaive($"conditioner C={channels} M={bands}", Reference<double>.MelBias(config, parameters, Layer, Reference<double>.Of(upsampled[item])),
                    Reference<float>.MelBias(config, parameters, Layer, upsampled[item]), [.. buffers.Read(ring, item, Start, Rows - Start), .. buffers.Read(ring, item, 0, Start)]);
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void StepEmbeddingAndLabels(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (int channels in new[] { 1, 16, 33 })
        {
            var config = Setup.Config(channels, Conditioner.Label);
            var parameters = Setup.Weights(config);
            ops.Load(config, parameters);
            using var buffers = new Buffers(ops);
            float[][] rows = [.. new[] { 0f, 17.3f, 49f }.Select(step =>
            {
                float[] row = new float[ModelConfig.StepTableWidth];
                StepEmbedding.Row(config.StepExponent, step, 50, row);
                return row;
            })];
            int[] labels = [5, 0, 3];
            IBuffer embedding = buffers.New(3, 1, ModelConfig.StepWidth), stepBias = buffers.New(3, config.Layers, channels), labelBias = buffers.New(3, config.Layers, 2 * channels);
            ops.StepEmbedding(buffers.Of(rows, ModelConfig.StepTableWidth), embedding, stepBias);
            ops.LabelBias(labels, labelBias);
            for (int item = 0; item < 3; item++)
            {
                double[] truth = Reference<double>.Embedding(parameters, Reference<double>.Of(rows[item]));
                float[] naive = Reference<float>.Embedding(parameters, rows[item]);
                Setup.AssertAsGoodAsNaive("embedding", truth, naive, buffers.Read(embedding, item, 0, 1));
                double[] Layers(Func<int, double[]> of) => [.. Enumerable.Range(0, config.Layers).SelectMany(of)];
                float[] LayersF(Func<int, float[]> of) => [.. Enumerable.Range(0, config.Layers).SelectMany(of)];
                Setup.AssertAsGoodAsNaive("step bias", Layers(i => Reference<double>.StepBias(parameters, i, truth)), LayersF(i => Reference<float>.StepBias(parameters, i, naive)), buffers.Read(stepBias, item, 0, config.Layers));
                Setup.AssertAsGoodAsNaive("label bias", Layers(i => Reference<double>.LabelBias(parameters, i, labels[item])), LayersF(i => Reference<float>.LabelBias(parameters, i, labels[item])), buffers.Read(labelBias, item, 0, config.Layers));
            }
        }
    }

    [Fact]
    public void ReverseStepIsThePlainFloat32Formula()
    {
        const int Rows = 301;
        using var ops = Setup.Device(SimdLevel.Auto);
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
            Setup.AssertSameBits("x", expected, buffers.Read(y, 0, 0, Rows));
        }
    }
}
