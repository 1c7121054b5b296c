using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Kernels.Tests;

/// <summary>Runs trials of the catalogue on a device of its own and returns what they leave, bit by bit.</summary>
internal sealed class TrialsOnEmulator : IDisposable
{
    private readonly EmulatedDriver driver = new();
    private readonly KernelRunner runner;

    public TrialsOnEmulator() => runner = new KernelRunner(driver);

    /// <summary>What a trial's only launch leaves in its outputs.</summary>
    public byte[][] Outputs(KernelVersion version, KernelShape shape)
    {
        KernelTrial trial = version.Trial(shape);
        KernelLaunch launch = Assert.Single(trial.Launches);
        var addresses = new Dictionary<Array, ulong>(ReferenceEqualityComparer.Instance);
        object[] arguments = [.. launch.Arguments.Select(argument => argument switch
        {
            RowsOf<Half> rows => Rows(rows),
            RowsOf<BFloat16> rows => Rows(rows),
            RowsOf<float> rows => Rows(rows),
            PartOf part => new DeviceArray(Upload(part.Array) + (ulong)(sizeof(float) * part.First), part.Array.Length - part.First, typeof(float)),
            Array array => new DeviceArray(Upload(array), array.Length, array.GetType().GetElementType()!),
            _ => argument,
        })];
        runner.Launch(runner.Load(version.Method, version.Constants(shape)), new Dim3(launch.Grid.X, launch.Grid.Y, launch.Grid.Z), new Dim3(launch.Group.X), launch.DynamicSharedBytes, 0, arguments);
        byte[][] outputs = [.. trial.Outputs.Select(output => { byte[] bytes = new byte[Bytes(output.Array).Length]; driver.CopyToHost(bytes, addresses[output.Array]); return bytes; })];
        foreach (ulong address in addresses.Values) driver.Free(address);
        return outputs;

        object Rows<T>(RowsOf<T> rows) where T : unmanaged => new Rows<T>(new((nint)Upload(rows.Array), rows.Array.Length), rows.ItemRows, rows.First, rows.Channels);
        ulong Upload(Array array)
        {
            ulong address = addresses[array] = driver.Allocate(Bytes(array).Length);
            driver.CopyToDevice(address, Bytes(array));
            return address;
        }
    }

    /// <summary>One block and each of these numbers of blocks leave the same bits.</summary>
    public void AssertSameBitsForAnyNumberOfBlocks(KernelVersion version, KernelShape shape, params int[] numbers)
    {
        byte[][] one = Outputs(version, shape.With("blocks=1"));
        foreach (int blocks in numbers) Assert.Equal(one, Outputs(version, shape.With($"blocks={blocks}")));
    }

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }

    private static Span<byte> Bytes(Array array) => array is BFloat16[] numbers ? MemoryMarshal.AsBytes(numbers.AsSpan())
        : array is Half[] halves ? MemoryMarshal.AsBytes(halves.AsSpan()) : MemoryMarshal.AsBytes(((float[])array).AsSpan());
}
