namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Approximate functions: the ISA's special values bit by bit, everything else within the ISA's bounds of f64.</summary>
public class ApproximateTests
{
    private const float Subnormal = 1e-40f, Infinity = float.PositiveInfinity;

    [Fact]
    public void Ex2()
    {
        Special("ex2.approx.f32", [-Infinity, -Subnormal, -0f, 0f, Subnormal, Infinity, float.NaN, -149, -127, 128], [0f, 1, 1, 1, 1, Infinity, float.NaN, 1.4e-45f, 5.877472e-39f, Infinity]);
        Special("ex2.approx.ftz.f32", [-Infinity, -Subnormal, 0f, Subnormal, Infinity, float.NaN, -149, -127], [0f, 1, 1, 1, Infinity, float.NaN, 0, 0]);
        Within("ex2.approx.f32", x => Math.Pow(2, x), -126, 127, relative: Math.Pow(2, -22));
    }

    [Fact]
    public void Lg2()
    {
        Special("lg2.approx.f32", [-Infinity, -1, -0f, 0f, Infinity, float.NaN, 1, 8], [float.NaN, float.NaN, -Infinity, -Infinity, Infinity, float.NaN, 0, 3]);
        Special("lg2.approx.ftz.f32", [-Subnormal, Subnormal, 0.25f], [-Infinity, -Infinity, -2]);
        Within("lg2.approx.f32", Math.Log2, 1e-38, 1e38, absolute: Math.Pow(2, -22), relative: Math.Pow(2, -22));
        Assert.InRange(Instruction.Run<float>("lg2.approx.f32", (float[])[Subnormal])[0], Math.Log2(Subnormal) - 1e-4, Math.Log2(Subnormal) + 1e-4);
    }

    [Fact]
    public void SinAndCos()
    {
        foreach (string ftz in (string[])["", ".ftz"])
        {
            Special($"sin.approx{ftz}.f32", [-Infinity, Infinity, float.NaN, 0f, -0f], [float.NaN, float.NaN, float.NaN, 0f, -0f]);
            Special($"cos.approx{ftz}.f32", [-Infinity, Infinity, float.NaN, 0f, -0f, Subnormal], [float.NaN, float.NaN, float.NaN, 1, 1, 1]);
            Within($"sin.approx{ftz}.f32", Math.Sin, -Math.PI, Math.PI, absolute: Math.Pow(2, -20.5));
            Within($"cos.approx{ftz}.f32", Math.Cos, -Math.PI, Math.PI, absolute: Math.Pow(2, -20.5));
        }

        Special("sin.approx.ftz.f32", [Subnormal, -Subnormal], [0f, -0f]);
        Special("sin.approx.f32", [Subnormal, -Subnormal], [Subnormal, -Subnormal]);
    }

    [Fact]
    public void Tanh()
    {
        Special("tanh.approx.f32", [-Infinity, Infinity, float.NaN, 0f, -0f, Subnormal, 40, -40], [-1, 1, float.NaN, 0f, -0f, Subnormal, 1, -1]);
        Within("tanh.approx.f32", Math.Tanh, -5, 5, relative: Math.Pow(2, -11));
    }

    [Fact]
    public void Rsqrt()
    {
        Special("rsqrt.approx.f32", [-Infinity, -1, -0f, 0f, Infinity, float.NaN, 4], [float.NaN, float.NaN, -Infinity, Infinity, 0f, float.NaN, 0.5f]);
        Special("rsqrt.approx.ftz.f32", [-Subnormal, Subnormal, 0.25f], [-Infinity, Infinity, 2]);
        Within("rsqrt.approx.f32", x => 1 / Math.Sqrt(x), 1e-45, 3e38, relative: Math.Pow(2, -22.9));
    }

    [Fact]
    public void RcpSqrtAndDiv()
    {
        Special("rcp.approx.f32", [-Infinity, -0f, 0f, Infinity, float.NaN, 4], [-0f, -Infinity, Infinity, 0f, float.NaN, 0.25f]);
        Special("rcp.approx.ftz.f32", [-Subnormal, Subnormal, 2e38f, -2e38f], [-Infinity, Infinity, 0f, -0f]);
        Special("sqrt.approx.f32", [-Infinity, -1, -0f, 0f, Infinity, float.NaN, 4], [float.NaN, float.NaN, -0f, 0f, Infinity, float.NaN, 2]);
        Special("sqrt.approx.ftz.f32", [-Subnormal, Subnormal, 9], [-0f, 0f, 3]);
        Within("rcp.approx.f32", x => 1 / x, 1e-37, 1e37, relative: Math.Pow(2, -23));
        Within("sqrt.approx.f32", Math.Sqrt, 1e-37, 1e37, relative: Math.Pow(2, -23));
    }

    // Divisors above 2^126: the quotient is 0, of an infinity NaN. div.full has no such gap.
    [Fact]
    public void DivApproxLosesLargeDivisors()
    {
        float[] a = [1, -3, Infinity, 6, 0, 5, 1e38f], b = [1e38f, 2e38f, 1e38f, 3, 0, 0, 3e38f];
        Assert.Equal([0f, -0f, float.NaN, 2, float.NaN, Infinity, 0f], Instruction.Run<float>("div.approx.f32", a, b));
        Assert.Equal([1 / 1e38f, -3 / 2e38f, Infinity, 2, float.NaN, Infinity, 1e38f / 3e38f], Instruction.Run<float>("div.full.f32", a, b));
        Assert.Equal([0f, -3 / 2e38f, Infinity, 2, float.NaN, Infinity, 1e38f / 3e38f], Instruction.Run<float>("div.full.ftz.f32", a, b));
        Assert.Equal([Infinity, 0f], Instruction.Run<float>("div.approx.ftz.f32", (float[])[1, Subnormal], (float[])[Subnormal, 1]));
    }

    [Theory]
    [InlineData("ex2.approx", "f16")]
    [InlineData("ex2.approx.ftz", "bf16")]
    [InlineData("tanh.approx", "f16")]
    [InlineData("tanh.approx", "bf16")]
    public void HalvesAreRoundedOnce(string operation, string type)
    {
        var f = type == "f16" ? FloatFormat.F16 : FloatFormat.BF16;
        ushort[] a = [.. Enumerable.Range(0, 1 << 16).Where(i => i % 7 == 0 && !f.IsNaN((ulong)i)).Select(i => (ushort)i)];
        double Value(ushort x) => type == "f16" ? (double)BitConverter.UInt16BitsToHalf(x) : BitConverter.UInt32BitsToSingle((uint)x << 16);
        ushort[] actual = Instruction.Run<ushort>($"{operation}.{type}", a);
        uint[] packed = Instruction.Run<uint>($"{operation}.{type}x2", a.Select(x => (uint)x << 16 | 0x3C00).ToArray());
        for (int i = 0; i < a.Length; i++)
        {
            Assert.Equal(actual[i], packed[i] >> 16);
            double exact = operation.StartsWith("ex2", StringComparison.Ordinal) ? Math.Pow(2, Value(a[i])) : Math.Tanh(Value(a[i]));
            if (operation.Contains("ftz") && Math.Abs(exact) < Math.Pow(2, -126)) exact = 0;
            // Not further from the exact value than half of the distance to either neighbour.
            if (double.IsInfinity(Value(actual[i]))) Assert.True(exact > Value((ushort)(f.Infinity - 1)));
            else
            {
                double next = Value((ushort)(actual[i] + 1)), step = double.IsInfinity(next) ? Math.Abs(Value(actual[i]) - Value((ushort)(actual[i] - 1))) : Math.Abs(next - Value(actual[i]));
                Assert.InRange(Math.Abs(Value(actual[i]) - exact), 0, step * (0.5 + 1e-9));
            }
        }
    }

    private static void Special(string opcode, float[] a, float[] expected) =>
        Assert.Equal(expected.Select(x => float.IsNaN(x) ? 0x7FFFFFFF : BitConverter.SingleToUInt32Bits(x)), Instruction.Run<uint>(opcode, a.Select(BitConverter.SingleToUInt32Bits).ToArray()));

    private static void Within(string opcode, Func<double, double> function, double low, double high, double absolute = 0, double relative = 0)
    {
        var random = new Random(6);
        // Spread evenly, or over magnitudes where the interval has only positive numbers.
        float[] a = [.. Enumerable.Range(0, 500).Select(_ => (float)(low > 0 ? low * Math.Pow(high / low, random.NextDouble()) : low + (high - low) * random.NextDouble()))];
        float[] actual = Instruction.Run<float>(opcode, a);
        for (int i = 0; i < a.Length; i++) Assert.InRange(actual[i] - function(a[i]), -absolute - relative * Math.Abs(function(a[i])), absolute + relative * Math.Abs(function(a[i])));
    }
}
