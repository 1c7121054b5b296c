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
            OperationChecks.InputProjectionAndHead(Ops, channels, rows, batch);
    }

    [Fact]
    public void MelUpsampler()
    {
        foreach (var (factors, bands, frames, philsyn) in new (int[], int, int, bool)[]
                 { ([16, 4], 80, 3, false), ([15, 2], 33, 3, true), ([5, 2, 3], 8, 3, false), ([2], 5, 1, true), ([1], 33, 9, false), ([3, 1, 7], 12, 5, true) })
            OperationChecks.MelUpsampler(Ops, factors, bands, frames, philsyn);
    }

    [Fact]
    public void ConditionerProjectionIntoARing()
    {
        foreach (var (channels, bands) in new[] { (5, 5), (16, 80), (37, 33), (64, 80) }) OperationChecks.ConditionerProjectionIntoARing(Ops, channels, bands, rows: 70, start: 47);
    }

    [Fact]
    public void StepEmbeddingAndLabels()
    {
        foreach (int channels in new[] { 5, 16 }) OperationChecks.StepEmbeddingAndLabels(Ops, channels, layers: 3, BackwardSetup.Items(3, ModelConfig.StepTableWidth, 0));
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
    public void ResidualBlock(int channels, int layer, int rows, int batch, bool philsyn, bool conditioned) => OperationChecks.ResidualBlock(Ops, channels, layer, rows, batch, philsyn, conditioned);

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
    public void ReverseStepIsThePlainFloat32Formula() => OperationChecks.ReverseStepIsThePlainFloat32Formula(Ops, bitsOfNaN: false);

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
