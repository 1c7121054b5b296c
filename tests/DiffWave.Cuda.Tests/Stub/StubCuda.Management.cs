using System.Runtime.InteropServices;

namespace DiffWave.Cuda.Tests;

/// <content>The management library (NVML): its C functions by their names in nvml.h.</content>
public sealed unsafe partial class StubCuda
{
    private const int NvmlNotSupported = 3, NvmlNotFound = 6;

    private static readonly Dictionary<string, nint> NvmlTable = new()
    {
        ["nvmlInit_v2"] = (nint)(delegate* unmanaged<int>)&NvmlInit,
        ["nvmlShutdown"] = (nint)(delegate* unmanaged<int>)&NvmlShutdown,
        ["nvmlErrorString"] = (nint)(delegate* unmanaged<int, byte*>)&NvmlErrorString,
        ["nvmlDeviceGetHandleByPciBusId_v2"] = (nint)(delegate* unmanaged<byte*, nint*, int>)&NvmlByPlace,
        ["nvmlDeviceGetClockInfo"] = (nint)(delegate* unmanaged<nint, int, uint*, int>)&NvmlClock,
        ["nvmlDeviceGetMaxClockInfo"] = (nint)(delegate* unmanaged<nint, int, uint*, int>)&NvmlMaxClock,
        ["nvmlDeviceGetTemperature"] = (nint)(delegate* unmanaged<nint, int, uint*, int>)&NvmlTemperature,
        ["nvmlDeviceGetPowerUsage"] = (nint)(delegate* unmanaged<nint, uint*, int>)&NvmlPower,
        ["nvmlDeviceGetEnforcedPowerLimit"] = (nint)(delegate* unmanaged<nint, uint*, int>)&NvmlPowerLimit,
        ["nvmlDeviceGetCurrentClocksEventReasons"] = (nint)(delegate* unmanaged<nint, ulong*, int>)&NvmlReasons,
        ["nvmlDeviceGetCurrentClocksThrottleReasons"] = (nint)(delegate* unmanaged<nint, ulong*, int>)&NvmlReasons,
    };

    /// <summary>What the management library tells at each question; null: there is no such library.</summary>
    public Func<GpuState>? State { get; set; }

    /// <summary>Starts of the management library without an end.</summary>
    public int NvmlUsers { get; private set; }

    [UnmanagedCallersOnly]
    private static int NvmlInit()
    {
        Current.Value!.NvmlUsers++;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int NvmlShutdown()
    {
        Current.Value!.NvmlUsers--;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static byte* NvmlErrorString(int result) => (byte*)Current.Value!.TextOf(result == NvmlNotFound ? "Not Found" : "Unknown Error");

    // The handle is the device's number behind a sign that it is one of these.
    [UnmanagedCallersOnly]
    private static int NvmlByPlace(byte* place, nint* handle)
    {
        string text = Marshal.PtrToStringUTF8((nint)place)!;
        for (int i = 0; i < Current.Value!.DeviceCount; i++)
        {
            if (text != $"0000:{i + 1:x2}:00.0") continue;
            *handle = 0x4E00 + i;
            return 0;
        }
        return NvmlNotFound;
    }

    [UnmanagedCallersOnly]
    private static int NvmlClock(nint device, int type, uint* value) => NvmlTells(device, value, state => type switch { 1 => state.SmMegahertz, 2 => state.MemoryMegahertz, _ => null });

    [UnmanagedCallersOnly]
    private static int NvmlMaxClock(nint device, int type, uint* value) => NvmlTells(device, value, _ => type switch { 1 => 1980, 2 => 2619, _ => null });

    [UnmanagedCallersOnly]
    private static int NvmlTemperature(nint device, int sensor, uint* value) => NvmlTells(device, value, state => sensor == 0 ? state.TemperatureCelsius : null);

    [UnmanagedCallersOnly]
    private static int NvmlPower(nint device, uint* value) => NvmlTells(device, value, state => (int?)(1000 * state.PowerWatts));

    [UnmanagedCallersOnly]
    private static int NvmlPowerLimit(nint device, uint* value) => NvmlTells(device, value, _ => 700_000);

    [UnmanagedCallersOnly]
    private static int NvmlReasons(nint device, ulong* value)
    {
        if (Current.Value!.State!().Throttle is not { } reasons) return NvmlNotSupported;
        *value = (ulong)reasons;
        return 0;
    }

    private static int NvmlTells(nint device, uint* value, Func<GpuState, int?> figure)
    {
        if (device - 0x4E00 is < 0 or > 16 || figure(Current.Value!.State!()) is not { } told) return NvmlNotSupported;
        *value = (uint)told;
        return 0;
    }
}
