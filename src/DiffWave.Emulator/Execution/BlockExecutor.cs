using System.Numerics;
using System.Runtime.InteropServices;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>Executes blocks of one launch, one at a time. Each host thread has its own.</summary>
internal sealed unsafe partial class BlockExecutor : IDisposable
{
    private const int StackAlignment = 64;

    // After so many instructions the other warps get their turn, so that a warp that spins on what another will write does not hang.
    private const long TimeSlice = 100_000;

    private readonly KernelLaunch launch;
    private readonly KernelProgram program;
    private readonly LaunchCounters? counters;
    private readonly BlockRaces? races;
    private readonly bool checks;
    private readonly Warp[] warps;
    private readonly byte* registers;
    private readonly LaneArguments* arguments;
    private readonly byte* parameters;
    private readonly List<nint> reserved = [];
    private long block;
    private ulong clock;

    public BlockExecutor(KernelLaunch launch, LaunchCounters? counters)
    {
        this.launch = launch;
        this.counters = counters;
        races = launch.Races;
        program = launch.Program;
        checks = launch.Options.Checks;
        warps = [.. Enumerable.Range(0, launch.Warps).Select(index => new Warp(index))];
        registers = Reserve((long)program.RegisterFileBytes * warps.Length);
        foreach (Warp warp in warps) warp.Registers = registers + (long)warp.Index * program.RegisterFileBytes;
        foreach (SpecialRegister special in program.Specials) Fill(special); // but for %ctaid they are the same in all blocks
        arguments = (LaneArguments*)Reserve(sizeof(LaneArguments));
        parameters = Reserve(launch.Parameters.Length);
        Marshal.Copy(launch.Parameters, 0, (nint)parameters, launch.Parameters.Length);
        shared = Reserve(launch.SharedBytes);
        local = Reserve((long)program.LocalBytes * warps.Length * Warp.Lanes);
        addresses = (ulong*)Reserve(8 * Warp.Lanes);
        sourceAddresses = (ulong*)Reserve(8 * Warp.Lanes);
        pointers = (byte**)Reserve(8 * Warp.Lanes);
        unitShift = program.SharedUnit switch { 1 => 0, 2 => 1, _ => 2 };
        int units = checks ? (launch.SharedBytes + Warp.Lanes) >> unitShift : 0;
        writers = (ulong*)Reserve(8L * units);
        readers = (ulong*)Reserve(8L * units);
        otherReaders = (ulong*)Reserve(8L * units);
        foreach (Warp warp in warps) warp.Known = new uint[warps.Length];
        arrivedTimes = [.. Enumerable.Range(0, 16).Select(_ => new uint[warps.Length])];
        caches = (AllocationCache*)Reserve((long)sizeof(AllocationCache) * 2 * program.Memory.Length);
    }

    /// <summary>Executes one block from its first to its last instruction.</summary>
    /// <param name="number">Position in the grid, x first.</param>
    /// <exception cref="EmulatorException">A finding.</exception>
    public void Run(long number)
    {
        block = number;
        clock = 0;
        StartBlock();
        races?.Start(number);
        for (int finished = 0; finished < warps.Length;)
        {
            bool progress = false;
            finished = 0;
            foreach (Warp warp in warps)
            {
                if (warp.State == WarpState.Ready)
                {
                    progress = true;
                    RunWarp(warp);
                }
                if (warp.State == WarpState.Finished) finished++;
            }
            if (!progress && finished < warps.Length) throw Deadlock();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint place in reserved) NativeMemory.AlignedFree((void*)place);
        reserved.Clear();
    }

    private byte* Reserve(long bytes)
    {
        nuint size = (nuint)Math.Max(StackAlignment, (bytes + StackAlignment - 1) & -StackAlignment);
        byte* place = (byte*)NativeMemory.AlignedAlloc(size, StackAlignment);
        NativeMemory.Clear(place, size);
        reserved.Add((nint)place);
        return place;
    }

    private void StartBlock()
    {
        foreach (Warp warp in warps) warp.Start(program.Cleared, StartLanes(warp));
        foreach (SpecialRegister special in program.Specials)
            if (special.Name.StartsWith("%ctaid", StringComparison.Ordinal)) Fill(special);
        Array.Clear(barriers);
        StartOrder();
    }

    private void Fill(SpecialRegister special)
    {
        Func<int, ulong> value = SpecialValue(special.Name);
        foreach (Warp warp in warps)
        {
            for (int lane = 0; lane < Warp.Lanes; lane++) SetLane(warp.Registers + special.Offset, special.IsWide ? 8 : 4, lane, value(warp.Index * Warp.Lanes + lane));
        }
    }

    // The value of a special register by thread of the block.
    private Func<int, ulong> SpecialValue(string name)
    {
        (int X, int Y, int Z) position = launch.BlockPosition(block);
        Func<int, ulong> Uniform(int value) => _ => (uint)value;
        Func<int, ulong> LaneMask(Func<int, uint> mask) => thread => mask(thread % Warp.Lanes);
        return name switch
        {
            "%tid.x" => thread => (uint)launch.ThreadPosition(thread).X,
            "%tid.y" => thread => (uint)launch.ThreadPosition(thread).Y,
            "%tid.z" => thread => (uint)launch.ThreadPosition(thread).Z,
            "%ntid.x" => Uniform(launch.Block.X),
            "%ntid.y" => Uniform(launch.Block.Y),
            "%ntid.z" => Uniform(launch.Block.Z),
            "%ctaid.x" => Uniform(position.X),
            "%ctaid.y" => Uniform(position.Y),
            "%ctaid.z" => Uniform(position.Z),
            "%nctaid.x" => Uniform(launch.Grid.X),
            "%nctaid.y" => Uniform(launch.Grid.Y),
            "%nctaid.z" => Uniform(launch.Grid.Z),
            "%laneid" => thread => (uint)(thread % Warp.Lanes),
            "%warpid" => thread => (uint)(thread / Warp.Lanes),
            "%nwarpid" => Uniform(64),
            "%smid" or "%gridid" or "%is_explicit_cluster" => Uniform(0),
            "%nsmid" => Uniform(1),
            "%lanemask_eq" => LaneMask(lane => 1u << lane),
            "%lanemask_lt" => LaneMask(lane => (1u << lane) - 1),
            "%lanemask_le" => LaneMask(lane => (2u << lane) - 1),
            "%lanemask_gt" => LaneMask(lane => ~((2u << lane) - 1)),
            "%lanemask_ge" => LaneMask(lane => ~((1u << lane) - 1)),
            "%dynamic_smem_size" => Uniform(launch.DynamicSharedBytes),
            "%total_smem_size" or "%aggr_smem_size" => Uniform(launch.SharedBytes),
            "WARP_SZ" => Uniform(Warp.Lanes),
            _ => throw new ArgumentException($"no value for {name}"),
        };
    }

    private EmulatorException Fault(FindingKind kind, Warp warp, int pc, int lane, string detail, ulong? address = null, OtherAccess? other = null)
    {
        PtxInstruction? instruction = pc < program.Count ? program.Entry.Instructions[pc] : null;
        return new EmulatorException(new Finding
        {
            Kind = kind,
            Kernel = program.Entry.Name,
            Source = instruction?.Source ?? default,
            PtxLine = instruction?.Line ?? 0,
            PtxText = instruction?.Text ?? "end of the kernel",
            Block = launch.BlockPosition(block),
            Thread = launch.ThreadPosition(warp.Index * Warp.Lanes + lane),
            Detail = detail,
            Address = address,
            Other = other,
        });
    }

    private static int FirstLane(uint mask) => BitOperations.TrailingZeroCount(mask);
}
