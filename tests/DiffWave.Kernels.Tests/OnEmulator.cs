using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
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

    /// <summary>Launches blocks of 256 threads over arrays, which are copied to the device before and back after; arguments as in <see cref="KernelLaunch.Arguments"/>.</summary>
    public static void Launch(MethodInfo kernel, Dim3 grid, IReadOnlyDictionary<string, object>? constants, params object[] arguments)
    {
        lock (Turn)
        {
            var addresses = new Dictionary<Array, ulong>(ReferenceEqualityComparer.Instance);
            try
            {
                foreach (Array array in arguments.Select(argument => argument is RowsOf<float> rows ? rows.Array : argument as Array).OfType<Array>())
                {
                    if (addresses.ContainsKey(array)) continue;
                    addresses.Add(array, Driver.Allocate(Math.Max(1, Bytes(array).Length)));
                    Driver.CopyToDevice(addresses[array], Bytes(array));
                }
                Runner.Launch(Runner.Load(kernel, constants), grid, new Dim3(256), 0, 0, [.. arguments.Select(argument => argument switch
                {
                    Array array => new DeviceArray(addresses[array], array.Length, array.GetType().GetElementType()!),
                    RowsOf<float> rows => new Rows<float>(new ArrayView<float>((nint)addresses[rows.Array], rows.Array.Length), rows.ItemRows, rows.First, rows.Channels),
                    _ => argument,
                })]);
                foreach (var (array, address) in addresses) Driver.CopyToHost(Bytes(array), address);
            }
            finally
            {
                foreach (ulong address in addresses.Values) Driver.Free(address);
            }
        }
    }

    private static Span<byte> Bytes(Array array) => MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), array.Length * RuntimeHelpers.SizeOf(array.GetType().GetElementType()!.TypeHandle));
}
