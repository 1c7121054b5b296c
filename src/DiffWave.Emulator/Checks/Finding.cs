using System.Text;
using DiffWave.Cuda;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Checks;

/// <summary>Classes of findings.</summary>
public enum FindingKind
{
    /// <summary>An access not wholly inside an allocation, the block's shared memory, the thread's local memory or the parameters.</summary>
    OutOfBounds,

    /// <summary>An address that is no multiple of the access's size.</summary>
    Misaligned,

    /// <summary>An access near address 0.</summary>
    NullPointer,

    /// <summary>An access to memory already given back.</summary>
    UseAfterFree,

    /// <summary>A read of bytes nobody has written.</summary>
    Uninitialised,

    /// <summary>Two threads of a block access the same shared bytes, one writes, and no barrier lies between.</summary>
    SharedRace,

    /// <summary>Two blocks of a launch access the same global bytes, one writes, and nothing orders them.</summary>
    GlobalRace,

    /// <summary>A kernel launched early writes, or reads what the launch before it writes, before it has waited for that (<c>griddepcontrol.wait</c>).</summary>
    EarlyAccess,

    /// <summary>Bytes read by <c>ld.global.nc</c>, which is for what nobody writes while the kernel runs, are written by the same launch.</summary>
    NonCoherentRead,

    /// <summary>Shared memory that an asynchronous copy still may be writing is read or written.</summary>
    AsyncCopyPending,

    /// <summary>A write to constants or parameters.</summary>
    ReadOnly,

    /// <summary>A barrier, or an instruction for whole warps, reached by a part of a warp.</summary>
    DivergentWarp,

    /// <summary>A barrier that not all expected threads reach.</summary>
    BarrierDeadlock,

    /// <summary>A branch marked uniform whose lanes disagree.</summary>
    DivergentUniformBranch,

    /// <summary>The kernel executed <c>trap</c>.</summary>
    Trap,

    /// <summary>A warp exceeded <see cref="EmulatorOptions.WarpInstructionLimit"/>.</summary>
    InstructionLimit,
}

/// <summary>A mistake of a kernel and where it happened.</summary>
public sealed record Finding
{
    /// <summary>Its class.</summary>
    public required FindingKind Kind { get; init; }

    /// <summary>Entry name.</summary>
    public required string Kernel { get; init; }

    /// <summary>C# line of the instruction.</summary>
    public required SourceLine Source { get; init; }

    /// <summary>Line of the PTX text.</summary>
    public required int PtxLine { get; init; }

    /// <summary>The instruction.</summary>
    public required string PtxText { get; init; }

    /// <summary>Block within the grid: x, y, z from 0.</summary>
    public required (int X, int Y, int Z) Block { get; init; }

    /// <summary>Thread within the block: x, y, z from 0; the first of those concerned.</summary>
    public required (int X, int Y, int Z) Thread { get; init; }

    /// <summary>What was found, with addresses, allocation and distance.</summary>
    public required string Detail { get; init; }

    /// <summary>Address of the access in its state space, or null.</summary>
    public ulong? Address { get; init; }

    /// <summary>The second thread of a race, or null.</summary>
    public OtherAccess? Other { get; init; }

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append($"{Kind} in {Kernel} at {Source} (PTX line {PtxLine}: {PtxText}), ").Append($"block ({Block.X}, {Block.Y}, {Block.Z}), thread ({Thread.X}, {Thread.Y}, {Thread.Z}): {Detail}");
        if (Other is not null)
            text.Append($"; the other is the {(Other.IsWrite ? "write" : "read")} of thread ({Other.Thread.X}, {Other.Thread.Y}, {Other.Thread.Z}) ")
                .Append($"at {Other.Source} (PTX line {Other.PtxLine}: {Other.PtxText})");
        return text.ToString();
    }
}

/// <summary>The other access of a race.</summary>
/// <param name="Thread">Thread within the block: x, y, z from 0.</param>
/// <param name="Source">C# line.</param>
/// <param name="PtxLine">Line of the PTX text.</param>
/// <param name="PtxText">The instruction.</param>
/// <param name="IsWrite">Whether it wrote.</param>
public sealed record OtherAccess((int X, int Y, int Z) Thread, SourceLine Source, int PtxLine, string PtxText, bool IsWrite);

/// <summary>A launch failed because its kernel did something it must not.</summary>
/// <param name="finding">What and where.</param>
public sealed class EmulatorException(Finding finding) : CudaException($"launch {finding.Kernel}", ErrorName(finding.Kind), finding.ToString())
{
    /// <summary>What and where.</summary>
    public Finding Finding { get; } = finding;

    // Where a device would fail, its error; the rest it would pass over in silence.
    private static string ErrorName(FindingKind kind) => kind switch
    {
        FindingKind.OutOfBounds or FindingKind.NullPointer or FindingKind.UseAfterFree or FindingKind.ReadOnly => "CUDA_ERROR_ILLEGAL_ADDRESS",
        FindingKind.Misaligned => "CUDA_ERROR_MISALIGNED_ADDRESS",
        FindingKind.BarrierDeadlock or FindingKind.InstructionLimit => "CUDA_ERROR_LAUNCH_TIMEOUT",
        FindingKind.Trap => "CUDA_ERROR_LAUNCH_FAILED",
        _ => "emulator check failed",
    };
}
