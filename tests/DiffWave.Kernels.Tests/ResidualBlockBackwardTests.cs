using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Kernels.Tests;

/// <summary>The data gradients of a block in one launch: what its reference says, and what does not depend on how it is launched.</summary>
public sealed class ResidualBlockBackwardTests : IDisposable
{
    private readonly EmulatedDriver driver = new();
    private readonly KernelRunner runner;

    public ResidualBlockBackwardTests() => runner = new KernelRunner(driver);

    [Theory]
    [InlineData(7, 4, 2, true, false, false)]
    [InlineData(7, 4, 2, true, true, true)]
    [InlineData(1, 3, 4, true, false, true)]
    [InlineData(5, 6, 8, false, true, false)]
    [InlineData(9, 2, 1, false, false, true)]
    public void TheReferenceIsThatOfTheParts(int rows, int channels, int dilation, bool hasY, bool gateFirst, bool stepInResidual)
    {
        var random = new Random(1);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
        int values = rows * channels;
        float[] dY = hasY ? Values(values) : [], dSkips = Values(values), h = Values(2 * values), dilated = Values(6 * channels * channels), output = Values(2 * channels * channels);
        float[] dZ = new float[values], dH = new float[2 * values], z = new float[values];
        ResidualOutputBackward.Reference(output, dY, dSkips, dZ.AsSpan(), channels);
        GatedActivation.ReferenceBackward(h, dZ, dH.AsSpan(), channels, gateFirst);
        GatedActivation.Reference(h, z.AsSpan(), channels, gateFirst);
        double[] dX = [.. hasY ? dY.Select(value => (double)value) : new double[values]], step = new double[channels];
        DilatedConvBackward.Reference(dilated, dH, dX.AsSpan(), step.AsSpan(), rows, channels, dilation, hasY, stepInResidual);

        float[] scaled = [.. output.Select((weight, i) => i < channels * channels ? weight * MathF.Sqrt(0.5f) : weight)];
        ResidualBlockBackward.Gradients<double> block = ResidualBlockBackward.Reference<double>(dY, dSkips, h, dilated, scaled, channels, dilation, gateFirst, stepInResidual);
        Same(dZ.Select(value => (double)value), block.DZ);
        Same(z.Select(value => (double)value), block.Z);
        Same(dH.Select(value => (double)value), block.DH);
        Same(dX, block.DX);
        Same(step, [.. Enumerable.Range(0, channels).Select(i => Enumerable.Range(0, rows).Sum(row => block.Step[row * channels + i]))]);

        void Same(IEnumerable<double> expected, double[] actual) => Assert.All(expected.Zip(actual), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 1e-5)); // the parts hand float32 on
    }

    [Theory]
    [InlineData("residual_block_backward_v2", "batch=2,rows=600,channels=32,dilation=4")]
    [InlineData("residual_block_backward_v2_bf16", "batch=2,rows=400,channels=64,dilation=256,hasY=0")]
    public void AnyNumberOfBlocksGivesTheSameBits(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        byte[][] Bits(int blocks) => Outputs(version, version.Shapes[0].With($"{shape},blocks={blocks}"));
        byte[][] one = Bits(1);
        foreach (int blocks in new[] { 3, 7, 40 }) Assert.Equal(one, Bits(blocks));
    }

    [Theory]
    [InlineData("residual_block_backward_v2", 32)]
    [InlineData("residual_block_backward_v2_bf16", 64)]
    public void AnItemHasTheSameBitsAloneAndInABatch(string name, int channels)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        KernelShape alone = version.Shapes[0].With($"batch=1,rows=200,channels={channels},dilation=16"), together = alone.With("batch=2");
        foreach (var (first, both) in Outputs(version, alone).Zip(Outputs(version, together))) Assert.Equal(first, both[..first.Length]); // random data begin alike
    }

    [Fact]
    public void TheShapesOfTheTrialsHaveEveryHalo()
    {
        IEnumerable<int> halos = KernelCatalog.Find("residual_block_backward_v2")!.Shapes.Select(shape => ResidualBlockBackward.NeighboursV2((int)shape["rows"], (int)shape["dilation"]));
        Assert.Equal([1, 4, 8, 16], halos.Distinct().Order());
        Assert.Equal(1, ResidualBlockBackward.NeighboursV2(15872, 4)); // crops of the base model: no row in vain and the smallest halo
        Assert.InRange(ResidualBlockBackward.NeighboursV2(15872, 512), 4, 8);
    }

    [Theory, InlineData(32), InlineData(64)]
    public void TwoBlocksFitOnAMultiprocessor(int channels) => Assert.InRange(2 * (ResidualBlockBackward.SharedBytesV2(channels, 16) + 1024), 1, 228 * 1024);

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }

    // What a trial leaves in its outputs.
    private byte[][] Outputs(KernelVersion version, KernelShape shape)
    {
        KernelTrial trial = version.Trial(shape);
        KernelLaunch launch = trial.Launches[0];
        var addresses = new Dictionary<Array, ulong>(ReferenceEqualityComparer.Instance);
        object[] arguments = [.. launch.Arguments.Select(argument => argument switch
        {
            RowsOf<Half> rows => new Rows<Half>(new((nint)Upload(rows.Array), rows.Array.Length), rows.ItemRows, rows.First, rows.Channels),
            RowsOf<BFloat16> rows => new Rows<BFloat16>(new((nint)Upload(rows.Array), rows.Array.Length), rows.ItemRows, rows.First, rows.Channels),
            Array array => new DeviceArray(Upload(array), array.Length, array.GetType().GetElementType()!),
            _ => argument,
        })];
        runner.Launch(runner.Load(version.Method, version.Constants(shape)), new Dim3(launch.Grid.X, launch.Grid.Y, launch.Grid.Z), new Dim3(launch.Group.X), launch.DynamicSharedBytes, 0, arguments);
        byte[][] outputs = [.. trial.Outputs.Select(output => { byte[] bytes = new byte[Bytes(output.Array).Length]; driver.CopyToHost(bytes, addresses[output.Array]); return bytes; })];
        foreach (ulong address in addresses.Values) driver.Free(address);
        return outputs;

        ulong Upload(Array array)
        {
            ulong address = addresses[array] = driver.Allocate(Bytes(array).Length);
            driver.CopyToDevice(address, Bytes(array));
            return address;
        }
    }

    private static Span<byte> Bytes(Array array) => array is BFloat16[] numbers ? MemoryMarshal.AsBytes(numbers.AsSpan())
        : array is Half[] halves ? MemoryMarshal.AsBytes(halves.AsSpan()) : MemoryMarshal.AsBytes(((float[])array).AsSpan());
}
