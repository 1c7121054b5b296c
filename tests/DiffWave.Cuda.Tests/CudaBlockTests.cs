using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The fused residual block as an operation of the engine.</summary>
public class CudaBlockTests
{
    // Resident and streamed weights, with and without a mel, both orders of the halves.
    public static TheoryData<Precision, int, bool> Tapes => new()
    {
        { Precision.Fp16, 64, false }, { Precision.Bf16, 32, true }, { Precision.Fp16, 128, true }, { Precision.Tf32, 64, false },
    };

    /// <summary>
    /// x, mel and weights are numbers of the precision, so that products are exact: what is kept may be off by a unit of float32 of the sum of magnitudes for every addition, and by the rounding of what is stored.
    /// </summary>
    [Theory]
    [MemberData(nameof(Tapes))]
    public void WhatTheGateReadsIsKept(Precision precision, int channels, bool philsyn)
    {
        const int rows = 150, items = 2, layer = 2, bands = 16;
        ModelConfig config = Setup.Config(channels, Conditioner.Mel, bands, [2], philsyn, layers: 4);
        Parameters parameters = Setup.Weights(config), magnitudes = Setup.Weights(config);
        foreach (string name in new[] { "dilated_conv.weight", "conditioner_projection.weight" }) Round(parameters[$"residual_layers.{layer}.{name}"]);
        for (int i = 0; i < magnitudes.Arena.Length; i++) magnitudes.Arena[i] = Math.Abs(parameters.Arena[i]);
        float[][] x = [.. Enumerable.Range(0, items).Select(item => Rounded(rows * channels, 20 + (uint)item))], mel = [.. Enumerable.Range(0, items).Select(item => Rounded(rows * bands, 30 + (uint)item))];
        float[] step = Setup.Normals(items * config.Layers * channels, 40);

        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision });
        using var smallLaunches = new OpsUnderTest(options: new CudaOptions { Precision = precision, LaunchValues = 2 * channels * 70 });
        var (kept, y, skips) = Run(device.Ops, keep: true);
        var (none, plainY, plainSkips) = Run(device.Ops, keep: false);
        var (pieces, _, _) = Run(smallLaunches.Ops, keep: true);
        for (int item = 0; item < items; item++)
        {
            double[] Hidden(Parameters weights, Func<double, double> map)
            {
                double[] Of(ReadOnlySpan<float> values) => [.. Reference<double>.Of(values).Select(map)];
                double[] conditioner = Reference<double>.Linear(Of(mel[item]), bands, Reference<double>.Of(weights[$"residual_layers.{layer}.conditioner_projection.weight"]),
                    Reference<double>.Of(weights[$"residual_layers.{layer}.conditioner_projection.bias"]));
                return Reference<double>.Block(config, weights, layer, Of(x[item]), Of(step.AsSpan((item * config.Layers + layer) * channels, channels)), null, conditioner).PreGate;
            }
            double[] truth = Hidden(parameters, value => value);
            double magnitude = Hidden(magnitudes, Math.Abs).Max(), bound = (7 * channels + bands) * magnitude / (1 << 23) + truth.Max(Math.Abs) * HalfUnit();
            Assert.InRange(Setup.MaxError(truth, kept[item]), 0, bound);
            Setup.AssertSameBits("kept in pieces", kept[item], pieces[item]);
            Assert.All(none[item], value => Assert.Equal(0, value));
            Setup.AssertSameBits("y", plainY[item], y[item]);
            Setup.AssertSameBits("skips", plainSkips[item], skips[item]);
        }

        double HalfUnit() => precision switch { Precision.Fp16 => 1.0 / (1 << 11), Precision.Bf16 => 1.0 / (1 << 8), _ => 1.0 / (1 << 24) };
        float[] Rounded(int count, uint stream)
        {
            float[] values = Setup.Normals(count, stream);
            Round(values);
            return values;
        }
        // To eight bits: numbers of every precision.
        void Round(Span<float> values)
        {
            for (int i = 0; i < values.Length; i++) values[i] = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(values[i]) & 0xffff0000);
        }
        (float[][] Kept, float[][] Y, float[][] Skips) Run(CudaOps ops, bool keep)
        {
            ops.Load(config, parameters);
            using IBuffer xs = ops.AllocateActivation(items, rows + 3, channels), mels = ops.AllocateActivation(items, rows, bands), ys = ops.AllocateActivation(items, rows, channels);
            using IBuffer sums = ops.AllocateActivation(items, rows, channels), preGate = ops.AllocateActivation(items, rows + 5, 2 * channels), stepBias = ops.Allocate(items, config.Layers, channels);
            for (int item = 0; item < items; item++)
            {
                ops.Upload(x[item], xs, item, 3);
                ops.Upload(mel[item], mels, item, 0);
                ops.Upload(step.AsSpan(item * config.Layers * channels, config.Layers * channels), stepBias, item, 0);
            }
            ops.FoldBiases(stepBias, null);
            ops.ResidualBlock(layer, new TimeRange(0, rows, rows), new Window(xs, 3), stepBias, null, new Window(mels, 0), new Window(ys, 0), new Window(sums, 0), keep ? new BlockTape(new Window(preGate, 5)) : null);
            float[][] Read(IBuffer buffer, int row) => [.. Enumerable.Range(0, items).Select(item =>
            {
                float[] values = new float[rows * buffer.Channels];
                ops.Download(buffer, item, row, values);
                return values;
            })];
            return (Read(preGate, 5), Read(ys, 0), Read(sums, 0));
        }
    }

    [Fact]
    public void PackedSignalsAreOneLaunchALayer()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Reports = true });
        using var ops = new CudaOps(driver, new CudaOptions { Precision = Precision.Fp16 });
        ModelConfig config = Setup.Config(32);
        ops.Load(config, Setup.Weights(config));
        var signals = new Segments([150, 1, 40]);
        using IBuffer x = ops.AllocateActivation(1, 191, 32), y = ops.AllocateActivation(1, 191, 32), skips = ops.AllocateActivation(1, 191, 32), step = ops.Allocate(3, config.Layers, 32);
        ops.FoldBiases(step, null);
        void Block(Segments all, int first, int count) =>
            ops.ResidualBlock(2, new TimeRange(first, count, 191, all), new Window(x, first), step, null, null, new Window(y, first), new Window(skips, first));
        int Launches(Action action)
        {
            driver.Synchronize();
            driver.ClearReports();
            action();
            driver.Synchronize();
            return driver.Reports.Count;
        }
        Assert.Equal(1, Launches(() => Block(signals, 0, 191)));
        using IRecording recording = ops.Record(() => Block(signals, 100, 60));
        for (int run = 0; run < 3; run++) Assert.Equal(1, Launches(recording.Run));
        Assert.Equal(1, Launches(() => Block(signals, 150, 1)));
        using IRecording changing = ops.Record(() => Block(new Segments([90, 101]), 0, 191));
        changing.Run();
        Assert.Contains("packed signals that it did not have", Assert.Throws<InvalidOperationException>(changing.Run).Message, StringComparison.Ordinal);
        Assert.Contains("keep no inner activations", Assert.Throws<ArgumentException>(() =>
            ops.ResidualBlock(2, new TimeRange(0, 191, 191, signals), new Window(x, 0), step, null, null, new Window(y, 0), new Window(skips, 0), new BlockTape(new Window(x, 0)))).Message, StringComparison.Ordinal);
    }
}
