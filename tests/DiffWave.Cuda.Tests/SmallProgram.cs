using System.Reflection;
using DiffWave.Compiler;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Cuda.Tests;

/// <summary>A whole small program, with every call of the driver a real one makes: opens a GPU, asks what it is, loads a kernel, uploads, launches, replays a graph, downloads, and gives everything back.</summary>
internal static class SmallProgram
{
    private const int Channels = 8, Rows = 40;

    private static readonly Lazy<CompiledKernel> Kernel = new(() => KernelCompiler.Compile(Method, new PtxTarget(90), Constants));

    /// <summary>Its kernel, of a view of the input, one of the output, and the channels.</summary>
    public static MethodInfo Method => KernelCatalog.Find("gated_activation_v1")!.Method;

    public static Dictionary<string, object> Constants => new() { ["gateFirst"] = false };

    public static string EntryName => Kernel.Value.EntryName;

    /// <summary>The PTX of its kernel.</summary>
    public static string Ptx => Kernel.Value.Ptx;

    public static float[] Input { get; } = [.. Enumerable.Range(0, Rows * 2 * Channels).Select(i => i / 100f - 3)];

    public static float[] Expected { get; } = Reference();

    public static float[] Run()
    {
        using var driver = NvidiaDriver.Open();
        nint module = driver.LoadModule(Kernel.Value.Ptx), stream = 0, mark = 0, end = 0, graph = 0;
        try
        {
            var kernel = new LoadedKernel(Kernel.Value, driver.GetFunction(module, Kernel.Value.EntryName));
            _ = driver.GetAttributes(kernel.Function);
            _ = driver.MaxActiveBlocks(kernel.Function, 256, 0);
            _ = driver.MemoryInfo();
            driver.SetMaxDynamicShared(kernel.Function, 100 << 10);
            stream = driver.CreateStream();
            mark = driver.CreateEvent();
            end = driver.CreateEvent();
            using var pool = new DeviceMemoryPool(driver, stream);
            using var ring = new StagingRing(driver, stream, 1024, 2);
            ulong h = pool.Allocate(Input.Length * sizeof(float)), y = pool.Allocate(Expected.Length * sizeof(float)), copy = driver.Allocate(Expected.Length * sizeof(float));
            try
            {
                driver.StartProfiler();
                driver.PushRange("program");
                driver.CopyToDevice(h, System.Runtime.InteropServices.MemoryMarshal.AsBytes(Input.AsSpan()));
                ring.Upload<float>(Input, h);
                driver.RecordEvent(mark, stream);
                driver.StreamWaitEvent(0, mark);
                driver.FillAsync(y, 0, Expected.Length, stream);
                graph = driver.Record(stream, () =>
                {
                    var (input, output) = (new ArrayView<float>((nint)h, Input.Length), new ArrayView<float>((nint)y, Expected.Length));
                    driver.Launch(kernel.Function, new Dim3((Expected.Length + 255) / 256), new Dim3(256), 100 << 10, stream, kernel.Arguments.Add(input).Add(output).Add(Channels).Packed);
                    driver.CopyOnDeviceAsync(copy, y, Expected.Length * sizeof(float), stream);
                });
                driver.LaunchGraph(graph, stream);
                driver.RecordEvent(end, stream);
                driver.SynchronizeEvent(end);
                Assert.True(driver.Elapsed(mark, end) >= 0);
                driver.PopRange();
                driver.StopProfiler();
                driver.Synchronize();
                float[] result = new float[Expected.Length], same = new float[Expected.Length];
                driver.CopyToHost(System.Runtime.InteropServices.MemoryMarshal.AsBytes(same.AsSpan()), y);
                ring.Download<float>(copy, result);
                Assert.Equal(same, result);
                return result;
            }
            finally
            {
                Cleanup.Run(() => driver.Free(copy));
            }
        }
        finally
        {
            List<Action> endings = [() => driver.UnloadModule(module)];
            if (graph != 0) endings.Add(() => driver.DestroyGraph(graph));
            if (mark != 0) endings.Add(() => driver.DestroyEvent(mark));
            if (end != 0) endings.Add(() => driver.DestroyEvent(end));
            if (stream != 0) endings.Add(() => driver.DestroyStream(stream));
            Cleanup.Run(endings);
        }
    }

    private static float[] Reference()
    {
        double[] y = new double[Rows * Channels];
        GatedActivation.Reference<double>(Input, y, Channels, gateFirst: false);
        return [.. y.Select(value => (float)value)];
    }
}
