using System.Runtime.InteropServices;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Memory;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Checks;

/// <summary>
/// Which blocks of a launch have touched which units of global memory. Blocks run one after the other here, on a device in any order and at once: what one writes no other may touch, unless the first has published it,
/// by a fence of the device and then an atomic operation, and the other has seen that, by an atomic operation on the same address and then a fence. That is a vector clock by block; the order of threads within a block is
/// not looked at.
/// </summary>
internal sealed unsafe class BlockRaces(KernelProgram program, long blocks) : IDisposable
{
    /// <summary>A unit of memory: who wrote it last, who has read it since the launch began, and who has updated it by atomic operations.</summary>
    public struct Unit
    {
        /// <summary>Of the plain writes.</summary>
        public Access Writer;

        /// <summary>Of the plain reads.</summary>
        public Access Reader;

        /// <summary>Of the atomic operations.</summary>
        public Access Updater;
    }

    /// <summary>The last access of a kind; of reads and atomic operations of several blocks the first block's.</summary>
    public struct Access
    {
        /// <summary>Block + 1; 0: nobody.</summary>
        public uint Block;

        /// <summary>By the block's clock: fences of the device it had passed.</summary>
        public ushort Time;

        /// <summary>The instruction.</summary>
        public ushort Pc;

        /// <summary>Whether anybody has read it by <c>ld.global.nc</c>, and whether other blocks did the same as this one.</summary>
        public bool IsNonCoherent, IsSeveral;
    }

    /// <summary>Two accesses nothing orders.</summary>
    /// <param name="Kind">What it is called.</param>
    /// <param name="Block">The other block.</param>
    /// <param name="Verb">What it does.</param>
    /// <param name="Pc">Where.</param>
    public readonly record struct Conflict(FindingKind Kind, long Block, string Verb, int Pc);

    private readonly int shift = int.Log2(program.GlobalUnit);
    private readonly Dictionary<Allocation, nint> units = [];
    private readonly Dictionary<ulong, Dictionary<uint, ushort>> published = []; // by address of the atomic operation, and block
    private readonly Dictionary<uint, ushort> known = [], seen = []; // up to which time other blocks' accesses come before this block's next one, and will after its next fence
    private uint block;
    private ushort time;

    /// <summary>The units of an allocation.</summary>
    public Unit* Of(Allocation allocation)
    {
        if (!units.TryGetValue(allocation, out nint place)) units.Add(allocation, place = (nint)NativeMemory.AllocZeroed((nuint)((allocation.Bytes >> shift) + 1), (nuint)sizeof(Unit)));
        return (Unit*)place;
    }

    /// <summary>The next accesses are those of a block.</summary>
    public void Start(long number)
    {
        block = checked((uint)number + 1);
        time = 0;
        known.Clear();
        seen.Clear();
    }

    /// <summary>A fence of the device.</summary>
    public void Fence()
    {
        time++;
        foreach ((uint other, ushort until) in seen) known[other] = until;
        seen.Clear();
    }

    /// <summary>An access.</summary>
    /// <param name="all">The units of the allocation.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="access">What it does.</param>
    /// <returns>Null when nothing is wrong.</returns>
    public Conflict? Touch(Unit* all, ulong offset, int bytes, MemoryOperation access)
    {
        bool isAtomic = access.Kind == MemoryKind.Atomic, isWrite = access.Kind == MemoryKind.Store;
        if (isAtomic) Exchange((ulong)all + offset);
        for (ulong i = offset >> shift; i <= (offset + (ulong)bytes - 1) >> shift; i++)
        {
            ref Unit unit = ref all[i];
            // What is only read, by this block before or by several: most of all accesses.
            if (!isWrite && !isAtomic && unit.Writer.Block == 0 && unit.Updater.Block == 0 && (unit.Reader.IsSeveral || unit.Reader.Block == block && unit.Reader.Time == time)
                && unit.Reader.IsNonCoherent == access.IsNonCoherent) continue;
            if (access.IsNonCoherent && unit.Writer.Block != 0) return new(FindingKind.NonCoherentRead, unit.Writer.Block - 1, "writes", unit.Writer.Pc);
            if (isWrite && unit.Reader.IsNonCoherent) return new(FindingKind.NonCoherentRead, unit.Reader.Block - 1, "reads", unit.Reader.Pc);
            if (!IsOrdered(unit.Writer)) return new(FindingKind.GlobalRace, unit.Writer.Block - 1, "writes", unit.Writer.Pc);
            if ((isWrite || isAtomic) && !IsOrdered(unit.Reader)) return new(FindingKind.GlobalRace, unit.Reader.Block - 1, "reads", unit.Reader.Pc);
            if (!isAtomic && !IsOrdered(unit.Updater)) return new(FindingKind.GlobalRace, unit.Updater.Block - 1, "updates", unit.Updater.Pc);
            ref Access mine = ref isAtomic ? ref unit.Updater : ref isWrite ? ref unit.Writer : ref unit.Reader;
            // A write leaves nothing unordered behind it; reads and atomic operations of several blocks may be side by side.
            mine.IsNonCoherent |= access.IsNonCoherent;
            mine.IsSeveral = !isWrite && mine.Block != 0 && mine.Block != block;
            if (mine.IsSeveral) continue;
            // An atomic operation publishes itself together with what was fenced before it.
            (mine.Block, mine.Time, mine.Pc) = (block, (ushort)(isAtomic && time > 0 ? time - 1 : time), (ushort)access.Pc);
        }
        return null;
    }

    /// <summary>The instruction of the launch that wrote one of some bytes; null when none did.</summary>
    public string? Writer(Allocation allocation, ulong offset, int bytes)
    {
        if (!units.TryGetValue(allocation, out nint place)) return null;
        for (ulong i = offset >> shift; i <= (offset + (ulong)bytes - 1) >> shift; i++)
        {
            ref Unit unit = ref ((Unit*)place)[i];
            ref Access write = ref unit.Writer.Block != 0 ? ref unit.Writer : ref unit.Updater;
            if (write.Block == 0) continue;
            PtxInstruction instruction = program.Entry.Instructions[write.Pc];
            return $"{program.Entry.Name} at {instruction.Source} (PTX line {instruction.Line}: {instruction.Text})";
        }
        return null;
    }

    // What others have published there will be known after the next fence; what this block has fenced is published.
    private void Exchange(ulong place)
    {
        if (!published.TryGetValue(place, out Dictionary<uint, ushort>? times)) published.Add(place, times = []);
        foreach ((uint other, ushort until) in times) seen[other] = until;
        if (time > 0) times[block] = time;
    }

    // Of several blocks only the first is kept: ordered are they all where every block of the launch has been heard of.
    private bool IsOrdered(in Access before) => before.Block == 0 || before.Block == block
        || (before.IsSeveral ? known.Count >= blocks - 1 : known.TryGetValue(before.Block, out ushort until) && before.Time < until);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint place in units.Values) NativeMemory.Free((void*)place);
        units.Clear();
    }
}
