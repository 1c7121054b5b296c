using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Cli;

/// <summary>What runs single kernels.</summary>
internal static class KernelsDevice
{
    /// <summary>Opens the device a user asked for; it never falls back.</summary>
    /// <exception cref="NoSuchDeviceException">There is no driver or no GPU.</exception>
    public static ICudaDriver Open(string device) => device switch
    {
        "cuda" => throw new NoSuchDeviceException("--device cuda: not yet"),
        _ => new EmulatedDriver(),
    };

    /// <summary>The device in one phrase.</summary>
    public static string Text(ICudaDriver driver) => $"{driver.Description} ({driver.Device.Name}, sm_{driver.Device.Sm})";
}
