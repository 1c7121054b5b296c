using FsCheck;
using FsCheck.Fluent;

namespace DiffWave.Engine.Tests;

public class PhiloxNoiseTests
{
    private const int Draws = 1_000_000;
    private static readonly Lazy<float[]> Sample = new(() => Fill(1, 0, 0, 0, Draws));

    private static float[] Fill(ulong seed, uint stream, uint step, long first, int count)
    {
        var normals = new float[count];
        PhiloxNoise.Fill(seed, stream, step, first, normals);
        return normals;
    }

    private static int[] BitsOf(float[] values) => Array.ConvertAll(values, BitConverter.SingleToInt32Bits);

    // kat_vectors of the Random123 distribution, lines "philox4x32 10": counter, key, output.
    [Theory]
    [InlineData(0u, 0u, 0u, 0u, 0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void WordsEqualThePublishedKnownAnswers(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint x, uint y, uint z, uint w) =>
        Assert.Equal(new PhiloxWords(x, y, z, w), PhiloxNoise.Bits(((ulong)k1 << 32) | k0, stream: c3, step: c2, block: ((ulong)c1 << 32) | c0));

    // Bits computed in exact rational arithmetic with one rounding to nearest even after each operation of the documented formula.
    [Theory]
    [InlineData(0ul, 0u, 0u, 0L, new uint[] { 0x3D40884D, 0xBFAD6600, 0xBF3A4BEF, 0x3DB7B205 })]
    [InlineData(0x0123456789abcdeful, 7u, 49u, 0L, new uint[] { 0xBFB927C5, 0xBCC79536, 0xBF9B9E03, 0xBE0A92BB, 0xBF602875, 0xC00C2814, 0xBFF067A2, 0xBEB3DCA6 })]
    [InlineData(0x0123456789abcdeful, 7u, 49u, 493824L, new uint[] { 0x3CEFD4BB, 0xBEE3F16B, 0xBF3E0DBE, 0xBD174B5C })]
    [InlineData(0xfffffffffffffffful, 0xffffffffu, 0xffffffffu, long.MaxValue - 3, new uint[] { 0x3FB328C2, 0x3EA6D789, 0xBEFC1718, 0x3FFF8918 })]
    public void NormalsEqualTheFormulaInExactArithmetic(ulong seed, uint stream, uint step, long first, uint[] expected)
    {
        Assert.Equal(expected, Array.ConvertAll(Fill(seed, stream, step, first, expected.Length), BitConverter.SingleToUInt32Bits));
        Assert.Equal(expected, Array.ConvertAll(Fill(seed, stream, step, first, 64), BitConverter.SingleToUInt32Bits)[..expected.Length]); // vector path
    }

    [Fact]
    public void SlicingDoesNotChangeABit()
    {
        // Slices below four elements use the scalar formula, longer ones the vector formula: equality shows that both agree.
        const int length = 4099;
        const long first = 3;
        int[] whole = BitsOf(Fill(42, 5, 9, first, length));
        foreach (int slice in new[] { 1, 2, 3, 4, 5, 7, 8, 13, 31, 32, 33, 1000 })
            for (int start = 0; start < length; start += slice)
            {
                int count = Math.Min(slice, length - start);
                Assert.Equal(whole[start..(start + count)], BitsOf(Fill(42, 5, 9, first + start, count)));
            }
    }

    [Fact]
    public void AnySliceEqualsTheSameElementsOneByOne()
    {
        var property = Prop.ForAll<ulong, uint, uint>((seed, stream, step) =>
        {
            var place = new Random((int)(seed ^ stream ^ step));
            long first = place.NextInt64(1L << 40);
            float[] slice = Fill(seed, stream, step, first, place.Next(200));
            for (int i = 0; i < slice.Length; i++)
                if (BitConverter.SingleToInt32Bits(Fill(seed, stream, step, first + i, 1)[0]) != BitConverter.SingleToInt32Bits(slice[i])) return false;
            return true;
        });
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(200), property);
    }

    [Fact]
    public void ElementsOutsideTheSpanStayUntouched()
    {
        var values = new float[101];
        PhiloxNoise.Fill(1, 2, 3, 5, values.AsSpan(1, 99));
        Assert.Equal(0, values[0]);
        Assert.Equal(0, values[^1]);
        Assert.DoesNotContain(0f, values[1..^1]);
        PhiloxNoise.Fill(1, 2, 3, 5, []);
    }

    [Fact]
    public void NegativeFirstElementIsRefused() => Assert.Throws<ArgumentOutOfRangeException>(() => PhiloxNoise.Fill(0, 0, 0, -1, new float[1]));

    [Fact]
    public void EveryElementIsWithinTheStatedErrorOfTheExactTransform()
    {
        float[] normals = Sample.Value;
        double worst = 0, worstRelative = 0;
        for (int i = 0; i < normals.Length; i += 4)
        {
            var words = PhiloxNoise.Bits(1, 0, 0, (ulong)i / 4);
            var (e0, e1) = ExactPair(words.X, words.Y);
            var (e2, e3) = ExactPair(words.Z, words.W);
            Compare(e0, normals[i]); Compare(e1, normals[i + 1]); Compare(e2, normals[i + 2]); Compare(e3, normals[i + 3]);
        }
        Assert.InRange(worst, 0, 8e-7);
        Assert.InRange(worstRelative, 0, 4e-7);

        void Compare(double exact, float found)
        {
            worst = Math.Max(worst, Math.Abs(found - exact));
            worstRelative = Math.Max(worstRelative, Math.Abs(found - exact) / Math.Abs(exact));
        }
    }

    // Words at the ends and seams of the transform: both ends of u, the seam at sqrt(1/2) and at 1/2, every quarter turn, the angle's ends and centre.
    [Fact]
    public void ExtremeWordsAreWithinTheStatedError()
    {
        uint[] radius = [0, 1, 2, 0xFFFFFF, 0x1000001, 0x5A827999, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 0x80FFFFFF, 0xA57D8665, 0xA57D8666, 0xA57D8667, 0xC0000000, 0xFFFFFFFE, 0xFFFFFFFF];
        uint[] angle = [0, 1, 0x1FFFFFFF, 0x20000000, 0x3FFFFFFF];
        foreach (uint x in radius)
            foreach (uint within in angle)
                for (uint quarter = 0; quarter < 4; quarter++)
                {
                    uint y = within | (quarter << 30);
                    var (seed, stream, step, block) = CounterFor(new PhiloxWords(x, y, x, y));
                    Assert.Equal(new PhiloxWords(x, y, x, y), PhiloxNoise.Bits(seed, stream, step, block));
                    float[] found = Fill(seed, stream, step, (long)(4 * block), 4);
                    var (cos, sin) = ExactPair(x, y);
                    Assert.InRange(Math.Abs(found[0] - cos), 0, 4e-7 * Math.Abs(cos));
                    Assert.InRange(Math.Abs(found[1] - sin), 0, 4e-7 * Math.Abs(sin));
                    Assert.Equal(found[..2], found[2..]);
                }
        var tail = CounterFor(new PhiloxWords(0, 0x20000000, 0, 0x20000000));
        Assert.Equal(Math.Sqrt(66 * Math.Log(2)), Fill(tail.Seed, tail.Stream, tail.Step, (long)(4 * tail.Block), 1)[0], 1e-6);
    }

    [Fact]
    public void MomentsAreThoseOfAStandardNormal()
    {
        double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
        foreach (float value in Sample.Value) { double x = value, xx = x * x; m1 += x; m2 += xx; m3 += xx * x; m4 += xx * xx; }
        double n = Draws;
        // Standard errors of the four sample moments: sqrt(var(x^k) / n) = 1, 2, 15 and 96 under the root. Four of them.
        Assert.InRange(m1 / n, -4 * Math.Sqrt(1 / n), 4 * Math.Sqrt(1 / n));
        Assert.InRange(m2 / n - 1, -4 * Math.Sqrt(2 / n), 4 * Math.Sqrt(2 / n));
        Assert.InRange(m3 / n, -4 * Math.Sqrt(15 / n), 4 * Math.Sqrt(15 / n));
        Assert.InRange(m4 / n - 3, -4 * Math.Sqrt(96 / n), 4 * Math.Sqrt(96 / n));
    }

    [Fact]
    public void KolmogorovSmirnovDistanceToTheNormalIsThatOfATrueSample()
    {
        float[] sorted = [.. Sample.Value];
        Array.Sort(sorted);
        double distance = 0;
        for (int i = 0; i < Draws; i++)
        {
            double cdf = NormalCdf(sorted[i]);
            distance = Math.Max(distance, Math.Max(Math.Abs(cdf - (double)i / Draws), Math.Abs((i + 1.0) / Draws - cdf)));
        }
        Assert.InRange(distance * Math.Sqrt(Draws), 0.2, 1.95); // both ends have probability below 0.1 %
    }

    [Fact]
    public void NeighboursStreamsStepsAndSeedsAreUncorrelated()
    {
        float[] draw = Sample.Value;
        Uncorrelated(draw.AsSpan(1), draw);                       // the two of a pair, and pairs
        Uncorrelated(draw.AsSpan(2), draw);
        Uncorrelated(draw.AsSpan(4), draw);                       // neighbouring blocks
        Uncorrelated(Fill(1, 1, 0, 0, Draws), draw);
        Uncorrelated(Fill(1, 0, 1, 0, Draws), draw);
        Uncorrelated(Fill(2, 0, 0, 0, Draws), draw);
        Uncorrelated(Fill(1UL << 32, 0, 0, 0, Draws), draw);

        static void Uncorrelated(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
        {
            int n = Math.Min(a.Length, b.Length);
            double product = 0, squares = 0;
            for (int i = 0; i < n; i++) { product += (double)a[i] * b[i]; squares += ((double)a[i] * a[i] - 1) * ((double)b[i] * b[i] - 1); }
            Assert.InRange(product / n, -4 / Math.Sqrt(n), 4 / Math.Sqrt(n));
            Assert.InRange(squares / n, -8 / Math.Sqrt(n), 8 / Math.Sqrt(n)); // the product of two centred squares has variance 4
        }
    }

    // The documented transform in float64; the rounding of h + 1/2 and of the angle is 1e-16.
    private static (double Cos, double Sin) ExactPair(uint radiusWord, uint angleWord)
    {
        double v = ((radiusWord & 0x7FFFFFFF) + 0.5) / 4294967296.0;
        // ln(1 - v) by its series where 1 - v would lose digits
        double log = radiusWord < 0x80000000 ? Math.Log(v) : v > 1e-4 ? Math.Log(1 - v) : -v * (1 + v / 2 * (1 + v * 2 / 3 * (1 + v * 3 / 4 * (1 + v * 4 / 5))));
        double r = Math.Sqrt(-2 * log), a = Math.PI / 2 * ((angleWord & 0x3FFFFFFF) - 536870912.0 + 0.5) / 1073741824.0;
        return (angleWord >> 30) switch
        {
            0 => (r * Math.Cos(a), r * Math.Sin(a)),
            1 => (-r * Math.Sin(a), r * Math.Cos(a)),
            2 => (-r * Math.Cos(a), -r * Math.Sin(a)),
            _ => (r * Math.Sin(a), -r * Math.Cos(a)),
        };
    }

    // Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/15 + ...), all terms of one sign.
    private static double NormalCdf(double x)
    {
        double term = x, sum = x;
        for (int k = 3; Math.Abs(term) > 1e-17 * Math.Abs(sum) && k < 400; k += 2) sum += term *= x * x / k;
        return 0.5 + sum * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
    }

    // Philox is a bijection of counters for each key: runs it backwards, trying keys until the block number is a valid element index.
    private static (ulong Seed, uint Stream, uint Step, ulong Block) CounterFor(PhiloxWords target)
    {
        const uint m0 = 0xD2511F53, m1 = 0xCD9E8D57;
        uint inverse0 = Inverse(m0), inverse1 = Inverse(m1);
        for (ulong seed = 0; ; seed++)
        {
            uint x = target.X, y = target.Y, z = target.Z, w = target.W;
            for (uint round = 9; round < 10; round--)
            {
                uint key0 = (uint)seed + round * 0x9E3779B9, key1 = (uint)(seed >> 32) + round * 0xBB67AE85;
                uint previousX = w * inverse0, previousZ = y * inverse1;
                (x, y, z, w) = (previousX, x ^ key0 ^ (uint)(((ulong)m1 * previousZ) >> 32), previousZ, z ^ key1 ^ (uint)(((ulong)m0 * previousX) >> 32));
            }
            ulong block = ((ulong)y << 32) | x;
            if (block <= long.MaxValue / 4) return (seed, w, z, block);
        }

        static uint Inverse(uint odd)
        {
            uint inverse = odd;
            for (int i = 0; i < 5; i++) inverse *= 2 - odd * inverse; // Newton: correct bits double
            return inverse;
        }
    }
}
