using System.Globalization;

namespace DiffWave.Cli;

/// <summary>Kinds of devices a user can name.</summary>
internal enum DeviceKind { Auto, Cpu, Cuda, Emulator }

/// <summary>A device as <c>--device</c> names it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Index">Number of the GPU, from 0.</param>
internal readonly record struct DeviceName(DeviceKind Kind, int Index = 0)
{
    public const string Forms = "auto|cpu|cuda[:N]|emulator";

    /// <summary>Reads a name; null when it is none.</summary>
    public static DeviceName? Parse(string text) => text.ToLowerInvariant() switch
    {
        "auto" => new DeviceName(DeviceKind.Auto),
        "cpu" => new DeviceName(DeviceKind.Cpu),
        "emulator" => new DeviceName(DeviceKind.Emulator),
        "cuda" => new DeviceName(DeviceKind.Cuda),
        var name when name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int index) => new DeviceName(DeviceKind.Cuda, index),
        _ => null,
    };

    public override string ToString() => Kind == DeviceKind.Cuda && Index > 0 ? string.Create(CultureInfo.InvariantCulture, $"cuda:{Index}") : Kind.ToString().ToLowerInvariant();
}
