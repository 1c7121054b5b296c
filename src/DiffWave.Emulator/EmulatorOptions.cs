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

    /// <summary>Whether initialisation, races and the use of warps are checked. Bounds, alignment and barriers that never fill are found in any case.</summary>
    public bool Checks { get; init; } = true;

    /// <summary>Whether each launch leaves a report in <see cref="EmulatedDriver.Reports"/>.</summary>
    public bool Reports { get; init; }

    /// <summary>Instructions one warp may execute before the launch counts as endless.</summary>
    public long WarpInstructionLimit { get; init; } = 200_000_000;
}
