using System.Numerics;
using System.Runtime.Intrinsics;

namespace DiffWave.Cpu.Tests;

public unsafe class GateTests
{
    private const double Bound = 2.4e-7; // the documented one

    private static float[] Gate<S, V>(float[] filter, float[] gate) where S : struct, ISimd<V> where V : struct
    {
        var result = new float[filter.Length];
        Assert.Equal(0, filter.Length % S.Width);
        fixed (float* f = filter, g = gate, r = result)
            for (int i = 0; i < result.Length; i += S.Width) S.Store(r + i, Cpu.Gate.TanhSigmoid<S, V>(S.Load(f + i), S.Load(g + i)));
        return result;
    }

    private static float[] Gate(SimdLevel level, float[] filter, float[] gate)
    {
        Setup.Device(level).Dispose(); // skips where the machine lacks the level
        return level switch
        {
            SimdLevel.Avx512 => Gate<Simd512, Vector512<float>>(filter, gate),
            SimdLevel.Avx2 => Gate<Simd256, Vector256<float>>(filter, gate),
            _ => Gate<SimdPortable, Vector<float>>(filter, gate),
        };
    }

    private static (float[] Filter, float[] Gate) Grid()
    {
        const int Side = 1024; // -20 .. 20, denser near zero
        float At(int i) => 20 * MathF.Pow((i - Side / 2 + 0.25f) / (Side / 2), 3);
        float[] filter = new float[Side * Side], gate = new float[Side * Side];
        for (int i = 0; i < filter.Length; i++) (filter[i], gate[i]) = (At(i / Side), At(i % Side));
        return (filter, gate);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void WithinTheStatedBoundOfFloat64(SimdLevel level)
    {
        var (filter, gate) = Grid();
        float[] result = Gate(level, filter, gate);
        double[] truth = [.. filter.Select((f, i) => Math.Tanh(f) / (1 + Math.Exp(-(double)gate[i])))];
        double worst = Setup.MaxError(truth, result), naive = Setup.MaxError(truth, [.. filter.Select((f, i) => MathF.Tanh(f) / (1 + MathF.Exp(-gate[i])))]);
        Assert.True(worst <= Bound && worst <= 2 * naive, $"largest error {worst:g3}, documented {Bound}, naive float32 {naive:g3}");
        Setup.AssertSameBits($"{level} and portable", Gate<SimdPortable, Vector<float>>(filter, gate), result);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void SmallFiltersKeepTheirRelativeAccuracy(SimdLevel level)
    {
        float[] filter = [.. Enumerable.Range(0, 64).Select(i => MathF.Pow(10, -i / 4f))], gate = new float[64];
        float[] result = Gate(level, filter, gate);
        for (int i = 0; i < 64; i++) Assert.Equal(0.5 * Math.Tanh(filter[i]), (double)result[i], 5e-7 * filter[i]);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void InfinitiesSaturateAndNaNPassesOn(SimdLevel level)
    {
        float inf = float.PositiveInfinity, nan = float.NaN;
        (float Filter, float Gate, double Expected)[] cases =
        [
            (inf, inf, 1), (-inf, inf, -1), (inf, -inf, 0), (-inf, -inf, 0), (inf, 0, 0.5), (0, inf, 0), (1e30f, 1e30f, 1), (-1e30f, 1e30f, -1), (0.3f, -1e30f, 0), (0, 0, 0),
            (nan, 0, nan), (0, nan, nan), (nan, inf, nan), (inf, nan, nan), (nan, -inf, nan), (-inf, nan, nan), (nan, nan, nan),
        ];
        foreach (var (filter, gate, expected) in cases)
        {
            float result = Gate(level, [.. Enumerable.Repeat(filter, 16)], [.. Enumerable.Repeat(gate, 16)])[0];
            if (double.IsNaN(expected)) Assert.True(float.IsNaN(result), $"gate({filter}, {gate}) is {result}, expected NaN");
            else Assert.Equal(expected, (double)result, Bound);
        }
    }
}
