using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>What the tests share: devices, models with lively weights, random signals, and the tolerance rule.</summary>
internal static class Setup
{
    public static TheoryData<SimdLevel> Levels => [SimdLevel.Avx512, SimdLevel.Avx2, SimdLevel.Portable];

    /// <summary>A device, or a skipped test where the machine lacks the instructions.</summary>
    public static IOps Device(SimdLevel level, int threads = 1)
    {
        try { return CpuDevice.Create(threads, level); }
        catch (PlatformNotSupportedException e)
        {
            Assert.Skip(e.Message);
            throw;
        }
    }

    /// <summary>7 layers, dilations 1 2 4 8 1 2 4, betas of 50 steps.</summary>
    public static ModelConfig Config(int channels, Conditioner conditioner = Conditioner.None, int bands = 5, int[]? factors = null, bool philsyn = false, int layers = 7, int cycle = 4)
    {
        bool mel = (conditioner & Conditioner.Mel) != 0;
        factors ??= [2];
        int hop = factors.Aggregate(1, (product, factor) => product * factor);
        var config = new ModelConfig
        {
            Channels = channels, Layers = layers, DilationCycle = cycle, Conditioner = conditioner, Labels = (conditioner & Conditioner.Label) != 0 ? 6 : 0,
            Mel = mel ? MelRecipe.Lmnt(22050, hop, bands) : null, UpsampleFactors = mel ? factors : [],
            TrainingBetas = NoiseSchedule.LinearBetas(1e-4, 0.05, 50), FastBetas = [1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5],
            GateOrder = philsyn ? GateOrder.FilterFirst : GateOrder.GateFirst, ResidualIncludesStepEmbedding = philsyn,
            StepExponent = philsyn ? StepExponent.Negative : StepExponent.Positive, Upsampler = philsyn ? Upsampler.PerLayer : Upsampler.Shared, ClampSamples = !philsyn,
        };
        Assert.Null(config.Problem());
        return config;
    }

    /// <summary>Initial weights with the last projection, which starts at zero, drawn too.</summary>
    public static Parameters Weights(ModelConfig config, ulong seed = 1)
    {
        var parameters = Initializer.Create(config, seed);
        PhiloxNoise.Fill(seed, 1000, 0, 0, parameters["output_projection.weight"]);
        return parameters;
    }

    public static float[] Normals(int count, uint stream, ulong seed = 7)
    {
        float[] values = new float[count];
        PhiloxNoise.Fill(seed, stream, 0, 0, values);
        return values;
    }

    /// <summary>A mel an item, as sources and as [frames, M].</summary>
    public static (IMelSource[] Sources, float[][] Rows) Mels(ModelConfig config, int batch, int frames)
    {
        var sources = Enumerable.Range(0, batch).Select(item => (IMelSource)new MemoryMel(Normals(config.Bands * frames, 50 + (uint)item), config.Bands, frames)).ToArray();
        return (sources, [.. sources.Select(source =>
        {
            float[] rows = new float[frames * config.Bands];
            source.Read(0, frames, rows);
            return rows;
        })]);
    }

    /// <summary>
    /// The tolerance rule: the error against float64 is at most twice that of a naive float32 evaluation of the same formula, plus a floor of four units in the last
    /// place of the largest value. The floor counts where the naive sum is so short that its error is a lucky one or two roundings.
    /// </summary>
    public static void AssertAsGoodAsNaive(string what, double[] truth, float[] naive, float[] actual)
    {
        Assert.Equal(truth.Length, actual.Length);
        double largest = truth.Max(Math.Abs), floor = 4 * Math.Pow(2, -23) * largest;
        double allowed = 2 * MaxError(truth, naive) + floor, error = MaxError(truth, actual);
        Assert.True(error <= allowed, $"{what}: error {error:g3}, allowed {allowed:g3} (twice the naive float32 error {MaxError(truth, naive):g3}, plus {floor:g3})");
    }

    public static double MaxError(double[] truth, float[] values)
    {
        double largest = 0;
        for (int i = 0; i < truth.Length; i++)
        {
            double error = Math.Abs(truth[i] - values[i]);
            if (double.IsNaN(error)) return double.NaN;
            largest = Math.Max(largest, error);
        }
        return largest;
    }

    public static void AssertSameBits(string what, float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i])) Assert.Fail($"{what}: value {i} is {actual[i]:r}, expected the bits of {expected[i]:r}");
    }
}

/// <summary>Buffers that go away with the test.</summary>
internal sealed class Buffers(IOps ops) : IDisposable
{
    private readonly List<IBuffer> _buffers = [];

    public IBuffer New(int batch, int rows, int channels)
    {
        _buffers.Add(ops.Allocate(batch, rows, channels));
        return _buffers[^1];
    }

    /// <summary>A buffer filled with NaN, to show what an operation must not read.</summary>
    public IBuffer Poisoned(int batch, int rows, int channels)
    {
        var buffer = New(batch, rows, channels);
        float[] nan = new float[rows * channels];
        Array.Fill(nan, float.NaN);
        for (int item = 0; item < batch; item++) ops.Upload(nan, buffer, item, 0);
        return buffer;
    }

    public IBuffer Of(float[][] items, int channels, int before = 0, int after = 0)
    {
        int rows = items[0].Length / channels;
        var buffer = before + after > 0 ? Poisoned(items.Length, before + rows + after, channels) : New(items.Length, rows, channels);
        for (int item = 0; item < items.Length; item++) ops.Upload(items[item], buffer, item, before);
        return buffer;
    }

    /// <summary>One value an item, [B, 1, 1].</summary>
    public IBuffer OneEach(params float[] values) => Of([.. values.Select(value => new[] { value })], 1);

    public float[] Read(IBuffer buffer, int item, int firstRow, int rows)
    {
        float[] values = new float[rows * buffer.Channels];
        ops.Download(buffer, item, firstRow, values);
        return values;
    }

    public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());
}
