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
        program = launch.Program;
        checks = launch.Options.Checks;
        warps = [.. Enumerable.Range(0, launch.Warps).Select(index => new Warp(index))];
        registers = Reserve((long)program.RegisterFileBytes * warps.Length);
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
        long threads = launch.Block.Size;
        for (int index = 0; index < warps.Length; index++)
        {
            int lanes = (int)Math.Min(Warp.Lanes, threads - (long)index * Warp.Lanes);
            Warp warp = warps[index];
            warp.Start(registers + (long)index * program.RegisterFileBytes, program.ClearedBytes, lanes == Warp.Lanes ? ~0u : (1u << lanes) - 1);
            foreach (SpecialRegister special in program.Specials)
            {
                for (int lane = 0; lane < Warp.Lanes; lane++)
                {
                    ulong value = SpecialValue(special.Name, index, lane);
                    if (special.IsWide) ((ulong*)(warp.Registers + special.Offset))[lane] = value;
                    else ((uint*)(warp.Registers + special.Offset))[lane] = (uint)value;
                }
            }
        }
        Array.Clear(barriers);
        StartOrder();
    }

    private ulong SpecialValue(string name, int warp, int lane)
    {
        (int X, int Y, int Z) thread = launch.ThreadPosition(warp * Warp.Lanes + lane), position = launch.BlockPosition(block);
        return name switch
        {
            "%tid.x" => (uint)thread.X,
            "%tid.y" => (uint)thread.Y,
            "%tid.z" => (uint)thread.Z,
            "%ntid.x" => (uint)launch.Block.X,
            "%ntid.y" => (uint)launch.Block.Y,
            "%ntid.z" => (uint)launch.Block.Z,
            "%ctaid.x" => (uint)position.X,
            "%ctaid.y" => (uint)position.Y,
            "%ctaid.z" => (uint)position.Z,
            "%nctaid.x" => (uint)launch.Grid.X,
            "%nctaid.y" => (uint)launch.Grid.Y,
            "%nctaid.z" => (uint)launch.Grid.Z,
            "%laneid" => (uint)lane,
            "%warpid" => (uint)warp,
            "%nwarpid" => 64,
            "%smid" or "%gridid" or "%is_explicit_cluster" => 0,
            "%nsmid" => 1,
            "%lanemask_eq" => 1u << lane,
            "%lanemask_lt" => (1u << lane) - 1,
            "%lanemask_le" => (2u << lane) - 1,
            "%lanemask_gt" => ~((2u << lane) - 1),
            "%lanemask_ge" => ~((1u << lane) - 1),
            "%dynamic_smem_size" => (uint)launch.DynamicSharedBytes,
            "%total_smem_size" or "%aggr_smem_size" => (uint)launch.SharedBytes,
            "WARP_SZ" or "%WARP_SZ" => Warp.Lanes,
            _ => throw new PtxException(0, $"the emulator does not know the special register {name}", supported: false),
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
