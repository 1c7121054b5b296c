namespace DiffWave.Emulator;

/// <summary>Choices of the emulator.</summary>
public sealed record EmulatorOptions
{
    /// <summary>Architecture it stands for; modules for a later one are refused.</summary>
    public int Sm { get; init; } = 90;

    /// <summary>Bytes of device memory it hands out.</summary>
    public long MemoryBytes { get; init; } = 4L << 30;

    /// <summary>Threads of the host that run blocks; 0: all. Results and reports do not depend on it.</summary>
    public int Threads { get; init; }

    /// <summary>Whether memory, races and barriers are checked.</summary>
    public bool Checks { get; init; } = true;

    /// <summary>Whether each launch leaves a report in <see cref="EmulatedDriver"/>'s list.</summary>
    public bool Reports { get; init; }
}

/// <summary>A device that executes PTX on the CPU and checks it like a sanitizer. It proves what kernels compute, never how fast.</summary>
public sealed class EmulatedDriver;
