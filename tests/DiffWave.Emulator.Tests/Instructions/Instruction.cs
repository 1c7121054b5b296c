using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>
/// One instruction on lanes of numbers. An operand is an array (a value for each lane; more than 32 are run warp by warp), or a string that stands in the text as it is (an immediate).
/// The element type of an array says how its register is declared: bool pred, 16-bit numbers b16, 32-bit integers b32, 64-bit integers b64, float f32, double f64.
/// </summary>
internal static unsafe class Instruction
{
    private const int Lanes = 32;

    /// <summary>The opcodes with all modifiers that any test has run, for the coverage test.</summary>
    public static HashSet<string> Seen { get; } = [];

    /// <summary>Runs an instruction with one destination.</summary>
    public static T[] Run<T>(string opcode, params object[] sources) where T : unmanaged => (T[])RunAll(opcode, "{0}", [typeof(T)], sources)[0];

    /// <summary>Runs an instruction with two destinations joined by a bar.</summary>
    public static (T1[] First, T2[] Second) RunPair<T1, T2>(string opcode, params object[] sources) where T1 : unmanaged where T2 : unmanaged
    {
        var results = RunAll(opcode, "{0}|{1}", [typeof(T1), typeof(T2)], sources);
        return ((T1[])results[0], (T2[])results[1]);
    }

    /// <summary>Runs an instruction for lanes of which some do not take part.</summary>
    public static T[] RunMasked<T>(string opcode, uint mask, params object[] sources) where T : unmanaged => (T[])RunAll(opcode, "{0}", [typeof(T)], sources, mask)[0];

    /// <summary>Runs an instruction.</summary>
    /// <param name="opcode">Opcode with modifiers.</param>
    /// <param name="destinations">The text of the destinations, {0}, {1}.. for the registers.</param>
    /// <param name="types">Types of the destination registers' elements.</param>
    /// <param name="sources">Arrays, strings, or arrays of arrays for vectors.</param>
    /// <param name="mask">Lanes that take part.</param>
    /// <returns>An array for each destination; lanes that took no part hold 0.</returns>
    public static Array[] RunAll(string opcode, string destinations, Type[] types, object[] sources, uint mask = uint.MaxValue)
    {
        var arrays = new List<Array>();
        var declarations = new StringBuilder();
        var texts = new List<string> { string.Format(destinations, [.. types.Select((type, i) => Declare(declarations, type, $"%d{i}"))]) };
        foreach (object source in sources) texts.Add(Text(source));
        var instruction = Parse($"{opcode} {string.Join(", ", texts)}", declarations.ToString());
        Seen.Add(opcode);
        var function = LaneFunctions.Find(instruction) ?? throw new InvalidOperationException($"{opcode} is no function of registers");

        int count = arrays.Count == 0 ? Lanes : arrays.Max(a => a.Length);
        Array[] results = [.. types.Select(type => Array.CreateInstance(type, count))];
        byte* memory = (byte*)NativeMemory.AlignedAlloc(64 * 256, 64);
        for (int start = 0; start < count; start += Lanes)
        {
            LaneArguments arguments = default;
            arguments.Mask = mask;
            int place = 0, source = 0, target = 0;
            NativeMemory.Clear(memory, 64 * 256);
            foreach (var operand in instruction.Operands) Fill(operand);
            function.Execute(&arguments);
            for (int i = 0; i < types.Length; i++)
                for (int lane = 0; lane < Lanes && start + lane < count; lane++)
                    results[i].SetValue(Load((byte*)arguments.Operands[i], types[i], lane), start + lane);

            void Fill(PtxOperand operand)
            {
                switch (operand)
                {
                    case VectorOperand vector:
                        foreach (var element in vector.Elements) Fill(element);
                        return;
                    case PredicatePairOperand:
                        Next(null, 0, false);
                        Next(null, 0, false);
                        return;
                    case ImmediateOperand immediate:
                        Next(null, immediate.Bits, false);
                        return;
                    case SinkOperand:
                        arguments.Operands[place++] = 0;
                        return;
                    case RegisterOperand register when target < types.Length:
                        Next(null, 0, false);
                        return;
                    case RegisterOperand register:
                        Next(arrays[source++], 0, register.Negated);
                        return;
                    default: throw new InvalidOperationException($"operand {operand}");
                }
            }

            void Next(Array? values, ulong bits, bool negated)
            {
                byte* array = memory + place * 256;
                arguments.Operands[place++] = (ulong)array;
                if (target < types.Length)
                {
                    target++;
                    return;
                }

                for (int lane = 0; lane < Lanes; lane++)
                    if (values is null) ((ulong*)array)[lane] = bits; // read as 8 bytes or not at all: see RunAll's callers with narrow immediates
                    else if (start + lane < values.Length) Store(array, values.GetValue(start + lane)!, lane);
                if (negated) *(uint*)array = ~*(uint*)array;
            }
        }

        NativeMemory.AlignedFree(memory);
        return results;

        string Text(object source)
        {
            switch (source)
            {
                case string text: return text;
                case Array[] vector: return $"{{{string.Join(", ", vector.Select(Text))}}}";
                case Array array:
                    arrays.Add(array);
                    return Declare(declarations, array.GetType().GetElementType()!, $"%s{arrays.Count - 1}");
                default: throw new ArgumentException($"a source is an array or a text, not {source}");
            }
        }
    }
}
