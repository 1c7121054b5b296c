using System.Globalization;

namespace DiffWave.Emulator.Syntax;

/// <summary>A number as written: an integer of 64 bits, or a floating-point value.</summary>
/// <param name="IsFloat">Written as a floating-point number.</param>
/// <param name="Integer">An integer's bits.</param>
/// <param name="Value">A floating-point number's value.</param>
/// <param name="Single">The bits of a number written as <c>0f</c> and eight digits, so that every NaN survives.</param>
internal readonly record struct PtxNumber(bool IsFloat, ulong Integer, double Value, uint? Single = null)
{
    /// <summary>The bits in an operand of a type: integers cut to its width and sign-extended, floating-point numbers rounded to it.</summary>
    public ulong BitsFor(PtxType type)
    {
        if (IsFloat) return type.Bits() == 64 ? BitConverter.DoubleToUInt64Bits(Value) : Single ?? BitConverter.SingleToUInt32Bits((float)Value);
        int unused = 64 - Math.Max(8, type.Bits());
        return (ulong)((long)(Integer << unused) >> unused);
    }

    public PtxNumber Negated() => IsFloat ? new PtxNumber(true, 0, -Value, Single ^ 0x80000000u) : this with { Integer = 0 - Integer };

    /// <summary>Reads a number token.</summary>
    /// <exception cref="PtxException">It is malformed or does not fit.</exception>
    public static PtxNumber Read(ReadOnlySpan<char> text, int line)
    {
        if (text.Length > 1 && text[0] == '0' && text[1] is 'f' or 'F' && text.Length == 10 && uint.TryParse(text[2..], NumberStyles.AllowHexSpecifier, null, out uint single))
            return new PtxNumber(true, 0, BitConverter.UInt32BitsToSingle(single), single);
        if (text.Length > 1 && text[0] == '0' && text[1] is 'd' or 'D' && text.Length == 18 && ulong.TryParse(text[2..], NumberStyles.AllowHexSpecifier, null, out ulong real))
            return new PtxNumber(true, 0, BitConverter.UInt64BitsToDouble(real));
        if (text.IndexOf('.') >= 0 || (text.IndexOfAny('e', 'E') >= 0 && !(text.Length > 1 && text[1] is 'x' or 'X')))
        {
            return double.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out double value)
                ? new PtxNumber(true, 0, value) : throw Bad(text, line);
        }
        var digits = text[^1] == 'U' ? text[..^1] : text;
        return new PtxNumber(false, ReadInteger(digits) ?? throw Bad(text, line), 0);
    }

    private static ulong? ReadInteger(ReadOnlySpan<char> digits)
    {
        if (digits.Length > 2 && digits[0] == '0' && digits[1] is 'x' or 'X') return ulong.TryParse(digits[2..], NumberStyles.AllowHexSpecifier, null, out ulong hex) ? hex : null;
        if (digits.Length > 2 && digits[0] == '0' && digits[1] is 'b' or 'B') return ulong.TryParse(digits[2..], NumberStyles.AllowBinarySpecifier, null, out ulong binary) ? binary : null;
        if (digits.Length < 2 || digits[0] != '0') return ulong.TryParse(digits, NumberStyles.None, null, out ulong plain) ? plain : null;
        ulong octal = 0;
        foreach (char c in digits)
        {
            if (c is < '0' or > '7' || octal >> 61 != 0) return null;
            octal = octal << 3 | (uint)(c - '0');
        }
        return octal;
    }

    private static PtxException Bad(ReadOnlySpan<char> text, int line) => new(line, $"'{(text.Length > 40 ? text[..40] : text)}' is no number, or too large");
}
