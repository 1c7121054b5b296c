namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>IEEE 754 operations on bits by exact fractions, with the rules for NaN, infinities and zeros written out.</summary>
internal static class Reference
{
    public static ulong Add(FloatFormat f, ulong a, ulong b, string mode)
    {
        if (f.IsNaN(a) || f.IsNaN(b)) return f.NaN;
        if (f.IsInfinite(a)) return f.IsInfinite(b) && a != b ? f.NaN : a;
        if (f.IsInfinite(b)) return b;
        return RoundSum(f, f.Value(a) + f.Value(b), (a & f.SignBit) != 0, (b & f.SignBit) != 0, mode);
    }

    public static ulong Multiply(FloatFormat f, ulong a, ulong b, string mode)
    {
        ulong sign = (a ^ b) & f.SignBit;
        if (f.IsNaN(a) || f.IsNaN(b)) return f.NaN;
        if (f.IsInfinite(a) || f.IsInfinite(b)) return IsZero(f, a) || IsZero(f, b) ? f.NaN : sign | f.Infinity;
        return IsZero(f, a) || IsZero(f, b) ? sign : f.Round(f.Value(a) * f.Value(b), mode);
    }

    public static ulong MultiplyAdd(FloatFormat f, ulong a, ulong b, ulong c, string mode)
    {
        ulong sign = (a ^ b) & f.SignBit;
        if (f.IsNaN(a) || f.IsNaN(b) || f.IsNaN(c)) return f.NaN;
        if (f.IsInfinite(a) || f.IsInfinite(b))
            return IsZero(f, a) || IsZero(f, b) || (f.IsInfinite(c) && (c & f.SignBit) != sign) ? f.NaN : sign | f.Infinity;
        if (f.IsInfinite(c)) return c;
        return RoundSum(f, f.Value(a) * f.Value(b) + f.Value(c), sign != 0, (c & f.SignBit) != 0, mode);
    }

    public static ulong Divide(FloatFormat f, ulong a, ulong b, string mode)
    {
        ulong sign = (a ^ b) & f.SignBit;
        if (f.IsNaN(a) || f.IsNaN(b)) return f.NaN;
        if (f.IsInfinite(a)) return f.IsInfinite(b) ? f.NaN : sign | f.Infinity;
        if (IsZero(f, b)) return IsZero(f, a) ? f.NaN : sign | f.Infinity;
        return IsZero(f, a) || f.IsInfinite(b) ? sign : f.Round(f.Value(a) / f.Value(b), mode);
    }

    public static ulong SquareRoot(FloatFormat f, ulong a, string mode)
    {
        if (f.IsNaN(a)) return f.NaN;
        if (IsZero(f, a)) return a;
        if ((a & f.SignBit) != 0) return f.NaN;
        return f.IsInfinite(a) ? a : f.Round(f.Value(a).SquareRoot(), mode);
    }

    /// <summary>Minimum or maximum: -0 is below +0; with <paramref name="nan"/> a NaN wins, else a number wins.</summary>
    public static ulong Extreme(FloatFormat f, ulong a, ulong b, bool greater, bool nan)
    {
        if (f.IsNaN(a) || f.IsNaN(b)) return nan || (f.IsNaN(a) && f.IsNaN(b)) ? f.NaN : f.IsNaN(a) ? b : a;
        return Order(f, a) < Order(f, b) == greater ? b : a;
    }

    /// <summary>The extreme of the magnitudes with the product of the signs.</summary>
    public static ulong XorSign(FloatFormat f, ulong a, ulong b, bool greater, bool nan)
    {
        ulong extreme = Extreme(f, a & ~f.SignBit, b & ~f.SignBit, greater, nan);
        return f.IsNaN(extreme) ? f.NaN : extreme | ((a ^ b) & f.SignBit);
    }

    // Bits of numbers that are not NaN, as integers in the order of the numbers.
    private static long Order(FloatFormat f, ulong a) => (a & f.SignBit) != 0 ? ~(long)(a & ~f.SignBit) : (long)a;

    public static bool IsZero(FloatFormat f, ulong a) => (a & ~f.SignBit) == 0;

    // A sum of zero is -0 when both parts are negative, or when they differ in sign and all is rounded down.
    private static ulong RoundSum(FloatFormat f, Exact sum, bool negativeA, bool negativeB, string mode) =>
        !sum.IsZero ? f.Round(sum, mode) : (negativeA && negativeB) || (negativeA != negativeB && mode == "rm") ? f.SignBit : 0;
}
