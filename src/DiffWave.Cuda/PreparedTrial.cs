using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>A trial of the catalogue on a device, ready to be launched once to be checked, or often to be measured.</summary>
public sealed class PreparedTrial : IDisposable
{
    private readonly KernelRunner runner;
    private readonly ICudaDriver driver;
    private readonly LoadedKernel kernel;
    private readonly Dictionary<Array, DeviceArray> buffers = new(ReferenceEqualityComparer.Instance);

    internal PreparedTrial(KernelRunner runner, ICudaDriver driver, KernelTrial trial, LoadedKernel kernel)
    {
        (this.runner, this.driver, Trial, this.kernel) = (runner, driver, trial, kernel);
        try
        {
            foreach (Array array in trial.Launches.SelectMany(launch => launch.Arguments).Select(ArrayOf).OfType<Array>())
            {
                if (buffers.ContainsKey(array)) continue;
                buffers.Add(array, new DeviceArray(driver.Allocate(Math.Max(1, Bytes(array).Length)), array.Length, array.GetType().GetElementType()!));
                if (array.Length > 0) driver.CopyToDevice(buffers[array].Address, Bytes(array));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What is launched, at which cost, and what must come out.</summary>
    public KernelTrial Trial { get; }

    /// <summary>The kernel that is launched.</summary>
    public LoadedKernel Kernel => kernel;

    /// <summary>Queues the trial's launches.</summary>
    /// <param name="stream">The stream, 0 for the default one.</param>
    /// <exception cref="CudaException">The driver refuses, or the emulator found something.</exception>
    public void Launch(nint stream = 0)
    {
        foreach (KernelLaunch launch in Trial.Launches) Launch(launch, stream);
    }

    /// <summary>Queues the first of the trial's launches, on the default stream: for a profiler, which looks at one.</summary>
    /// <exception cref="CudaException">The driver refuses, or the emulator found something.</exception>
    public void LaunchOne() => Launch(Trial.Launches[0], 0);

    private void Launch(KernelLaunch launch, nint stream) =>
        runner.Launch(kernel, Dim(launch.Grid), Dim(launch.Group), launch.DynamicSharedBytes, stream, [.. launch.Arguments.Select(OnDevice)]);

    /// <summary>Compares what the device holds now with the reference.</summary>
    public IReadOnlyList<KernelCheck> Check() =>
        [.. Trial.Outputs.Select(output =>
        {
            Array actual = Array.CreateInstance(output.Array.GetType().GetElementType()!, output.Array.Length);
            driver.CopyToHost(Bytes(actual), buffers[output.Array].Address);
            return output.Check(actual);
        })];

    /// <summary>Gives the device memory back.</summary>
    public void Dispose()
    {
        List<Action> freeing = [.. buffers.Values.Select(buffer => (Action)(() => driver.Free(buffer.Address)))];
        buffers.Clear();
        Cleanup.Run(freeing);
    }

    private static Array? ArrayOf(object argument) => argument switch
    {
        RowsOf<float> rows => rows.Array,
        RowsOf<Half> rows => rows.Array,
        RowsOf<BFloat16> rows => rows.Array,
        PartOf part => part.Array,
        _ => argument as Array,
    };

    private object OnDevice(object argument) => argument switch
    {
        Array array => buffers[array],
        RowsOf<float> rows => OnDevice(rows),
        RowsOf<Half> rows => OnDevice(rows),
        RowsOf<BFloat16> rows => OnDevice(rows),
        PartOf part => View<float>(part.Array).SubView(part.First),
        _ => argument,
    };

    private Rows<T> OnDevice<T>(RowsOf<T> rows) where T : unmanaged => new(View<T>(rows.Array), rows.ItemRows, rows.First, rows.Channels);

    private ArrayView<T> View<T>(Array array) where T : unmanaged => new((nint)buffers[array].Address, array.Length);

    private static Dim3 Dim(Index3D index) => new(index.X, index.Y, index.Z);

    private static Span<byte> Bytes(Array array) => MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), checked(array.Length * ElementBytes(array)));

    private static int ElementBytes(Array array) => RuntimeHelpers.SizeOf(array.GetType().GetElementType()!.TypeHandle);
}
