using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>Lays out the register file of a kernel's warps and the arrays of its constants while the kernel is translated.</summary>
internal sealed unsafe class RegisterFile
{
    private const int Lanes = 32;

    // Those with a value that holds for a whole block; clocks are instructions of their own.
    private static readonly HashSet<string> KnownSpecials =
    [
        "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid",
        "%gridid", "%is_explicit_cluster", "%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge", "%dynamic_smem_size", "%total_smem_size", "%aggr_smem_size", "WARP_SZ",
    ];

    private readonly KernelProgram program;
    private readonly int[] offsets;
    private readonly Dictionary<(ulong Bits, int LaneBytes), nint> constants = [];
    private readonly Dictionary<string, SpecialRegister> specials = [];

    /// <summary>Places the registers; those never needed at the same time share places.</summary>
    public RegisterFile(KernelProgram program, Liveness liveness)
    {
        this.program = program;
        IReadOnlyList<PtxRegister> registers = program.Entry.Registers;
        offsets = new int[registers.Count];
        var cleared = new List<(int Offset, int Bytes)>();
        foreach (int laneBytes in (int[])[0, 4, 8])
        {
            int size = laneBytes == 0 ? 4 : Lanes * laneBytes;
            var free = new Stack<int>();
            var held = new PriorityQueue<int, int>(); // places by the last instruction that needs them
            foreach (PtxRegister register in registers.Where(register => LaneBytes(register.Type) == laneBytes && liveness.Last[register.Index] >= 0).OrderBy(register => liveness.First[register.Index]))
            {
                while (held.TryPeek(out int place, out int last) && last < liveness.First[register.Index])
                {
                    held.Dequeue();
                    free.Push(place);
                }
                if (!free.TryPop(out int offset))
                {
                    offset = Bytes;
                    Bytes += size;
                }
                offsets[register.Index] = offset;
                held.Enqueue(offset, liveness.Last[register.Index]);
                // Deterministic even where the program is not.
                if (liveness.IsReadFirst(register.Index)) cleared.Add((offset, size));
            }
            Bytes = (Bytes + 63) & ~63;
        }
        program.Cleared = [.. cleared];
    }

    /// <summary>Bytes so far.</summary>
    public int Bytes { get; private set; }

    /// <summary>Special registers met.</summary>
    public SpecialRegister[] Specials => [.. specials.Values];

    /// <summary>Place of a register.</summary>
    public int this[PtxRegister register] => offsets[register.Index];

    /// <summary>Bytes of one lane in the file; 0 for predicates, which are one mask.</summary>
    public static int LaneBytes(PtxType type) => type switch
    {
        PtxType.Pred => 0,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 8,
        _ => 4,
    };

    /// <summary>Whether a special register can be an operand.</summary>
    public static bool KnowsSpecial(string name) => KnownSpecials.Contains(name);

    /// <summary>A place for a mask.</summary>
    public int Scratch()
    {
        Bytes += 64;
        return Bytes - 64;
    }

    /// <summary>The array of an operand that is no address.</summary>
    /// <param name="operand">Register, immediate, special register, address of a variable or sink.</param>
    /// <param name="constantBytes">Bytes of a lane if it is a constant; 0: a predicate.</param>
    /// <param name="addressOf">Address of a variable.</param>
    public DataPlace Place(PtxOperand operand, int constantBytes, Func<PtxVariable, ulong> addressOf) => operand switch
    {
        RegisterOperand { Register: var register } => File(offsets[register.Index], LaneBytes(register.Type)),
        ImmediateOperand immediate => Constant(constantBytes == 0 ? (immediate.Bits == 0 ? 0 : ~0ul) : immediate.Bits, constantBytes),
        VariableOperand variable => Constant(addressOf(variable.Variable) + (ulong)variable.Offset, constantBytes),
        SpecialOperand special => Special(special.Name),
        SinkOperand => default,
        _ => throw new ArgumentException($"an operand {operand} has no array"),
    };

    private static DataPlace File(int offset, int laneBytes) => new((ulong)offset, ~0ul, laneBytes);

    private DataPlace Special(string name)
    {
        if (!specials.TryGetValue(name, out SpecialRegister? special))
        {
            bool isWide = name == "%gridid";
            specials.Add(name, special = new SpecialRegister(name, Bytes, isWide));
            Bytes += isWide ? 8 * Lanes : 4 * Lanes;
        }
        return File(special.Offset, special.IsWide ? 8 : 4);
    }

    private DataPlace Constant(ulong bits, int laneBytes)
    {
        if (laneBytes != 8) bits = (uint)bits;
        if (!constants.TryGetValue((bits, laneBytes), out nint place))
        {
            byte* array = program.Reserve(Math.Max(4, Lanes * laneBytes));
            for (int lane = 0; lane < Lanes; lane++)
            {
                if (laneBytes == 8) ((ulong*)array)[lane] = bits;
                else if (laneBytes == 4 || lane == 0) ((uint*)array)[lane] = (uint)bits;
            }
            constants.Add((bits, laneBytes), place = (nint)array);
        }
        return new DataPlace((ulong)place, 0, laneBytes);
    }
}
