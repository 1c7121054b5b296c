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
    /// hardware promises no lockstep. Bounds, alignment and barriers that never fill are found in any case. Unwritten local memory is not looked for, races between blocks only by <see cref="BlockRaces"/>.
    /// </summary>
    public bool Checks { get; init; } = true;

    /// <summary>
    /// Whether global memory that one block of a launch writes and another one touches is found, memory read as never written (<c>ld.global.nc</c>) that is, and what a launch that begins early touches before it waits. Blocks have an order only where both use a fence of the
    /// device and an atomic operation on the same word between. Takes up to 36 times the memory of what a kernel touches, and runs blocks one after the other.
    /// </summary>
    public bool BlockRaces { get; init; }

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
