using System.Numerics;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Every pair of types of <c>cvt</c>, with saturation and all rounding modes, against exact fractions.</summary>
public class ConversionTests
{
    private static readonly string[] Integers = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"], Modes = ["rn", "rz", "rm", "rp"];

    public static TheoryData<string> IntegerTypes => [.. Integers];

    public static TheoryData<string> FloatTypes => ["f16", "bf16", "f32", "f64"];

    [Theory, MemberData(nameof(IntegerTypes))]
    public void IntegersToIntegersExtendTruncateOrSaturate(string target)
    {
        foreach (string source in Integers)
            foreach (int from in Registers(source))
                foreach (int to in Registers(target))
                {
                    ulong[] a = [.. Words.Edges(from), .. Words.Edges(Words.Width(source))];
                    // What the register has above the type counts for nothing; what the target's register has above its type repeats the sign, or is 0.
                    string name = $"cvt.{target}.{source}", saturating = $"cvt.sat.{target}.{source}";
                    Words.Same(name, Words.Run(name, to, (from, a)), i => Extend(Words.Value(a[i], source), target, to), a);
                    if (Words.Lowest(target) <= Words.Lowest(source) && Words.Highest(source) <= Words.Highest(target)) continue; // nothing to saturate: ptxas refuses the word
                    Words.Same(saturating, Words.Run(saturating, to, (from, a)), i => Extend(Clamp(Words.Value(a[i], source), target), target, to), a);
                }
    }

    [Theory, MemberData(nameof(FloatTypes))]
    public void IntegersToFloatsRoundOnce(string target)
    {
        var f = Format(target);
        foreach (string source in Integers.Where(source => Converts(target, source)))
            foreach (string mode in Modes)
            {
                int width = Math.Max(16, Words.Width(source));
                var random = new Random(4);
                ulong[] a = [.. Words.Edges(width), .. Enumerable.Range(0, 40).Select(_ => Numbers.LongWord(random) & Words.Mask(width)), .. Ties(f, width)];
                ulong Expected(int i) => Words.Value(a[i], source) is { IsZero: false } value ? f.Round(new Exact(value, 1), mode) : 0;
                Words.Same($"cvt.{mode}.{target}.{source}", Words.Run($"cvt.{mode}.{target}.{source}", Register(target), (width, a)), Expected, a);
            }

        if (target != "bf16") Assert.Equal([0ul, f.Round(new Exact(1, 1), "rn"), 0, f.Round(new Exact(1, 1), "rn")], Words.Run($"cvt.rn.sat.{target}.s32", Register(target), (32,
            [0, 1, uint.MaxValue, 77])));
    }

    [Theory, MemberData(nameof(FloatTypes))]
    public void FloatsToIntegersRoundAndStayInRange(string source)
    {
        var f = Format(source);
        ulong[] a = Floats(source);
        foreach (string target in Integers.Where(target => Converts(source, target)))
            foreach (string mode in Modes)
                foreach (int to in mode == "rz" ? Registers(target) : Registers(target)[..1])
                {
                    ulong Expected(int i)
                    {
                        int width = Words.Width(target);
                        // The ISA's table: 0, unless one of both types has 64 bits.
                        if (f.IsNaN(a[i])) return source == "f64" || width == 64 ? Extend(Words.Value(1ul << (width - 1), target), target, to) : 0;
                        bool negative = (a[i] & f.SignBit) != 0;
                        if (f.IsInfinite(a[i])) return Extend(negative ? Words.Lowest(target) : Words.Highest(target), target, to);
                        return Extend(Clamp(Integral(f.Value(a[i]), mode), target), target, to);
                    }

                    string name = $"cvt.{mode}i.{target}.{source}";
                    Words.Same(name, Words.Run(name, to, (Register(source), a)), Expected, a);
                    if (source != "bf16") Words.Same(name, Words.Run($"cvt.{mode}i.sat.{target}.{source}", to, (Register(source), a)), Expected, a);
                }

        if (source == "f32") Assert.Equal([0, 0, 1, -1], Instruction.Run<int>("cvt.rpi.ftz.s32.f32", (float[])[1e-40f, -1e-40f, 1e-37f, -1.5f]));
    }

    // PTX has no conversions between bf16 and numbers of 8 bits.
    private static bool Converts(string floating, string integer) => floating != "bf16" || Words.Width(integer) > 8;

    [Theory, MemberData(nameof(FloatTypes))]
    public void FloatsToFloatsRoundOnce(string target)
    {
        var to = Format(target);
        foreach (string source in (string[])["f16", "bf16", "f32", "f64"])
        {
            var from = Format(source);
            ulong[] a = Floats(source);
            bool narrows = to.Fraction < from.Fraction || to.Exponent < from.Exponent;
            if (target == source || (source == "bf16" && target == "f16")) continue;
            foreach (string mode in !narrows ? [""] : target == "bf16" && source == "f32" ? ["rn", "rz"] : Modes)
            {
                string rounding = mode.Length > 0 ? "." + mode : "";
                Words.Same($"cvt{rounding}.{target}.{source}", Words.Run($"cvt{rounding}.{target}.{source}", Register(target), (Register(source), a)), i => Round(from, to, a[i],
                    mode), a);
                if (target == "bf16" || source == "bf16") continue;
                Words.Same($"cvt{rounding}.sat.{target}.{source}", Words.Run($"cvt{rounding}.sat.{target}.{source}", Register(target), (Register(source), a)), i =>
                    from.IsNaN(a[i]) || (a[i] & from.SignBit) != 0 ? 0 : Math.Min(Round(from, to, a[i], mode), to.Round(new Exact(1, 1), "rn")), a);
            }
        }
    }

    [Theory, MemberData(nameof(FloatTypes))]
    public void FloatsOfOneTypeRoundToIntegers(string type)
    {
        var f = Format(type);
        ulong[] a = Floats(type);
        ulong Integer(ulong x, string mode)
        {
            if (f.IsNaN(x)) return f.NaN;
            if (f.IsInfinite(x)) return x;
            var whole = Integral(f.Value(x), mode);
            return whole.IsZero ? x & f.SignBit : f.Round(new Exact(whole, 1), "rn");
        }

        foreach (string mode in Modes)
        {
            string name = $"cvt.{mode}i.{type}.{type}";
            Words.Same(name, Words.Run(name, Register(type), (Register(type), a)), i => Integer(a[i], mode), a);
            if (type == "bf16") continue;
            string saturating = $"cvt.{mode}i.sat.{type}.{type}";
            Words.Same(saturating, Words.Run(saturating, Register(type), (Register(type), a)), i =>
                f.IsNaN(a[i]) || (a[i] & f.SignBit) != 0 ? 0 : Math.Min(Integer(a[i], mode), f.Round(new Exact(1, 1), "rn")), a);
        }

        Words.Same("cvt", Words.Run($"cvt.{type}.{type}", Register(type), (Register(type), a)), i => f.IsNaN(a[i]) ? f.NaN : a[i], a);
    }

    [Fact]
    public void Bf16ToF16RoundsToNearest()
    {
        ulong[] a = Floats("bf16");
        Words.Same("cvt.f16.bf16", Words.Run("cvt.f16.bf16", 16, (16, a)), i => Round(FloatFormat.BF16, FloatFormat.F16, a[i], "rn"), a);
    }

    [Fact]
    public void SubnormalSinglesAreZeroWhenAsked()
    {
        var f = FloatFormat.F32;
        uint[] a = Numbers.EdgeSingles;
        Assert.Equal(a.Select(x => f.IsNaN(x) ? 0x7FFFFFFF : f.IsSubnormal(x) ? x & 0x80000000 : x), Instruction.Run<uint>("cvt.ftz.f32.f32", a));
        double[] d = [1e-40, -1e-40, 1.5, 1.1754943508222875e-38];
        Assert.Equal([0u, 0x80000000, 0x3FC00000, 0x00800000], Instruction.Run<uint>("cvt.rn.ftz.f32.f64", d));
        Assert.Equal([0.0, -0.0, 1.5], Instruction.Run<double>("cvt.ftz.f64.f32", (float[])[1e-40f, -1e-40f, 1.5f]));
        Assert.Equal([0, 0x8000, 1], Instruction.Run<ushort>("cvt.rp.ftz.f16.f32", (float[])[1e-40f, -1e-40f, 1e-37f]).Select(x => (int)x));
    }

    [Theory, InlineData("f16"), InlineData("bf16")]
    public void TwoSinglesArePacked(string type)
    {
        var f = Format(type);
        var (a, b) = Numbers.Pairs(Numbers.EdgeSingles, Numbers.Single, 100);
        foreach (string mode in (string[])["rn", "rz"])
            foreach (string relu in (string[])["", ".relu"])
            {
                ulong Half(uint x) => Round(FloatFormat.F32, f, x, mode) is var r && relu.Length > 0 && !f.IsNaN(r) && (r & f.SignBit) != 0 ? 0 : Round(FloatFormat.F32, f, x, mode);
                uint[] packed = Instruction.Run<uint>($"cvt.{mode}{relu}.{type}x2.f32", a.Singles(), b.Singles());
                for (int i = 0; i < a.Length; i++) Assert.Equal((uint)(Half(a[i]) << 16 | Half(b[i])), packed[i]);
                Assert.Equal(a.Select(x => (ushort)Half(x)), Instruction.Run<ushort>($"cvt.{mode}{relu}.{type}.f32", a.Singles()));
            }
    }

    [Fact]
    public void Tf32HasTenBitsOfFraction()
    {
        var (a, _) = Numbers.Pairs(Numbers.EdgeSingles, Numbers.Single, 300);
        foreach (string mode in (string[])["rna", "rn", "rz"])
        {
            uint[] actual = Instruction.Run<uint>($"cvt.{mode}.tf32.f32", a.Singles());
            for (int i = 0; i < a.Length; i++)
                Assert.Equal(FloatFormat.F32.IsNaN(a[i]) ? 0x7FFFFFFF : (uint)Round(FloatFormat.F32, FloatFormat.TF32, a[i], mode) << 13, actual[i]);
        }

        Assert.Equal([0u, 0x3F800000, 0x7FFFFFFF], Instruction.Run<uint>("cvt.rn.relu.tf32.f32", (float[])[-1, 1, float.NaN]));
    }

    private static FloatFormat Format(string type) => type switch { "f16" => FloatFormat.F16, "bf16" => FloatFormat.BF16, "f32" => FloatFormat.F32, _ => FloatFormat.F64 };

    private static int Register(string type) => type switch { "f16" or "bf16" => 16, "f32" => 32, _ => 64 };

    private static int[] Registers(string type) => [.. new[] { 16, 32, 64 }.Where(width => width >= Words.Width(type))];

    private static ulong Extend(BigInteger value, string type, int register) => Words.Wrap(Words.Value(Words.Wrap(value, Words.Width(type)), type), register);

    private static BigInteger Clamp(BigInteger value, string type) => BigInteger.Max(Words.Lowest(type), BigInteger.Min(Words.Highest(type), value));

    private static ulong Round(FloatFormat from, FloatFormat to, ulong bits, string mode)
    {
        ulong sign = (bits & from.SignBit) != 0 ? to.SignBit : 0;
        if (from.IsNaN(bits)) return to.NaN;
        if (from.IsInfinite(bits)) return sign | to.Infinity;
        return from.Value(bits) is { IsZero: false } value ? to.Round(value, mode) : sign;
    }

    private static BigInteger Integral(Exact value, string mode)
    {
        var floor = BigInteger.Divide(value.Numerator - (value.Numerator.Sign < 0 ? value.Denominator - 1 : 0), value.Denominator);
        var rest = value - new Exact(floor, 1);
        int half = (rest + rest).CompareTo(new Exact(1, 1));
        bool up = mode switch { "rn" => half > 0 || (half == 0 && !floor.IsEven), "rz" => value.Numerator.Sign < 0 && !rest.IsZero, "rp" => !rest.IsZero, _ => false };
        return up ? floor + 1 : floor;
    }

    // Integers halfway between two numbers of the format, and beside.
    private static IEnumerable<ulong> Ties(FloatFormat f, int width) => Enumerable.Range(f.Fraction + 1, Math.Max(0, width - f.Fraction - 1))
        .SelectMany(k => new[] { (1ul << k) + (1ul << (k - f.Fraction - 1)), (1ul << k) + (3ul << (k - f.Fraction - 1)), (1ul << k) + (1ul << (k - f.Fraction - 1)) + 1,
            (1ul << k) + (1ul << (k - f.Fraction - 1)) - 1 })
        .Select(x => x & Words.Mask(width));

    // Edges, random numbers, halves and integers near the limits of integer types.
    private static ulong[] Floats(string type)
    {
        var f = Format(type);
        var random = new Random(5);
        IEnumerable<ulong> edges = type switch { "f32" => Numbers.EdgeSingles.Select(x => (ulong)x), "f64" => Numbers.EdgeDoubles, _ => Numbers.EdgeHalves.Select(x => (ulong)x) };
        var numbers = Enumerable.Range(0, 66).SelectMany(k => new[] { Exact.Power(k), Exact.Power(k) - new Exact(1, 2), Exact.Power(k) + new Exact(1, 2),
            Exact.Power(k) - new Exact(1, 1) })
            .Concat(Enumerable.Range(1, 8).Select(k => new Exact(k, 2))).Concat(Enumerable.Range(1, 8).Select(k => new Exact(k * 4 + 1,
                8))).Where(x => !x.IsZero).Select(x => f.Round(x, "rz"));
        return [.. edges, .. numbers, .. numbers.Select(x => x | f.SignBit), .. Enumerable.Range(0, 60).Select(_ => Numbers.LongWord(random) & (f.SignBit * 2 - 1))];
    }
}
