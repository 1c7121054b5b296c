using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Kernels.Tests;

/// <summary>Gradients of weights over a batch, from slices of rows to the gradient.</summary>
public sealed class GradientSumTests : IDisposable
{
    private const int Rows = 1030, Outputs = 16, Inputs = 8, Taps = 3, Dilation = 4, Values = Outputs * Inputs * Taps, Batch = 3;

    private readonly EmulatedDriver driver = new(new EmulatorOptions());
    private readonly KernelRunner runner;

    public GradientSumTests() => runner = new KernelRunner(driver);

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }

    [Theory]
    [InlineData("weight_gradient_v1", "slice_sum_v1")]
    [InlineData("weight_gradient_v2", "slice_sum_v2")]
    public void ABatchCutIntoCallsGivesTheSameBits(string slices, string sum)
    {
        float[] d = Random(1, Batch * Rows * Outputs), x = Random(2, Batch * Rows * Inputs), before = Random(3, Values);
        float[] together = [.. before], apart = [.. before];
        Add(slices, sum, d, x, together, Batch);
        Add(slices, sum, [.. d.Take(Rows * Outputs)], [.. x.Take(Rows * Inputs)], apart, 1);
        Add(slices, sum, [.. d.Skip(Rows * Outputs)], [.. x.Skip(Rows * Inputs)], apart, Batch - 1);
        Assert.Equal(together, apart);

        double[] partial = new double[Batch * SliceSum.Slices(Rows) * Values], gradient = [.. before.Select(value => (double)value)];
        WeightGradient.Reference(d, x, [], partial.AsSpan(), Rows, Outputs, Inputs, Taps, Dilation, 1);
        for (int i = 0; i < partial.Length; i++) gradient[(i % Values / (Taps * Inputs) * Inputs + i % Inputs) * Taps + i / Inputs % Taps] += partial[i];
        for (int i = 0; i < Values; i++) Assert.Equal(gradient[i], together[i], 1e-4); // of sums of 3,090 products below 1: a layout that is off misses by the size of the sums, 30
    }

    private void Add(string slices, string sum, float[] d, float[] x, float[] gradient, int batch)
    {
        int count = SliceSum.Slices(Rows);
        KernelVersion first = KernelCatalog.Find(slices)!, second = KernelCatalog.Find(sum)!;
        Dim3 tiles = first.Method.Name == nameof(WeightGradient.GradientV1) ? new((Values + 255) / 256, count, batch) : new(1, count, batch), threads = new(first.Method.Name == nameof(WeightGradient.GradientV1) ? 256 : 64);
        ulong onD = Upload(d), onX = Upload(x), onGradient = Upload(gradient), partial = driver.Allocate(sizeof(float) * batch * count * Values);
        Rows Of(ulong address, int length, int rows, int channels) => new(new ArrayView<float>((nint)address, length), rows, 0, channels);
        Rows inputs = Of(onX, x.Length, Rows, Inputs);
        var sums = new DeviceArray(partial, (long)batch * count * Values, typeof(float));
        runner.Launch(runner.Load(first.Method, new Dictionary<string, object> { ["taps"] = Taps, ["hasStep"] = false }), tiles, threads, 0, 0, Of(onD, d.Length, Rows, Outputs), inputs, inputs, sums, Rows, Dilation, 1f);
        int block = second.Method.Name == nameof(SliceSum.SumV1) ? 256 : 128;
        runner.Launch(runner.Load(second.Method, new Dictionary<string, object> { ["accumulate"] = true }), new Dim3((Values + block - 1) / block), new Dim3(block), 0, 0, sums, Of(onGradient, Values, 1, Values), batch * count, Inputs, Taps);
        driver.CopyToHost(MemoryMarshal.AsBytes(gradient.AsSpan()), onGradient);
        foreach (ulong address in (ulong[])[onD, onX, onGradient, partial]) driver.Free(address);
    }

    private ulong Upload(float[] values)
    {
        ulong address = driver.Allocate(sizeof(float) * values.Length);
        driver.CopyToDevice(address, MemoryMarshal.AsBytes(values.AsSpan()));
        return address;
    }

    private static float[] Random(int seed, int length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => 2 * random.NextSingle() - 1)];
    }
}
