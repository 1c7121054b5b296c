namespace DiffWave.Device.Tests;

// Against double precision over a dense walk through the bit patterns of float: all exponents and both signs, the step odd so that all low bits vary.
public class XMathTests
{
    private const uint Step = 4099;

    private static readonly Dictionary<string, (Func<float, float> Function, Func<double, double> Reference)> Functions = new()
    {
        ["Exp"] = (XMath.Exp, Math.Exp), ["Exp2"] = (XMath.Exp2, x => Math.Pow(2, x)), ["Log"] = (XMath.Log, Math.Log), ["Log2"] = (XMath.Log2, Math.Log2), ["Log10"] = (XMath.Log10, Math.Log10),
        ["Sin"] = (XMath.Sin, Math.Sin), ["Cos"] = (XMath.Cos, Math.Cos), ["Tan"] = (XMath.Tan, Math.Tan), ["Sinh"] = (XMath.Sinh, Math.Sinh), ["Cosh"] = (XMath.Cosh, Math.Cosh),
        ["Tanh"] = (XMath.Tanh, Math.Tanh), ["Sqrt"] = (XMath.Sqrt, Math.Sqrt), ["Rsqrt"] = (XMath.Rsqrt, x => 1 / Math.Sqrt(x)), ["Rcp"] = (XMath.Rcp, x => 1 / x),
    };

    // The error in units of the last place of the exact value: the spacing of floats there, for subnormal ones their own.
    private static double Ulps(float actual, double exact)
    {
        float rounded = (float)exact;
        if (!float.IsFinite(rounded) || !float.IsFinite(actual)) return actual.Equals(rounded) ? 0 : double.PositiveInfinity;
        int exponent = Math.Max(-126, exact == 0 ? -126 : Math.ILogB(exact));
        return Math.Abs(actual - exact) / Math.ScaleB(1, exponent - 23);
    }

    // The bounds are those the functions' docs state.
    [Theory]
    [InlineData("Exp", 1.1)]
    [InlineData("Exp2", 1)]
    [InlineData("Log", 1)]
    [InlineData("Log2", 1.4)]
    [InlineData("Log10", 1.2)]
    [InlineData("Sin", 1.2)]
    [InlineData("Cos", 1.2)]
    [InlineData("Tan", 3)]
    [InlineData("Sinh", 1.6)]
    [InlineData("Cosh", 1.5)]
    [InlineData("Tanh", 1.5)]
    [InlineData("Sqrt", 0.5)]
    [InlineData("Rsqrt", 1.5)]
    [InlineData("Rcp", 0.5)]
    public void ErrorIsWithinTheStatedBoundOverAllExponents(string name, double bound)
    {
        var (function, reference) = Functions[name];
        double worst = 0;
        float at = 0;
        for (ulong bits = 0; bits <= uint.MaxValue; bits += Step)
        {
            float x = BitConverter.UInt32BitsToSingle((uint)bits);
            double error = Ulps(function(x), reference(x));
            if (error > worst) (worst, at) = (error, x);
        }
        Assert.True(worst <= bound, $"{name}({at:R}) is off by {worst:F3} ulp");
    }
}
