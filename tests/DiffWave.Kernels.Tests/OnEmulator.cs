using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>One emulated device for all tests, so that each kernel is compiled once; tests take turns.</summary>
internal static class OnEmulator
{
    private static readonly Lock Turn = new();
    private static readonly EmulatedDriver Driver = new(new EmulatorOptions { Reports = true });
    private static readonly KernelRunner Runner = new(Driver);
    private static readonly Dictionary<string, LaunchReport> Usual = [];

    /// <summary>Runs a kernel of the catalogue.</summary>
    public static (IReadOnlyList<KernelCheck> Checks, IReadOnlyList<LaunchReport> Reports) Run(KernelVersion version, KernelShape shape)
    {
        lock (Turn)
        {
            Driver.ClearReports();
            long free = Driver.MemoryInfo().Free;
            IReadOnlyList<KernelCheck> checks = Runner.Run(version, shape);
            Assert.Equal(free, Driver.MemoryInfo().Free);
            return (checks, [.. Driver.Reports]);
        }
    }

    /// <summary>The report of a kernel at its usual shape, of its first launch.</summary>
    public static LaunchReport Report(string name)
    {
        lock (Turn)
        {
            if (!Usual.TryGetValue(name, out LaunchReport? report)) Usual.Add(name, report = KernelCatalog.Find(name) is { } version ? Run(version, version.Shapes[0]).Reports[0] : throw new ArgumentException(name));
            return report;
        }
    }

    /// <summary>Launches blocks of 256 threads along x over one array of floats and returns it.</summary>
    public static float[] Launch(MethodInfo kernel, int threads, Func<DeviceArray, object[]> arguments, int length)
    {
        lock (Turn)
        {
            float[] values = new float[length];
            ulong address = Driver.Allocate(sizeof(float) * length);
            try
            {
                Runner.Launch(Runner.Load(kernel), new Dim3((threads + 255) / 256), new Dim3(256), 0, 0, arguments(new DeviceArray(address, length, typeof(float))));
                Driver.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), address);
                return values;
            }
            finally { Driver.Free(address); }
        }
    }
}
