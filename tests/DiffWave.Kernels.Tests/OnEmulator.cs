using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>Emulated devices for all tests. A test takes one that is free and gives it back, so as many are there as tests run side by side; kernels are compiled once for all of them.</summary>
internal static class OnEmulator
{
    private static readonly ConcurrentBag<Device> Plain = [], Counting = [], Racing = []; // the last two with reports and with checks of blocks against each other, which take time
    private static readonly ConcurrentDictionary<string, Lazy<(IReadOnlyList<KernelCheck> Checks, LaunchReport Report)>> Usual = [];

    private sealed record Device(EmulatedDriver Driver, KernelRunner Runner);

    /// <summary>Runs a kernel of the catalogue, and counts.</summary>
    public static (IReadOnlyList<KernelCheck> Checks, IReadOnlyList<LaunchReport> Reports) Run(KernelVersion version, KernelShape shape) => Run(Counting, version, shape);

    /// <summary>Runs a kernel of the catalogue. What the usual shape gives is kept.</summary>
    public static IReadOnlyList<KernelCheck> Check(KernelVersion version, KernelShape shape) =>
        KernelCatalog.Find(version.Name) == version && shape == version.Shapes[0] ? OfUsual(version.Name).Checks : Run(Plain, version, shape).Checks;

    /// <summary>Runs a kernel of the catalogue where blocks must keep out of each other's way.</summary>
    public static IReadOnlyList<KernelCheck> CheckBlocks(KernelVersion version, KernelShape shape) => Run(Racing, version, shape).Checks;

    /// <summary>The report of a kernel at its usual shape, of its first launch.</summary>
    public static LaunchReport Report(string name) => OfUsual(name).Report;

    private static (IReadOnlyList<KernelCheck> Checks, LaunchReport Report) OfUsual(string name) => Usual.GetOrAdd(name, _ => new(() =>
    {
        KernelVersion version = KernelCatalog.Find(name) ?? throw new ArgumentException(name);
        var (checks, reports) = Run(version, version.Shapes[0]);
        return (checks, reports[0]);
    })).Value;

    private static (IReadOnlyList<KernelCheck> Checks, IReadOnlyList<LaunchReport> Reports) Run(ConcurrentBag<Device> devices, KernelVersion version, KernelShape shape) => On(devices, device =>
    {
        device.Driver.ClearReports();
        long free = device.Driver.MemoryInfo().Free;
        IReadOnlyList<KernelCheck> checks = device.Runner.Run(version, shape);
        Assert.Equal(free, device.Driver.MemoryInfo().Free);
        return (checks, (IReadOnlyList<LaunchReport>)[.. device.Driver.Reports]);
    });

    // A device on which something was found is not given back.
    private static T On<T>(ConcurrentBag<Device> devices, Func<Device, T> use)
    {
        if (!devices.TryTake(out Device? device))
        {
            var driver = new EmulatedDriver(new EmulatorOptions { Reports = devices == Counting, BlockRaces = devices == Racing });
            device = new Device(driver, new KernelRunner(driver));
        }
        T result = use(device);
        devices.Add(device);
        return result;
    }

    /// <summary>Launches blocks of 256 threads over arrays, which are copied to the device before and back after; arguments as in <see cref="KernelLaunch.Arguments"/>.</summary>
    public static void Launch(MethodInfo kernel, Dim3 grid, IReadOnlyDictionary<string, object>? constants, params object[] arguments)
    {
        On(Plain, device =>
        {
            var (driver, runner) = device;
            var addresses = new Dictionary<Array, ulong>(ReferenceEqualityComparer.Instance);
            try
            {
                foreach (Array array in arguments.Select(argument => argument is RowsOf<float> rows ? rows.Array : argument as Array).OfType<Array>())
                {
                    if (addresses.ContainsKey(array)) continue;
                    addresses.Add(array, driver.Allocate(Math.Max(1, Bytes(array).Length)));
                    driver.CopyToDevice(addresses[array], Bytes(array));
                }
                runner.Launch(runner.Load(kernel, constants), grid, new Dim3(256), 0, 0, [.. arguments.Select(argument => argument switch
                {
                    Array array => new DeviceArray(addresses[array], array.Length, array.GetType().GetElementType()!),
                    RowsOf<float> rows => new Rows<float>(new ArrayView<float>((nint)addresses[rows.Array], rows.Array.Length), rows.ItemRows, rows.First, rows.Channels),
                    _ => argument,
                })]);
                foreach (var (array, address) in addresses) driver.CopyToHost(Bytes(array), address);
            }
            finally
            {
                foreach (ulong address in addresses.Values) driver.Free(address);
            }
            return true;
        });
    }

    private static Span<byte> Bytes(Array array) => MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), array.Length * RuntimeHelpers.SizeOf(array.GetType().GetElementType()!.TypeHandle));
}
