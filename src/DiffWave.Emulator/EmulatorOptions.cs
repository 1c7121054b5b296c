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

    /// <summary>
    /// Whether initialisation, races in shared memory and the use of warps are checked. Threads of one warp race like any others unless bar.warp.sync or a barrier lies between: the
    /// hardware promises no lockstep. Bounds, alignment and barriers that never fill are found in any case. Races between blocks in global memory and unwritten local memory are not looked for.
    /// </summary>
    public bool Checks { get; init; } = true;

    /// <summary>Whether each launch leaves a report in <see cref="EmulatedDriver.Reports"/>.</summary>
    public bool Reports { get; init; }

    /// <summary>
    /// Whether what is queued on a stream runs only when something waits for it, as late as CUDA allows, instead of at once: code that forgets to wait, or changes page-locked memory a copy
    /// still needs, then computes from the wrong values. Findings come out of the call that waits.
    /// </summary>
    public bool Lazy { get; init; }

    /// <summary>Instructions one warp may execute before the launch counts as endless.</summary>
    public long WarpInstructionLimit { get; init; } = 200_000_000;
}
