using System.Collections.Concurrent;
using System.Reflection;
using System.Reflection.Emit;

namespace DiffWave.Compiler;

/// <summary>An IL instruction: branch operands are IL offsets, tokens stay tokens until they are used. The family is the name before its first dot.</summary>
internal readonly record struct IlInstruction(int Offset, OpCode Op, string Name, string Family, long Operand, int[]? Targets);

/// <summary>Decodes a method body.</summary>
internal static class IlReader
{
    private static readonly ConcurrentDictionary<string, string> Families = new();
    private static readonly OpCode[] OneByte = new OpCode[256], TwoByte = new OpCode[256];

    static IlReader()
    {
        foreach (var field in typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            var op = (OpCode)field.GetValue(null)!;
            if (op.Size == 1) OneByte[op.Value & 0xFF] = op;
            else TwoByte[op.Value & 0xFF] = op;
        }
    }

    public static List<IlInstruction> Read(byte[] il)
    {
        var result = new List<IlInstruction>();
        for (int at = 0; at < il.Length;)
        {
            int start = at;
            var op = il[at] == 0xFE ? TwoByte[il[at + 1]] : OneByte[il[at]];
            at += op.Size;
            long operand = 0;
            int[]? targets = null;
            switch (op.OperandType)
            {
                case OperandType.InlineNone:
                    break;
                case OperandType.ShortInlineBrTarget:
                    operand = at + 1 + (sbyte)il[at];
                    at += 1;
                    break;
                case OperandType.InlineBrTarget:
                    operand = at + 4 + BitConverter.ToInt32(il, at);
                    at += 4;
                    break;
                case OperandType.ShortInlineI:
                    operand = op == OpCodes.Ldc_I4_S ? (sbyte)il[at] : il[at];
                    at += 1;
                    break;
                case OperandType.ShortInlineVar:
                    operand = il[at];
                    at += 1;
                    break;
                case OperandType.InlineVar:
                    operand = BitConverter.ToUInt16(il, at);
                    at += 2;
                    break;
                case OperandType.InlineI8:
                    operand = BitConverter.ToInt64(il, at);
                    at += 8;
                    break;
                case OperandType.ShortInlineR:
                    operand = BitConverter.ToInt32(il, at); // the bits, as for ldc.r8
                    at += 4;
                    break;
                case OperandType.InlineR:
                    operand = BitConverter.ToInt64(il, at);
                    at += 8;
                    break;
                case OperandType.InlineSwitch:
                    int count = BitConverter.ToInt32(il, at);
                    at += 4;
                    targets = new int[count];
                    for (int i = 0; i < count; i++) targets[i] = at + 4 * count + BitConverter.ToInt32(il, at + 4 * i);
                    at += 4 * count;
                    break;
                default:
                    operand = BitConverter.ToInt32(il, at);
                    at += 4;
                    break;
            }
            string name = op.Name!;
            result.Add(new IlInstruction(start, op, name, Families.GetOrAdd(name, text => text.Split('.')[0]), operand, targets));
        }
        return result;
    }
}
