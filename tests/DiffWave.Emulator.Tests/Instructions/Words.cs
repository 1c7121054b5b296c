using System.Numerics;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Integers of 8 to 64 bits as BigInteger, for references; and instructions on such words.</summary>
internal static class Words
{
    /// <summary>The number a word stands for.</summary>
    /// <param name="bits">The word.</param>
    /// <param name="type">As in PTX, e.g. s16.</param>
    public static BigInteger Value(ulong bits, string type)
    {
        int width = Width(type);
        BigInteger value = bits & Mask(width);
        return type[0] == 's' && value >> (width - 1) == 1 ? value - (BigInteger.One << width) : value;
    }

    /// <summary>The low bits of a number.</summary>
    public static ulong Wrap(BigInteger value, int width) => (ulong)(value & Mask(width));

    public static int Width(string type) => int.Parse(type.AsSpan(1));

    public static ulong Mask(int width) => ulong.MaxValue >> (64 - width);

    public static BigInteger Lowest(string type) => type[0] == 's' ? -(BigInteger.One << (Width(type) - 1)) : 0;

    public static BigInteger Highest(string type) => (BigInteger.One << (Width(type) - (type[0] == 's' ? 1 : 0))) - 1;

    /// <summary>Edges of a width and random words.</summary>
    public static ulong[] Edges(int width) =>
    [
        .. new ulong[] { 0, 1, 2, 3, 5, 0x7F, 0x80, 0xFF, 1ul << (width / 2), (1ul << (width / 2)) - 1, 1ul << (width / 2 - 1), Mask(width), Mask(width) - 1, Mask(width) - 6, 1ul << (width - 1),
            (1ul << (width - 1)) - 1, (1ul << (width - 1)) + 1, 0x5555555555555555, 0x123456789ABCDEF0 }.Select(x => x & Mask(width)).Distinct(),
    ];

    /// <summary>Runs an instruction on words of given widths.</summary>
    /// <param name="opcode">Opcode with modifiers.</param>
    /// <param name="result">Width of the destination register.</param>
    /// <param name="operands">Words and the widths of their registers.</param>
    public static ulong[] Run(string opcode, int result, params (int Width, ulong[] Words)[] operands)
    {
        object[] sources = [.. operands.Select(o => (object)(o.Width switch
        {
            16 => o.Words.Select(w => (ushort)w).ToArray(),
            32 => o.Words.Select(w => (uint)w).ToArray(),
            _ => o.Words,
        }))];
        return result switch
        {
            16 => [.. Instruction.Run<ushort>(opcode, sources).Select(w => (ulong)w)],
            32 => [.. Instruction.Run<uint>(opcode, sources).Select(w => (ulong)w)],
            _ => Instruction.Run<ulong>(opcode, sources),
        };
    }

    /// <summary>Fails unless all are equal, naming the operands.</summary>
    public static void Same(string opcode, ulong[] actual, Func<int, ulong> expected, params ulong[][] operands)
    {
        for (int i = 0; i < actual.Length; i++)
            if (actual[i] != expected(i)) Assert.Fail($"{opcode} of {string.Join(", ", operands.Select(o => o[i].ToString("X")))}: {actual[i]:X}, not {expected(i):X}");
    }
}
