using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Compiler;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>A kernel on a device.</summary>
/// <param name="Compiled">Its PTX and its parameters.</param>
/// <param name="Function">The driver's handle.</param>
public sealed record LoadedKernel(CompiledKernel Compiled, nint Function);

/// <summary>Compiles kernels for a device when they are first needed, launches them, and tries those of the catalogue. Not for several threads at once.</summary>
/// <param name="driver">The device; stays the caller's.</param>
public sealed class KernelRunner(ICudaDriver driver) : IDisposable
{
    private const int SharedWithoutAsking = 48 << 10;

    private readonly Dictionary<string, (nint Module, LoadedKernel Kernel)> loaded = [];

    /// <summary>What kernels are compiled for: the device's architecture, or the newest known one before it.</summary>
    public PtxTarget Target { get; } = PtxTarget.For(driver.Device.Sm);

    /// <summary>Compiles and loads a kernel, once for each set of type arguments and constants.</summary>
    /// <param name="kernel">A method marked <see cref="KernelAttribute"/>, its type arguments given.</param>
    /// <param name="constants">Values of the parameters marked <see cref="ConstAttribute"/>; null when there are none.</param>
    /// <exception cref="KernelCompileException">It cannot be compiled for this device.</exception>
    /// <exception cref="CudaException">The driver refuses the PTX.</exception>
    public LoadedKernel Load(MethodInfo kernel, IReadOnlyDictionary<string, object>? constants = null)
    {
        string key = $"{kernel.DeclaringType}.{kernel}, {string.Join(", ", (constants ?? new Dictionary<string, object>()).OrderBy(pair => pair.Key, StringComparer.Ordinal))}, {Target.Name}";
        if (loaded.TryGetValue(key, out var known)) return known.Kernel;
        CompiledKernel compiled = KernelCompiler.Compile(kernel, Target, constants);
        nint module = driver.LoadModule(compiled.Ptx);
        var result = new LoadedKernel(compiled, driver.GetFunction(module, compiled.EntryName));
        loaded.Add(key, (module, result));
        return result;
    }

    /// <summary>Queues a kernel.</summary>
    /// <param name="kernel">From <see cref="Load"/>.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="group">Threads of a block.</param>
    /// <param name="dynamicSharedBytes">Bytes of dynamic shared memory; more than 48 KiB are asked for where the device has them.</param>
    /// <param name="stream">The stream, 0 for the default one.</param>
    /// <param name="arguments">See <see cref="KernelArguments.Pack"/>.</param>
    /// <exception cref="ArgumentException">The arguments or the block are not the kernel's.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Launch(LoadedKernel kernel, Dim3 grid, Dim3 group, int dynamicSharedBytes, nint stream, params IReadOnlyList<object> arguments)
    {
        CompiledKernel compiled = kernel.Compiled;
        if (compiled.BlockX != 0 && group != new Dim3(compiled.BlockX, Math.Max(1, compiled.BlockY), Math.Max(1, compiled.BlockZ)))
            throw new ArgumentException($"{compiled.EntryName}: a block of {group} threads, expected {new Dim3(compiled.BlockX, Math.Max(1, compiled.BlockY), Math.Max(1, compiled.BlockZ))}");
        byte[] packed = KernelArguments.Pack(compiled, arguments);
        if (compiled.StaticSharedBytes + dynamicSharedBytes > SharedWithoutAsking) driver.SetMaxDynamicShared(kernel.Function, dynamicSharedBytes);
        driver.Launch(kernel.Function, grid, group, dynamicSharedBytes, stream, packed);
    }

    /// <summary>Runs a kernel of the catalogue at a shape and compares what comes out with its reference.</summary>
    /// <param name="version">The kernel.</param>
    /// <param name="shape">A shape without <see cref="KernelVersion.Problem"/>.</param>
    /// <exception cref="KernelCompileException">It cannot be compiled for this device.</exception>
    /// <exception cref="CudaException">The driver refuses, or the emulator found something.</exception>
    public IReadOnlyList<KernelCheck> Run(KernelVersion version, KernelShape shape)
    {
        KernelTrial trial = version.Trial(shape);
        LoadedKernel kernel = Load(version.Method, version.Constants(shape));
        var buffers = new Dictionary<Array, DeviceArray>(ReferenceEqualityComparer.Instance);
        try
        {
            foreach (Array array in trial.Launches.SelectMany(launch => launch.Arguments).OfType<Array>().Distinct(ReferenceEqualityComparer.Instance).Cast<Array>())
            {
                var buffer = new DeviceArray(driver.Allocate(Math.Max(1, Bytes(array).Length)), array.Length, array.GetType().GetElementType()!);
                buffers.Add(array, buffer);
                if (array.Length > 0) driver.CopyToDevice(buffer.Address, Bytes(array));
            }
            foreach (KernelLaunch launch in trial.Launches)
                Launch(kernel, Dim(launch.Grid), Dim(launch.Group), launch.DynamicSharedBytes, 0, [.. launch.Arguments.Select(argument => argument is Array array ? buffers[array] : argument)]);
            driver.Synchronize();
            return [.. trial.Outputs.Select(output =>
            {
                float[] actual = new float[output.Array.Length];
                driver.CopyToHost(MemoryMarshal.AsBytes(actual.AsSpan()), buffers[output.Array].Address);
                return output.Check(actual);
            })];
        }
        finally
        {
            foreach (DeviceArray buffer in buffers.Values) driver.Free(buffer.Address);
        }
    }

    /// <summary>Unloads every kernel.</summary>
    public void Dispose()
    {
        foreach (var (module, _) in loaded.Values) driver.UnloadModule(module);
        loaded.Clear();
    }

    private static Dim3 Dim(Index3D index) => new(index.X, index.Y, index.Z);

    private static Span<byte> Bytes(Array array) => MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), checked(array.Length * ElementBytes(array)));

    private static int ElementBytes(Array array) => array switch
    {
        float[] or int[] or uint[] => 4,
        Half[] or BFloat16[] or short[] or ushort[] => 2,
        double[] or long[] or ulong[] => 8,
        byte[] or sbyte[] => 1,
        _ => throw new NotSupportedException($"arrays of {array.GetType().GetElementType()} are no kernel arguments yet"),
    };
}
