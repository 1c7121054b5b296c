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
    [InlineData(false)]
    [InlineData(true)]
    public void ABatchCutIntoCallsGivesTheSameBits(bool fast)
    {
        float[] d = Random(1, Batch * Rows * Outputs), x = Random(2, Batch * Rows * Inputs), before = Random(3, Values);
        float[] together = [.. before], apart = [.. before];
        Add(fast, d, x, together, Batch);
        Add(fast, [.. d.Take(Rows * Outputs)], [.. x.Take(Rows * Inputs)], apart, 1);
        Add(fast, [.. d.Skip(Rows * Outputs)], [.. x.Skip(Rows * Inputs)], apart, Batch - 1);
        Assert.Equal(together, apart);

        double[] partial = new double[Batch * SliceSum.Slices(Rows) * Values], gradient = [.. before.Select(value => (double)value)];
        WeightGradient.Reference(d, x, [], partial.AsSpan(), Rows, Outputs, Inputs, Taps, Dilation, 1);
        for (int i = 0; i < partial.Length; i++) gradient[(i % Values / (Taps * Inputs) * Inputs + i % Inputs) * Taps + i / Inputs % Taps] += partial[i];
        for (int i = 0; i < Values; i++) Assert.Equal(gradient[i], together[i], 1e-4); // of sums of 3,090 products below 1: a layout that is off misses by the size of the sums, 30
    }

    private void Add(bool fast, float[] d, float[] x, float[] gradient, int batch)
    {
        int count = SliceSum.Slices(Rows);
        KernelVersion slices = KernelCatalog.Find(fast ? "weight_gradient_v2" : "weight_gradient_v1")!, sum = KernelCatalog.Find(fast ? "slice_sum_v2" : "slice_sum_v1")!;
        ulong onD = Upload(d), onX = Upload(x), onGradient = Upload(gradient), partial = driver.Allocate(sizeof(float) * batch * count * Values);
        Rows<float> dRows = Of(onD, d.Length, Rows, Outputs), xRows = Of(onX, x.Length, Rows, Inputs), target = Of(onGradient, Values, 1, Values);
        var sums = new DeviceArray(partial, (long)batch * count * Values, typeof(float));

        LoadedKernel first = runner.Load(slices.Method, new Dictionary<string, object> { ["taps"] = Taps, ["hasStep"] = false });
        runner.Launch(first, new Dim3(fast ? 1 : (Values + 255) / 256, count, batch), new Dim3(fast ? 64 : 256), 0, 0, dRows, xRows, xRows, sums, Rows, Dilation, 1f);
        LoadedKernel second = runner.Load(sum.Method, new Dictionary<string, object> { ["accumulate"] = true });
        int threads = fast ? 128 : 256;
        runner.Launch(second, new Dim3((Values + threads - 1) / threads), new Dim3(threads), 0, 0, sums, target, batch * count, Inputs, Taps);
        driver.CopyToHost(MemoryMarshal.AsBytes(gradient.AsSpan()), onGradient);
        foreach (ulong address in (ulong[])[onD, onX, onGradient, partial]) driver.Free(address);
    }

    private static Rows<float> Of(ulong address, int length, int rows, int channels) => new(new ArrayView<float>((nint)address, length), rows, 0, channels);

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
