using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Cli;

/// <summary>What runs single kernels: a GPU or the emulator.</summary>
internal static class KernelsDevice
{
    /// <summary>Opens the device a user asked for; auto is the first GPU that can be used, else the emulator.</summary>
    /// <param name="session">Told when a GPU is there and cannot be used.</param>
    /// <param name="device">The device.</param>
    /// <param name="threads">Threads of the emulator, 0 for all.</param>
    /// <returns>The device, and why it was taken.</returns>
    /// <exception cref="UsageException">The CPU runs no kernels.</exception>
    /// <exception cref="NoSuchDeviceException">The GPU is not there.</exception>
    public static (ICudaDriver Driver, string Reason) Open(Session session, DeviceName device, int threads = 0)
    {
        switch (device.Kind)
        {
            case DeviceKind.Cpu: throw new UsageException("--device cpu: kernels run on a GPU or on the emulator; give auto, cuda, cuda:N or emulator");
            case DeviceKind.Cuda: return (Gpus.Open(device), "chosen by --device");
            case DeviceKind.Emulator: return (Emulator(), "chosen by --device");
        }
        (ICudaDriver? driver, int index, Exception? whyNone) = Gpus.First();
        if (driver is not null) return (driver, index == 0 ? "the first GPU" : $"the first GPU that can be used, cuda:{index}");
        if (!Gpus.IsAbsence(whyNone!)) session.Warn($"the GPU cannot be used: {Gpus.Reason(whyNone!)}; running on the emulator");
        return (Emulator(), Gpus.Reason(whyNone!));

        ICudaDriver Emulator() => new EmulatedDriver(new EmulatorOptions { BlockRaces = true, Threads = threads });
    }

    /// <summary>The device and the reason in one phrase.</summary>
    public static string Text(ICudaDriver driver, string reason) => DeviceChoice.Phrase(driver.DeviceText, reason);
}
