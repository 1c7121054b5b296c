using System.Runtime.InteropServices;
using System.Text;

namespace DiffWave.Cuda;

/// <summary>Why a GPU runs slower than it could; the bits of NVML (nvmlClocksEventReasons).</summary>
[Flags]
public enum ThrottleReasons : ulong
{
    /// <summary>Nothing holds it back.</summary>
    None = 0,

    /// <summary>Nothing runs, and the clocks go down.</summary>
    Idle = 0x1,

    /// <summary>Somebody has set the clocks of applications.</summary>
    ApplicationClocks = 0x2,

    /// <summary>The power limit.</summary>
    PowerCap = 0x4,

    /// <summary>The hardware halves the clocks or more: heat, power, or the power supply asks for it.</summary>
    HardwareSlowdown = 0x8,

    /// <summary>It is kept at the clocks of other GPUs.</summary>
    SyncBoost = 0x10,

    /// <summary>It is warm, and the driver slows it.</summary>
    ThermalSlowdown = 0x20,

    /// <summary>It is too warm, and the hardware slows it.</summary>
    HardwareThermalSlowdown = 0x40,

    /// <summary>The power supply asks for it.</summary>
    PowerBrake = 0x80,

    /// <summary>The clocks of the display.</summary>
    DisplayClocks = 0x100,
}

/// <summary>How a GPU is at one moment. What the library does not tell of it is null.</summary>
/// <param name="SmMegahertz">Clock of the multiprocessors.</param>
/// <param name="MemoryMegahertz">Clock of the memory.</param>
/// <param name="TemperatureCelsius">Temperature of the chip.</param>
/// <param name="PowerWatts">Power of the whole board, an average over up to a second.</param>
/// <param name="Throttle">What holds its clocks back.</param>
public sealed record GpuState(int? SmMegahertz, int? MemoryMegahertz, int? TemperatureCelsius, double? PowerWatts, ThrottleReasons? Throttle);

/// <summary>
/// One GPU through NVIDIA's management library (NVML), which is part of the driver: its clocks, temperature, power, and what holds it back. Nothing but measuring needs it; where it is missing,
/// <see cref="Open"/> tells why.
/// </summary>
public sealed unsafe class Nvml : IDisposable
{
    private const int SmClock = 1, MemoryClock = 2; // nvmlClockType_t

    private readonly delegate* unmanaged<int> shutdown;
    private readonly delegate* unmanaged<nint, int, uint*, int> clock, maxClock, temperature;
    private readonly delegate* unmanaged<nint, uint*, int> power, powerLimit;
    private readonly delegate* unmanaged<nint, ulong*, int> throttle;
    private readonly nint device;
    private bool isClosed;

    private Nvml(Func<string, nint> find, nint device)
    {
        this.device = device;
        shutdown = (delegate* unmanaged<int>)find("nvmlShutdown");
        clock = (delegate* unmanaged<nint, int, uint*, int>)find("nvmlDeviceGetClockInfo");
        maxClock = (delegate* unmanaged<nint, int, uint*, int>)find("nvmlDeviceGetMaxClockInfo");
        temperature = (delegate* unmanaged<nint, int, uint*, int>)find("nvmlDeviceGetTemperature");
        power = (delegate* unmanaged<nint, uint*, int>)find("nvmlDeviceGetPowerUsage");
        powerLimit = (delegate* unmanaged<nint, uint*, int>)find("nvmlDeviceGetEnforcedPowerLimit");
        // The same question under its new name and under that of drivers before 535.
        throttle = (delegate* unmanaged<nint, ulong*, int>)(find("nvmlDeviceGetCurrentClocksEventReasons") is not 0 and var renamed ? renamed : find("nvmlDeviceGetCurrentClocksThrottleReasons"));
        (MaxSmMegahertz, MaxMemoryMegahertz) = (Number(maxClock, SmClock), Number(maxClock, MemoryClock));
        PowerLimitWatts = Watts(powerLimit);
    }

    /// <summary>Name of the library on this system.</summary>
    public static string Library => OperatingSystem.IsWindows() ? "nvml.dll" : "libnvidia-ml.so.1";

    /// <summary>Highest clock of the multiprocessors, or null.</summary>
    public int? MaxSmMegahertz { get; }

    /// <summary>Highest clock of the memory, or null.</summary>
    public int? MaxMemoryMegahertz { get; }

    /// <summary>The power limit in force, or null.</summary>
    public double? PowerLimitWatts { get; }

    /// <summary>Finds a GPU.</summary>
    /// <param name="pciBusId">Where it is, see <see cref="CudaDeviceInfo.PciBusId"/>.</param>
    /// <param name="whyNone">Why it cannot be asked, or null.</param>
    /// <returns>Null when it cannot be asked.</returns>
    public static Nvml? Open(string pciBusId, out string? whyNone)
    {
        whyNone = null;
        if (pciBusId.Length == 0) whyNone = "the device tells no place on a bus";
        else if (NativeFunctions.Open(Library) is not { } find) whyNone = $"{Library} not found";
        else
        {
            (nint start, nint stop, nint byPlace) = (find("nvmlInit_v2"), find("nvmlShutdown"), find("nvmlDeviceGetHandleByPciBusId_v2"));
            if (start == 0 || stop == 0 || byPlace == 0) whyNone = $"{Library} lacks functions that are needed";
            else if (((delegate* unmanaged<int>)start)() is not 0 and var refused) whyNone = $"nvmlInit: {Text(find, refused)}";
            else
            {
                nint handle = 0;
                byte[] place = new byte[Encoding.UTF8.GetByteCount(pciBusId) + 1];
                Encoding.UTF8.GetBytes(pciBusId, place);
                int result;
                fixed (byte* text = place) result = ((delegate* unmanaged<byte*, nint*, int>)byPlace)(text, &handle);
                if (result == 0) return new Nvml(find, handle);
                whyNone = $"nvmlDeviceGetHandleByPciBusId({pciBusId}): {Text(find, result)}";
                _ = ((delegate* unmanaged<int>)stop)();
            }
        }
        return null;
    }

    /// <summary>Clock of the multiprocessors now, or null: one question instead of all of <see cref="Read"/>.</summary>
    public int? ReadSmMegahertz()
    {
        ObjectDisposedException.ThrowIf(isClosed, this);
        return Number(clock, SmClock);
    }

    /// <summary>How the GPU is now.</summary>
    public GpuState Read()
    {
        ObjectDisposedException.ThrowIf(isClosed, this);
        ulong reasons = 0;
        return new GpuState(Number(clock, SmClock), Number(clock, MemoryClock), Number(temperature, 0), Watts(power), throttle != null && throttle(device, &reasons) == 0 ? (ThrottleReasons)reasons : null);
    }

    /// <summary>Lets the library go.</summary>
    public void Dispose()
    {
        if (isClosed) return;
        isClosed = true;
        _ = shutdown();
    }

    private int? Number(delegate* unmanaged<nint, int, uint*, int> ask, int which)
    {
        uint value = 0;
        return ask != null && ask(device, which, &value) == 0 ? (int)value : null;
    }

    // The library counts milliwatts.
    private double? Watts(delegate* unmanaged<nint, uint*, int> ask)
    {
        uint value = 0;
        return ask != null && ask(device, &value) == 0 ? value / 1e3 : null;
    }

    private static string Text(Func<string, nint> find, int result)
    {
        var ask = (delegate* unmanaged<int, byte*>)find("nvmlErrorString");
        return (ask == null ? null : Marshal.PtrToStringUTF8((nint)ask(result))) ?? $"NVML error {result}";
    }
}
