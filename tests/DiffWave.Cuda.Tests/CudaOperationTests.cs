using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Every forward operation of <see cref="CudaOps"/> on the emulator: against float64, or for the bits where every device has the same.</summary>
public sealed class CudaOperationTests : IDisposable
{
    private readonly OpsUnderTest device = new();

    private CudaOps Ops => device.Ops;

    public void Dispose() => device.Dispose();

    // Channels that are no multiple of four take version 1 of a kernel.
    [Fact]
    public void InputProjectionAndHead()
    {
        foreach (var (channels, rows, batch) in new[] { (5, 1, 1), (16, 131, 3), (24, 7, 1), (37, 67, 3), (64, 130, 1) })
        {
            var config = Setup.Config(channels);
            var parameters = Setup.Weights(config);
            Ops.Load(config, parameters);
            using var buffers = new Buffers(Ops);
            float[][] audio = BackwardSetup.Items(batch, rows, 0), skips = BackwardSetup.Items(batch, rows * channels, 9);
            // The range reaches over both ends of the signal; what lies there is not touched.
            IBuffer x = buffers.Poisoned(batch, rows + 7, channels), eps = buffers.Poisoned(batch, rows + 7, 1);
            var range = new TimeRange(-3, rows + 7, rows);
            Ops.InputProjection(range, new Window(buffers.Of(audio, 1, 3, 4), 0), new Window(x, 0));
            Ops.Head(range, new Window(buffers.Of(skips, channels, 3, 4), 0), new Window(eps, 0));
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
    }

    [Fact]
    public void MelUpsampler()
    {
        foreach (var (factors, bands, frames, philsyn) in new (int[], int, int, bool)[]
                 { ([16, 4], 80, 3, false), ([15, 2], 33, 3, true), ([5, 2, 3], 8, 3, false), ([2], 5, 1, true), ([1], 33, 9, false), ([3, 1, 7], 12, 5, true) })
        {
            var config = Setup.Config(8, Conditioner.Mel, bands, factors, philsyn);
            var parameters = Setup.Weights(config);
            Ops.Load(config, parameters);
            var (_, mels) = Setup.Mels(config, 2, frames);
            int length = Math.Max(1, frames * config.Hop - config.Hop / 2), layer = philsyn ? 5 : 0;
            using var buffers = new Buffers(Ops);
            IBuffer upsampled = buffers.New(2, length, bands);
            Ops.UpsampleMel(layer, new TimeRange(0, length, length), new Window(buffers.Of(mels, bands), 0), 0, frames, new Window(upsampled, 0));
            for (int item = 0; item < 2; item++)
                Setup.AssertAsGoodAsNaive($"upsampler [{string.Join(", ", factors)}], {bands} bands", Reference<double>.Upsample(config, parameters, layer, Reference<double>.Of(mels[item]))[..(length * bands)],
                    Reference<float>.Upsample(config, parameters, layer, mels[item])[..(length * bands)], buffers.Read(upsampled, item, 0, length));
            // Any stretch, from a window of the mel that starts later, gives the same bits.
            int first = length / 3, count = length - first, firstFrame = Math.Max(0, first / config.Hop - 3);
            IBuffer part = buffers.New(2, count, bands);
            Ops.UpsampleMel(layer, new TimeRange(first, count, length), new Window(buffers.Of([.. mels.Select(m => m[(firstFrame * bands)..])], bands), 0), firstFrame, frames, new Window(part, 0));
            for (int item = 0; item < 2; item++) Setup.AssertSameBits("a stretch", buffers.Read(upsampled, item, first, count), buffers.Read(part, item, 0, count));
        }
    }

    [Fact]
    public void ConditionerProjectionIntoARing()
    {
        foreach (var (channels, bands) in new[] { (5, 5), (16, 80), (37, 33), (64, 80) })
        {
            const int Rows = 70, Start = 47, Layer = 3;
            var config = Setup.Config(channels, Conditioner.Mel, bands);
            var parameters = Setup.Weights(config);
            Ops.Load(config, parameters);
            using var buffers = new Buffers(Ops);
            float[][] upsampled = BackwardSetup.Items(2, Rows * bands, 3);
            IBuffer ring = buffers.New(2, Rows, 2 * channels);
            Ops.ConditionerProjection(Layer, new TimeRange(0, Rows, Rows), new Window(buffers.Of(upsampled, bands), 0), new Window(ring, Start));
            for (int item = 0; item < 2; item++)
                Setup.AssertAsGoodAsNaive($"conditioner C={channels} M={bands}", Reference<double>.MelBias(config, parameters, Layer, Reference<double>.Of(upsampled[item])),
                    Reference<float>.MelBias(config, parameters, Layer, upsampled[item]), [.. buffers.Read(ring, item, Start, Rows - Start), .. buffers.Read(ring, item, 0, Start)]);
        }
    }

    [Fact]
    public void StepEmbeddingAndLabels()
    {
        foreach (int channels in new[] { 5, 16 })
        {
            var config = Setup.Config(channels, Conditioner.Label, layers: 3);
            var parameters = Setup.Weights(config);
            Ops.Load(config, parameters);
            using var buffers = new Buffers(Ops);
            float[][] rows = BackwardSetup.Items(3, ModelConfig.StepTableWidth, 0);
            int[] labels = [5, 0, 3];
            IBuffer embedding = buffers.New(3, 1, ModelConfig.StepWidth), stepBias = buffers.New(3, config.Layers, channels), labelBias = buffers.New(3, config.Layers, 2 * channels);
            Ops.StepEmbedding(buffers.Of(rows, ModelConfig.StepTableWidth), embedding, stepBias);
            Ops.LabelBias(labels, labelBias);
            for (int item = 0; item < 3; item++)
            {
                double[] truth = Reference<double>.Embedding(parameters, Reference<double>.Of(rows[item]));
                float[] naive = Reference<float>.Embedding(parameters, rows[item]);
                T[] Layers<T>(Func<int, T[]> of) => [.. Enumerable.Range(0, config.Layers).SelectMany(of)];
                Setup.AssertAsGoodAsNaive("embedding", truth, naive, buffers.Read(embedding, item, 0, 1));
                Setup.AssertAsGoodAsNaive("step bias", Layers(i => Reference<double>.StepBias(parameters, i, truth)), Layers(i => Reference<float>.StepBias(parameters, i, naive)),
                    buffers.Read(stepBias, item, 0, config.Layers));
                Setup.AssertAsGoodAsNaive("label bias", Layers(i => Reference<double>.LabelBias(parameters, i, labels[item])), Layers(i => Reference<float>.LabelBias(parameters, i, labels[item])),
                    buffers.Read(labelBias, item, 0, config.Layers));
            }
        }
    }

    // channels, layer (dilation 1 2 4 8 1 2 4; 6 is the last), T, batch, philsyn's switches, with conditioner and label
    [Theory]
    [InlineData(5, 0, 1, 3, true, false)]
    [InlineData(8, 3, 5, 3, true, true)]
    [InlineData(16, 3, 1, 1, false, true)]
    [InlineData(24, 5, 131, 1, false, true)]
    [InlineData(37, 2, 66, 3, false, true)]
    [InlineData(37, 3, 7, 1, true, false)]
    [InlineData(64, 1, 67, 1, true, true)]
    [InlineData(16, 6, 99, 3, false, true)]
    public void ResidualBlock(int channels, int layer, int rows, int batch, bool philsyn, bool conditioned)
    {
        var config = Setup.Config(channels, conditioned ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
        var parameters = Setup.Weights(config);
        Ops.Load(config, parameters);
        int d = config.Dilation(layer), step = config.Layers * channels;
        float[][] x = BackwardSetup.Items(batch, rows * channels, 0), before = BackwardSetup.Items(batch, rows * channels, 10), steps = BackwardSetup.Items(batch, step, 20);
        float[][] label = BackwardSetup.Items(batch, 2 * step, 30), mel = BackwardSetup.Items(batch, rows * 2 * channels, 40);
        using var buffers = new Buffers(Ops);
        IBuffer y = buffers.New(batch, rows, channels), skips = buffers.Of(before, channels), preGate = buffers.New(batch, rows, 2 * channels), gated = buffers.New(batch, rows, channels);
        // Rows around the signal hold NaN: beyond an end a convolution reads zero, whatever the buffer holds.
        Ops.ResidualBlock(layer, new TimeRange(0, rows, rows), new Window(buffers.Of(x, channels, d, d), d), buffers.Of(steps, channels), conditioned ? buffers.Of(label, 2 * channels) : null,
            conditioned ? new Window(buffers.Of(mel, 2 * channels), 0) : null, new Window(y, 0), new Window(skips, 0), new BlockTape(new Window(preGate, 0), new Window(gated, 0)));
        for (int item = 0; item < batch; item++)
        {
            var truth = Evaluate<double>(item);
            var naive = Evaluate<float>(item);
            Setup.AssertAsGoodAsNaive($"pre-gate, item {item}", truth.PreGate, naive.PreGate, buffers.Read(preGate, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"gate, item {item}", truth.Gated, naive.Gated, buffers.Read(gated, item, 0, rows));
            Setup.AssertAsGoodAsNaive($"skips, item {item}", truth.Skip, naive.Skip, buffers.Read(skips, item, 0, rows));
            if (layer < config.Layers - 1) Setup.AssertAsGoodAsNaive($"y, item {item}", truth.Y, naive.Y, buffers.Read(y, item, 0, rows));
            else Assert.All(buffers.Read(y, item, 0, rows), value => Assert.Equal(0, value)); // there is none
        }

        Reference<T>.BlockResult Evaluate<T>(int item) where T : struct, System.Numerics.IFloatingPointIeee754<T>
        {
            var block = Reference<T>.Block(config, parameters, layer, Reference<T>.Of(x[item]), Reference<T>.Of(steps[item].AsSpan(layer * channels, channels)),
                conditioned ? Reference<T>.Of(label[item].AsSpan(layer * 2 * channels, 2 * channels)) : null, conditioned ? Reference<T>.Of(mel[item]) : null);
            if (layer > 0) for (int i = 0; i < block.Skip.Length; i++) block.Skip[i] += Reference<T>.Of(before[item][i]);
            return block;
        }
    }

    [Theory]
    [InlineData(24)]
    [InlineData(5)]
    public void AnyRangesOfABlockGiveTheSameBits(int channels)
    {
        const int Rows = 150, Layer = 2, Around = 16;
        var config = Setup.Config(channels);
        Ops.Load(config, Setup.Weights(config));
        using var buffers = new Buffers(Ops);
        IBuffer x = buffers.Of(BackwardSetup.Items(2, Rows * channels, 0), channels, Around, Around), step = buffers.Of(BackwardSetup.Items(2, config.Layers * channels, 5), channels);
        IBuffer mel = buffers.Of(BackwardSetup.Items(2, (Rows + 2 * Around) * 2 * channels, 7), 2 * channels);
        float[][] results = [.. new[] { Rows, 64, 16, 7 }.Select(count =>
        {
            IBuffer y = buffers.New(2, Rows + 2 * Around, channels), skips = buffers.New(2, Rows + 2 * Around, channels);
            for (int first = -count; first < Rows; first += count)
            {
                int at = Math.Max(first, -Around), here = Math.Min(count - (at - first), Rows + Around - at);
                if (here > 0)
                    Ops.ResidualBlock(Layer, new TimeRange(at, here, Rows), new Window(x, Around + at), step, null, new Window(mel, Around + at), new Window(y, Around + at), new Window(skips, Around + at));
            }
            return (float[])[.. buffers.Read(y, 1, Around, Rows), .. buffers.Read(skips, 1, Around, Rows)];
        })];
        foreach (float[] result in results) Setup.AssertSameBits("y and skips", results[0], result);
    }

    [Fact]
    public void NormalsAreTheBitsOfTheGenerator()
    {
        using var buffers = new Buffers(Ops);
        IBuffer normals = buffers.New(3, 1300, 1);
        Ops.SetSeed(0x9876543210ABCDEF);
        foreach (var (first, row, rows) in new[] { (0L, 0, 1300), (5L, 3, 1100), (5_000_000_003L, 1, 7) })
        {
            Ops.Normals(new NoiseDraw(7, 2, 11, first, 1000), rows, new Window(normals, row));
            for (int item = 0; item < 3; item++)
            {
                float[] expected = new float[rows];
                PhiloxNoise.Fill(0x9876543210ABCDEF, 7 + 2 * (uint)item, 11, first + item * 1000, expected);
                Setup.AssertSameBits("normals", expected, buffers.Read(normals, item, row, rows));
            }
        }
    }

    [Fact]
    public void ReverseStepIsThePlainFloat32Formula()
    {
        const int Rows = 301;
        using var buffers = new Buffers(Ops);
        float[] x = Setup.Normals(Rows, 0), eps = Setup.Normals(Rows, 1), noise = Setup.Normals(Rows, 2);
        x[5] = float.NaN;
        foreach (var (sigma, clamp) in new[] { (0f, false), (0.3f, true), (0.3f, false) })
        {
            IBuffer y = buffers.Of([x], 1);
            var z = sigma == 0 ? buffers.Poisoned(1, Rows, 1) : buffers.Of([noise], 1);
            Ops.ReverseStep(new TimeRange(-4, Rows, Rows - 20), new Window(y, 0), new Window(buffers.Of([eps], 1), 0), new Window(z, 0), 1.1f, 0.7f, sigma, clamp, new Window(y, 0));
            float[] expected = [.. x.Select((value, i) =>
            {
                if (i < 4 || i >= Rows - 16) return value; // outside the signal
                float next = 1.1f * (value - 0.7f * eps[i]);
                if (sigma != 0) next += sigma * noise[i];
                return clamp && !float.IsNaN(next) ? Math.Min(1, Math.Max(-1, next)) : next;
            })];
            float[] actual = buffers.Read(y, 0, 0, Rows);
            Assert.True(float.IsNaN(actual[5])); // processors differ in which NaN they make
            (expected[5], actual[5]) = (0, 0);
            Setup.AssertSameBits("x", expected, actual);
        }
    }

    [Theory]
    [InlineData(5)]
    [InlineData(8)]
    public void RowsAreCopiedAlsoWhereWindowsOverlap(int channels)
    {
        const int Rows = 40;
        float[][] items = BackwardSetup.Items(2, Rows * channels, 3);
        foreach (var (from, to, count) in new[] { (0, 3, 30), (10, 0, 30), (0, 20, 20), (4, 4, 9) })
        {
            using var buffers = new Buffers(Ops);
            IBuffer buffer = buffers.Of(items, channels), other = buffers.New(2, Rows, channels);
            Ops.Copy(new Window(buffer, from), new Window(other, to), count);
            Ops.Copy(new Window(buffer, from), new Window(buffer, to), count);
            for (int item = 0; item < 2; item++)
            {
                float[] moved = items[item][(from * channels)..((from + count) * channels)];
                Setup.AssertSameBits("to another buffer", moved, buffers.Read(other, item, to, count));
                Setup.AssertSameBits("within the buffer", moved, buffers.Read(buffer, item, to, count));
                Setup.AssertSameBits("rows before", items[item][..(Math.Min(from, to) * channels)], buffers.Read(buffer, item, 0, Math.Min(from, to)));
            }
            Ops.Clear(buffer);
            Assert.All(buffers.Read(buffer, 1, 0, Rows), value => Assert.Equal(0, value));
        }
    }

    [Fact]
    public void WhatABufferHasNotIsRefused()
    {
        using IBuffer buffer = Ops.Allocate(2, 3, 4);
        Assert.Contains("2 items of 3 rows", Assert.Throws<ArgumentOutOfRangeException>(() => Ops.Upload(new float[8], buffer, 1, 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Ops.Download(buffer, 2, 0, new float[4]));
        Assert.Contains("no whole rows of 4", Assert.Throws<ArgumentException>(() => Ops.Upload(new float[5], buffer, 0, 0)).Message, StringComparison.Ordinal);
        Assert.Contains("65535", Assert.Throws<ArgumentOutOfRangeException>(() => Ops.Allocate(65536, 1, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("call Load first", Assert.Throws<InvalidOperationException>(() => Ops.StepEmbedding(buffer, buffer, buffer)).Message, StringComparison.Ordinal);
        Assert.Contains("LoadTraining", Assert.Throws<InvalidOperationException>(() => Ops.GradientNorm()).Message, StringComparison.Ordinal);
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Ops.Clear(buffer));
        Assert.Equal("emulator (sm_90, for checking)", Ops.Device);
    }
}
