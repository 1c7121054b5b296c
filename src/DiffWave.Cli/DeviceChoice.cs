using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>A device and why it was taken.</summary>
/// <param name="Ops">The device; belongs to the caller.</param>
/// <param name="Reason">Why it was taken.</param>
internal sealed record DeviceChoice(IOps Ops, string Reason) : IDisposable
{
    public const string NoGpu = "no GPU backend in this build";

    /// <summary>The device and the reason in one phrase, such as <c>cpu (AVX-512, 2 threads; no GPU backend in this build)</c>.</summary>
    public string Text => Ops.Device.EndsWith(')') ? $"{Ops.Device[..^1]}; {Reason})" : $"{Ops.Device} ({Reason})";

    /// <summary>Opens the device a user asked for.</summary>
    /// <exception cref="UsageException">No device has this name.</exception>
    /// <exception cref="NoSuchDeviceException">The device is not there.</exception>
    public static DeviceChoice Open(string device, int threads) => device.Split(':')[0].ToLowerInvariant() switch
    {
        "auto" => new DeviceChoice(CpuDevice.Create(threads), NoGpu),
        "cpu" => new DeviceChoice(CpuDevice.Create(threads), "chosen by --device"),
        "cuda" or "gpu" => throw new NoSuchDeviceException($"--device {device}: no CUDA backend in this build; use --device cpu"),
        _ => throw new UsageException($"--device is '{device}', expected auto, cpu or cuda"),
    };

    public void Dispose() => Ops.Dispose();
}
