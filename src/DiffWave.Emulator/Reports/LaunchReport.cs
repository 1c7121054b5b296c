using DiffWave.Cuda;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Reports;

/// <summary>Instructions of one class.</summary>
/// <param name="Class">The class.</param>
/// <param name="Warp">Instructions issued by warps.</param>
/// <param name="Thread">Instructions executed by threads.</param>
public sealed record InstructionCount(InstructionClass Class, long Warp, long Thread);

/// <summary>What one instruction that touches memory moved during a launch.</summary>
/// <param name="Source">C# line.</param>
/// <param name="PtxLine">Line of the PTX text.</param>
/// <param name="PtxText">The instruction.</param>
/// <param name="Requests">Times a warp executed it.</param>
/// <param name="Bytes">Bytes its threads asked for.</param>
/// <param name="Moved">Global: sectors of 32 bytes over all requests. Shared: wavefronts, i.e. passes through the banks.</param>
/// <param name="Ideal">The fewest that could carry the distinct bytes of each request.</param>
public sealed record AccessSite(SourceLine Source, int PtxLine, string PtxText, long Requests, long Bytes, long Moved, long Ideal)
{
    /// <summary>Ideal over moved, 0 to 1.</summary>
    public double Efficiency => Moved == 0 ? 1 : (double)Ideal / Moved;
}

/// <summary>A branch some of whose executions divided a warp.</summary>
/// <param name="Source">C# line.</param>
/// <param name="PtxLine">Line of the PTX text.</param>
/// <param name="PtxText">The instruction.</param>
/// <param name="Executed">Times a warp executed it.</param>
/// <param name="Divergent">Times its lanes disagreed.</param>
public sealed record BranchSite(SourceLine Source, int PtxLine, string PtxText, long Executed, long Divergent);

/// <summary>The part of an allocation a launch touched: sectors of 32 bytes, each counted once. It is what DRAM must deliver and take if nothing is evicted from the cache meanwhile.</summary>
/// <param name="Address">Device address of the allocation.</param>
/// <param name="Name">Variable of the module, or empty.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="SectorsRead">Sectors read at least once.</param>
/// <param name="SectorsWritten">Sectors written at least once.</param>
public sealed record AllocationTraffic(ulong Address, string Name, long Bytes, long SectorsRead, long SectorsWritten);

/// <summary>What a launch executed and moved. Counts, no times.</summary>
public sealed record LaunchReport
{
    /// <summary>Entry name.</summary>
    public required string Kernel { get; init; }

    /// <summary>Blocks.</summary>
    public required Dim3 Grid { get; init; }

    /// <summary>Threads of a block.</summary>
    public required Dim3 Block { get; init; }

    /// <summary>Registers of a thread as PTX declares them, in units of 32 bits; the device's compiler needs fewer.</summary>
    public required int DeclaredRegisters { get; init; }

    /// <summary>Bytes of local memory of a thread.</summary>
    public required int LocalBytes { get; init; }

    /// <summary>Bytes of static shared memory of a block.</summary>
    public required int StaticSharedBytes { get; init; }

    /// <summary>Bytes of dynamic shared memory of a block.</summary>
    public required int DynamicSharedBytes { get; init; }

    /// <summary>Instructions by class; classes that do not occur are left out.</summary>
    public required IReadOnlyList<InstructionCount> Instructions { get; init; }

    /// <summary>Instructions issued by warps.</summary>
    public required long WarpInstructions { get; init; }

    /// <summary>Instructions executed by threads.</summary>
    public required long ThreadInstructions { get; init; }

    /// <summary>Floating-point operations outside matrix products.</summary>
    public required long Flops { get; init; }

    /// <summary>Floating-point operations of matrix products.</summary>
    public required long TensorFlops { get; init; }

    /// <summary>Accesses to global memory in program order.</summary>
    public required IReadOnlyList<AccessSite> Global { get; init; }

    /// <summary>Accesses to shared memory in program order.</summary>
    public required IReadOnlyList<AccessSite> Shared { get; init; }

    /// <summary>What was touched of each allocation, by address.</summary>
    public required IReadOnlyList<AllocationTraffic> Allocations { get; init; }

    /// <summary>Branches that divided warps, in program order.</summary>
    public required IReadOnlyList<BranchSite> DivergentBranches { get; init; }

    /// <summary>Loads from and stores to local memory by threads: arrays and spills.</summary>
    public required long LocalAccesses { get; init; }

    /// <summary>Barriers and fences issued by warps.</summary>
    public required long Barriers { get; init; }

    /// <summary>Threads per warp instruction, at most 32.</summary>
    public double AverageActiveLanes => WarpInstructions == 0 ? 0 : (double)ThreadInstructions / WarpInstructions;

    internal static LaunchReport From(KernelLaunch launch, LaunchCounters counters)
    {
        KernelProgram program = launch.Program;
        IReadOnlyList<PtxInstruction> instructions = program.Entry.Instructions;
        var warps = new long[Enum.GetValues<InstructionClass>().Length];
        var threads = new long[warps.Length];
        long flops = 0, tensorFlops = 0;
        var branches = new List<BranchSite>();
        for (int pc = 0; pc < program.Count; pc++)
        {
            InstructionClass kind = program.Classes[pc];
            warps[(int)kind] += counters.Warps[pc];
            threads[(int)kind] += counters.Lanes[pc];
            if (kind == InstructionClass.Tensor) tensorFlops += counters.Lanes[pc] * program.FlopsPerLane[pc];
            else flops += counters.Lanes[pc] * program.FlopsPerLane[pc];
            if (counters.Divergent[pc] > 0)
                branches.Add(new BranchSite(instructions[pc].Source, instructions[pc].Line, instructions[pc].Text, counters.Warps[pc], counters.Divergent[pc]));
        }
        return new LaunchReport
        {
            Kernel = program.Entry.Name,
            Grid = launch.Grid,
            Block = launch.Block,
            DeclaredRegisters = program.DeclaredRegisters,
            LocalBytes = program.LocalBytes,
            StaticSharedBytes = program.StaticSharedBytes,
            DynamicSharedBytes = launch.DynamicSharedBytes,
            Instructions = [.. Enum.GetValues<InstructionClass>().Where(kind => warps[(int)kind] > 0).Select(kind => new InstructionCount(kind, warps[(int)kind], threads[(int)kind]))],
            WarpInstructions = warps.Sum(),
            ThreadInstructions = threads.Sum(),
            Flops = flops,
            TensorFlops = tensorFlops,
            Global = Sites(program, counters.Global),
            Shared = Sites(program, counters.Shared),
            Allocations = counters.Footprint.Summarise(),
            DivergentBranches = branches,
            LocalAccesses = threads[(int)InstructionClass.Local],
            Barriers = warps[(int)InstructionClass.Barrier],
        };
    }

    private static List<AccessSite> Sites(KernelProgram program, ReadOnlySpan<SiteCounts> counts)
    {
        var sites = new List<AccessSite>();
        for (int i = 0; i < counts.Length; i++)
        {
            PtxInstruction instruction = program.Entry.Instructions[program.Memory[i].Pc];
            SiteCounts site = counts[i];
            if (site.Requests > 0) sites.Add(new AccessSite(instruction.Source, instruction.Line, instruction.Text, site.Requests, site.Bytes, site.Moved, site.Ideal));
        }
        return sites;
    }
}
