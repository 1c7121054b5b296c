using System.Collections.Concurrent;
using System.Reflection;
using DiffWave.Compiler;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>Compiles kernels for a device when they are first needed, launches them, and tries those of the catalogue. Not for several threads at once.</summary>
/// <param name="driver">The device; stays the caller's.</param>
public sealed class KernelRunner(ICudaDriver driver) : IDisposable
{
    // What a compilation gives depends on nothing but the method, the constants and the target, so runners of one process share it.
    private static readonly ConcurrentDictionary<(MethodInfo, string), Lazy<CompiledKernel>> Compiled = new();

    private readonly Dictionary<string, (nint Module, LoadedKernel Kernel)> loaded = [];

    /// <summary>What kernels are compiled for: the device's architecture, or the newest known one before it.</summary>
    public PtxTarget Target { get; } = PtxTarget.For(driver.Device.Sm);

    /// <summary>Compiles and loads a kernel, once for each set of type arguments and constants. Not for every launch: keep what it returns.</summary>
    /// <param name="kernel">A method marked <see cref="KernelAttribute"/>, its type arguments given.</param>
    /// <param name="constants">Values of the parameters marked <see cref="ConstAttribute"/>; null when there are none.</param>
    /// <exception cref="KernelCompileException">It cannot be compiled for this device.</exception>
    /// <exception cref="CudaException">The driver refuses the PTX.</exception>
    public LoadedKernel Load(MethodInfo kernel, IReadOnlyDictionary<string, object>? constants = null)
    {
        string key = $"{kernel.DeclaringType}.{kernel}, {string.Join(", ", (constants ?? new Dictionary<string, object>()).OrderBy(pair => pair.Key, StringComparer.Ordinal))}, {Target.Name}";
        if (loaded.TryGetValue(key, out var known)) return known.Kernel;
        CompiledKernel compiled = Compiled.GetOrAdd((kernel, key), _ => new Lazy<CompiledKernel>(() => KernelCompiler.Compile(kernel, Target, constants))).Value;
        nint module = driver.LoadModule(compiled.Ptx);
        try
        {
            var result = new LoadedKernel(compiled, driver.GetFunction(module, compiled.EntryName));
            loaded.Add(key, (module, result));
            return result;
        }
        catch
        {
            driver.UnloadModule(module);
            throw;
        }
    }

    /// <summary>Queues a kernel that fixes its block.</summary>
    /// <param name="arguments">The kernel and its arguments, all of them.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="stream">The stream, 0 for the default one.</param>
    /// <param name="dynamicSharedBytes">Bytes of dynamic shared memory; more than 48 KiB are asked for where the device has them.</param>
    /// <param name="early">Whether it may begin early, see <see cref="ICudaDriver.Launch"/>.</param>
    /// <exception cref="ArgumentException">Arguments are missing, or the launch must choose the block.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Launch(KernelArguments arguments, Dim3 grid, nint stream, int dynamicSharedBytes = 0, bool early = false) =>
        Launch(arguments, grid, arguments.Kernel.Block ?? throw new ArgumentException($"{arguments.Kernel.Compiled.EntryName} leaves its block to the launch"), stream, dynamicSharedBytes, early);

    /// <summary>Queues a kernel.</summary>
    /// <param name="arguments">The kernel and its arguments, all of them.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="group">Threads of a block.</param>
    /// <param name="stream">The stream, 0 for the default one.</param>
    /// <param name="dynamicSharedBytes">Bytes of dynamic shared memory; more than 48 KiB are asked for where the device has them.</param>
    /// <param name="early">Whether it may begin early, see <see cref="ICudaDriver.Launch"/>.</param>
    /// <exception cref="ArgumentException">Arguments are missing, or the block is not the kernel's.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Launch(KernelArguments arguments, Dim3 grid, Dim3 group, nint stream, int dynamicSharedBytes = 0, bool early = false) =>
        Queue(arguments.Kernel, grid, group, dynamicSharedBytes, stream, arguments.Packed, early);

    /// <summary>Queues a kernel with boxed arguments, each checked by name: for trials, not for work that is launched often.</summary>
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
        RefuseOtherBlock(kernel, group);
        Queue(kernel, grid, group, dynamicSharedBytes, stream, KernelArguments.Pack(kernel.Compiled, arguments));
    }

    /// <summary>Runs a kernel of the catalogue at a shape and compares what comes out with its reference.</summary>
    /// <param name="version">The kernel.</param>
    /// <param name="shape">A shape without <see cref="KernelVersion.Problem"/>.</param>
    /// <exception cref="UnsupportedKernelException">It needs what this device does not have.</exception>
    /// <exception cref="KernelCompileException">It cannot be compiled for this device.</exception>
    /// <exception cref="CudaException">The driver refuses, or the emulator found something.</exception>
    public IReadOnlyList<KernelCheck> Run(KernelVersion version, KernelShape shape)
    {
        using PreparedTrial trial = Prepare(version, shape);
        trial.Launch();
        driver.Synchronize();
        return trial.Check();
    }

    /// <summary>Compiles a kernel of the catalogue for a shape and puts the trial's data on the device.</summary>
    /// <param name="version">The kernel.</param>
    /// <param name="shape">A shape without <see cref="KernelVersion.Problem"/>.</param>
    /// <exception cref="UnsupportedKernelException">It needs what this device does not have.</exception>
    /// <exception cref="KernelCompileException">It cannot be compiled for this device.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public PreparedTrial Prepare(KernelVersion version, KernelShape shape)
    {
        CudaDeviceInfo device = driver.Device;
        int needed = version.Method.GetCustomAttribute<KernelAttribute>()!.MinimumSm;
        if (needed > device.Sm) throw new UnsupportedKernelException($"needs sm_{needed}, {device.Name} is sm_{device.Sm}");
        KernelTrial trial = version.Trial(shape);
        LoadedKernel kernel = Load(version.Method, version.Constants(shape));
        int shared = kernel.Compiled.StaticSharedBytes + trial.Launches.Max(launch => launch.DynamicSharedBytes);
        if (shared > device.SharedBytesPerBlock) throw new UnsupportedKernelException($"a block needs {shared} bytes of shared memory, one of {device.Name} may have {device.SharedBytesPerBlock}");
        return new PreparedTrial(this, driver, trial, kernel);
    }

    /// <summary>Unloads every kernel.</summary>
    public void Dispose()
    {
        List<Action> unloading = [.. loaded.Values.Select(kernel => (Action)(() => driver.UnloadModule(kernel.Module)))];
        loaded.Clear();
        Cleanup.Run(unloading);
    }

    private void Queue(LoadedKernel kernel, Dim3 grid, Dim3 group, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> packed, bool early = false)
    {
        RefuseOtherBlock(kernel, group);
        kernel.AllowShared(driver, dynamicSharedBytes);
        driver.Launch(kernel.Function, grid, group, dynamicSharedBytes, stream, packed, early);
    }

    private static void RefuseOtherBlock(LoadedKernel kernel, Dim3 group)
    {
        if (kernel.Block is { } block && group != block) throw new ArgumentException($"{kernel.Compiled.EntryName}: a block of {group} threads, expected {block}");
    }
}

/// <summary>A kernel, or its trial, needs what a device does not have. The message says what, and what the device has.</summary>
public sealed class UnsupportedKernelException(string message) : NotSupportedException(message);
