using System.Globalization;
using System.Runtime.InteropServices;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>
/// One instruction on lanes of numbers. An operand is an array (a value for each lane; more than 32 are run warp by warp), an array of arrays for a vector, or a string that stands in the text
/// as it is (an immediate, a sink). The element type of an array says how its register is declared: bool pred, 16-bit numbers b16, 32-bit integers b32, 64-bit integers b64, float f32, double f64.
/// </summary>
internal static unsafe class Instruction
{
    private const int Lanes = 32, SlotBytes = 256;

    /// <summary>Runs an instruction with one destination.</summary>
    public static T[] Run<T>(string opcode, params object[] sources) where T : unmanaged => (T[])RunAll(opcode, "{0}", [typeof(T)], sources)[0];

    /// <summary>Runs an instruction with two destinations joined by a bar.</summary>
    public static (T1[] First, T2[] Second) RunPair<T1, T2>(string opcode, params object[] sources) where T1 : unmanaged where T2 : unmanaged
    {
        var results = RunAll(opcode, "{0}|{1}", [typeof(T1), typeof(T2)], sources);
        return ((T1[])results[0], (T2[])results[1]);
    }

    /// <summary>Runs an instruction for the lanes of <paramref name="mask"/> only; the others of the destination hold 0.</summary>
    public static T[] RunMasked<T>(string opcode, uint mask, params object[] sources) where T : unmanaged => (T[])RunAll(opcode, "{0}", [typeof(T)], sources, mask)[0];

    /// <summary>Runs an instruction.</summary>
    /// <param name="opcode">Opcode with modifiers.</param>
    /// <param name="destinations">Text of the destinations, {0}, {1}.. for the registers.</param>
    /// <param name="types">Element types of the destination registers.</param>
    /// <param name="sources">The other operands.</param>
    /// <param name="mask">Lanes that take part.</param>
    /// <returns>An array for each destination register.</returns>
    public static Array[] RunAll(string opcode, string destinations, Type[] types, object[] sources, uint mask = uint.MaxValue)
    {
        var inputs = new List<Array>();
        string targets = string.Format(CultureInfo.InvariantCulture, destinations, [.. types.Select((_, i) => $"%d{i}")]);
        string operands = string.Join(", ", sources.Select(Text).Prepend(targets).Where(text => text.Length > 0));
        var declared = types.Select((type, i) => $".reg .{Register(type)} %d{i};").Concat(inputs.Select((array, i) => $".reg .{Register(array.GetType().GetElementType()!)} %s{i};"));
        var instruction = Parse($"{string.Join(' ', declared)} {opcode} {operands};");
        var function = LaneFunctions.Find(instruction) ?? throw new InvalidOperationException($"{opcode} is no function of registers");
        (PtxOperand?, int)[] slots = [.. instruction.Operands.SelectMany((operand, i) => Flat(operand).Select(part => (part, LaneFunctions.LaneBytes(instruction, i))))];
        return Execute(function, slots, types, [.. inputs.Select(Bits)], mask);

        string Text(object source)
        {
            if (source is string text) return text;
            if (source is Array[] vector) return $"{{{string.Join(", ", vector.Select(Text))}}}";
            inputs.Add((Array)source);
            return $"%s{inputs.Count - 1}";
        }
    }

    /// <summary>An instruction among others that only declare, as the parser gives it.</summary>
    public static PtxInstruction Parse(string body) =>
        PtxParser.Parse($".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k()\n{{\n{body}\nret;\n}}\n").Entries[0].Instructions[0];

    private static Array[] Execute(LaneFunction function, (PtxOperand? Operand, int LaneBytes)[] operands, Type[] types, ulong[][] inputs, uint mask)
    {
        int count = inputs.Length == 0 ? Lanes : inputs.Max(a => a.Length);
        ulong[][] results = [.. types.Select(_ => new ulong[count])];
        byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)(SlotBytes * operands.Length), 64);
        for (int start = 0; start < count; start += Lanes)
        {
            LaneArguments arguments = default;
            arguments.Mask = mask;
            NativeMemory.Clear(memory, (nuint)(SlotBytes * operands.Length));
            for (int i = 0; i < operands.Length; i++)
            {
                byte* array = memory + i * SlotBytes;
                arguments.Operands[i] = operands[i].Operand is null ? 0 : (ulong)array;
                if (operands[i].Operand is ImmediateOperand immediate)
                    for (int lane = 0; lane < Lanes; lane++) Set(array, operands[i].LaneBytes == 8 ? PtxType.B64 : PtxType.B32, lane, immediate.Bits);
                else if (operands[i].Operand is RegisterOperand { Register: var register, Negated: var negated } && register.Name[1] == 's')
                    for (int lane = 0; lane < Lanes && start + lane < count; lane++)
                        Set(array, register.Type, lane, inputs[Number(register)][start + lane] ^ (negated ? 1ul : 0));
            }

            function.Execute(&arguments);
            for (int i = 0; i < operands.Length; i++)
                if (operands[i].Operand is RegisterOperand { Register: var register } && register.Name[1] == 'd')
                    for (int lane = 0; lane < Lanes && start + lane < count; lane++)
                        results[Number(register)][start + lane] = Get(memory + i * SlotBytes, register.Type, lane);
        }

        NativeMemory.AlignedFree(memory);
        return [.. types.Select((type, i) => Values(type, results[i]))];
    }

    private static int Number(PtxRegister register) => int.Parse(register.Name.AsSpan(2), CultureInfo.InvariantCulture);

    private static IEnumerable<PtxOperand?> Flat(PtxOperand operand) => operand switch
    {
        VectorOperand vector => vector.Elements.SelectMany(Flat),
        PredicatePairOperand pair => [pair.First is null ? null : new RegisterOperand(pair.First), pair.Second is null ? null : new RegisterOperand(pair.Second)],
        SinkOperand => [null],
        _ => [operand],
    };

    private static void Set(byte* array, PtxType type, int lane, ulong bits)
    {
        if (type == PtxType.Pred) *(uint*)array |= (uint)bits << lane;
        else if (type is PtxType.B64 or PtxType.F64) ((ulong*)array)[lane] = bits;
        else ((uint*)array)[lane] = (uint)bits;
    }

    // Of a 16-bit register all 32 bits are looked at: the upper ones have to be 0.
    private static ulong Get(byte* array, PtxType type, int lane)
    {
        if (type == PtxType.Pred) return *(uint*)array >> lane & 1;
        if (type is PtxType.B64 or PtxType.F64) return ((ulong*)array)[lane];
        uint bits = ((uint*)array)[lane];
        if (type == PtxType.B16) Assert.Equal(0u, bits >> 16);
        return bits;
    }

    private static string Register(Type type) => type == typeof(bool) ? "pred" : type == typeof(float) ? "f32" : type == typeof(double) ? "f64"
        : type == typeof(short) || type == typeof(ushort) ? "b16" : type == typeof(int) || type == typeof(uint) ? "b32" : type == typeof(long) || type == typeof(ulong) ? "b64"
        : throw new ArgumentException($"no register for {type}");

    private static ulong[] Bits(Array values) => values switch
    {
        bool[] a => [.. a.Select(v => v ? 1ul : 0)],
        short[] a => [.. a.Select(v => (ulong)(ushort)v)],
        ushort[] a => [.. a.Select(v => (ulong)v)],
        int[] a => [.. a.Select(v => (ulong)(uint)v)],
        uint[] a => [.. a.Select(v => (ulong)v)],
        long[] a => [.. a.Select(v => (ulong)v)],
        ulong[] a => a,
        float[] a => [.. a.Select(v => (ulong)BitConverter.SingleToUInt32Bits(v))],
        double[] a => [.. a.Select(BitConverter.DoubleToUInt64Bits)],
        _ => throw new ArgumentException($"no register for {values}"),
    };

    private static Array Values(Type type, ulong[] bits) => type switch
    {
        _ when type == typeof(bool) => bits.Select(v => v != 0).ToArray(),
        _ when type == typeof(short) => bits.Select(v => (short)v).ToArray(),
        _ when type == typeof(ushort) => bits.Select(v => (ushort)v).ToArray(),
        _ when type == typeof(int) => bits.Select(v => (int)v).ToArray(),
        _ when type == typeof(uint) => bits.Select(v => (uint)v).ToArray(),
        _ when type == typeof(long) => bits.Select(v => (long)v).ToArray(),
        _ when type == typeof(ulong) => bits,
        _ when type == typeof(float) => bits.Select(v => BitConverter.UInt32BitsToSingle((uint)v)).ToArray(),
        _ => bits.Select(BitConverter.UInt64BitsToDouble).ToArray(),
    };
}
