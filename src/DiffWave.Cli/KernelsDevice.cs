using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Cli;

/// <summary>What runs single kernels.</summary>
internal static class KernelsDevice
{
    /// <summary>Opens the device a user asked for; it never falls back.</summary>
    /// <exception cref="NoSuchDeviceException">There is no driver or no GPU.</exception>
    public static ICudaDriver Open(string device)
    {
        if (device != "cuda") return new EmulatedDriver();
        NvidiaDriver.Devices(out string? whyNone);
        return whyNone is null ? NvidiaDriver.Open() : throw new NoSuchDeviceException($"--device cuda: {whyNone}");
    }

    /// <summary>The device in one phrase.</summary>
    public static string Text(ICudaDriver driver) => driver is NvidiaDriver ? $"cuda ({driver.Device.Name}, sm_{driver.Device.Sm}, {driver.Description})" : $"{driver.Description} (sm_{driver.Device.Sm}; every access checked, no times)";
}
