using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Kernels.Tests;

/// <summary>A signal that is upsampled piece by piece has the bits of the whole, by either version.</summary>
public sealed class MelUpsamplerTests : IDisposable
{
    private const int Batch = 2, Bands = 12, Inputs = 9;

    private readonly EmulatedDriver driver = new(new EmulatorOptions());
    private readonly KernelRunner runner;

    public MelUpsamplerTests() => runner = new KernelRunner(driver);

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }

    [Theory, InlineData(1), InlineData(2), InlineData(5), InlineData(16), InlineData(33)]
    public void PiecesAreTheWhole(int factor)
    {
        int outputs = Inputs * factor;
        int[] uncut = [0, outputs], cut = [0, 1, 1 + outputs / 3, outputs / 2 + 2, outputs - 1, outputs];
        float[] whole = Upsample(nameof(MelUpsampler.ForwardV1), factor, uncut);
        Assert.DoesNotContain(float.NaN, whole);
        Assert.Equal(whole, Upsample(nameof(MelUpsampler.ForwardV1), factor, cut));
        Assert.Equal(whole, Upsample(nameof(MelUpsampler.ForwardV2), factor, uncut));
        Assert.Equal(whole, Upsample(nameof(MelUpsampler.ForwardV2), factor, cut));
    }

    // Launches the stretches of output rows between the cuts, each with the input rows it needs.
    private float[] Upsample(string version, int factor, int[] cuts)
    {
        var random = new Random(7);
        float[] Values(int length) => [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)];
        float[] y = new float[Batch * Inputs * factor * Bands];
        Array.Fill(y, float.NaN);
        DeviceArray x = OnDevice(Values(Batch * Inputs * Bands)), weight = OnDevice(Values(3 * MelUpsampler.Taps(factor))), bias = OnDevice(Values(1)), result = OnDevice(y);
        Rows<float> RowsFrom(DeviceArray array, int itemRows, long first) => new(new ArrayView<float>((nint)array.Address, array.Length), itemRows, (int)first, Bands);
        LoadedKernel kernel = runner.Load(typeof(MelUpsampler).GetMethod(version)!);
        foreach (var (first, end) in cuts.Zip(cuts.Skip(1)))
        {
            (long low, int count, int shift) = MelUpsampler.Inputs(first, end - first, Inputs, factor);
            var (gridX, gridY, _) = MelUpsampler.GridV2(Batch, end - first, Bands, factor, shift);
            Dim3 grid = version == nameof(MelUpsampler.ForwardV2) ? new(gridX, gridY, Batch) : new(((end - first) * Bands + 255) / 256, 1, Batch);
            runner.Launch(kernel, grid, new Dim3(256), 0, 0, RowsFrom(x, Inputs, low), RowsFrom(result, Inputs * factor, first), weight, bias, count, end - first, factor, shift);
        }
        driver.CopyToHost(MemoryMarshal.AsBytes(y.AsSpan()), result.Address);
        foreach (DeviceArray array in new[] { x, weight, bias, result }) driver.Free(array.Address);
        return y;
    }

    private DeviceArray OnDevice(float[] values)
    {
        var array = new DeviceArray(driver.Allocate(sizeof(float) * values.Length), values.Length, typeof(float));
        driver.CopyToDevice(array.Address, MemoryMarshal.AsBytes(values.AsSpan()));
        return array;
    }

    [Theory]
    [InlineData(0, 16, 5, 16, 0, 2, 8)]         // the first rows read inputs 0 and 1
    [InlineData(23, 1, 5, 16, 0, 2, 31)]        // the last row before input 2 comes in
    [InlineData(24, 1, 5, 16, 1, 2, 16)]        // where input 0 has gone
    [InlineData(79, 1, 5, 16, 4, 1, 23)]        // the last row of all
    [InlineData(14, 1, 5, 3, 4, 1, 3)]
    [InlineData(4, 1, 5, 3, 1, 1, 2)]           // the last phase of an odd factor reads one input
    [InlineData(3_000_000_000, 256, 20_000_000, 256, 11_718_749, 3, 384)] // half of the rows lie before input 11,718,751
    public void InputsAreThoseThatMeetTheOutputs(long first, int outputs, long inputs, int factor, long low, int count, int shift) =>
        Assert.Equal((low, count, shift), MelUpsampler.Inputs(first, outputs, inputs, factor));
}
