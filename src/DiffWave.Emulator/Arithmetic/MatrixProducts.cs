using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>The numbers of the factors of <c>mma</c>, and how they lie in registers.</summary>
internal unsafe interface IMatrixElement
{
    /// <summary>Elements of one 32-bit register, 1 or 2.</summary>
    static abstract int PerRegister { get; }

    /// <summary>The elements of lanes 4 * group .. 4 * group + 3 in order: a part of a row.</summary>
    static abstract void Row(byte* register, int group, float* row);
}

internal readonly unsafe struct MatrixHalf : IMatrixElement
{
    public static int PerRegister => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(byte* register, int group, float* row) => Vector256.Store(HalfVectors.FromHalf(Widened(register, group)), row);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Widened(byte* register, int group)
    {
        var halves = Vector128.Load((ushort*)register + 8 * group);
        return Vector256.Create(Vector128.WidenLower(halves), Vector128.WidenUpper(halves));
    }
}

internal readonly unsafe struct MatrixBrain : IMatrixElement
{
    public static int PerRegister => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(byte* register, int group, float* row) => Vector256.Store(HalfVectors.FromBrain(MatrixHalf.Widened(register, group)), row);
}

/// <summary>Of an f32 the upper 19 bits; the multiplier does not see the others.</summary>
internal readonly unsafe struct MatrixTensor : IMatrixElement
{
    public static int PerRegister => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(byte* register, int group, float* row) => Vector128.Store((Vector128.Load((uint*)register + 4 * group) & Vector128.Create(0xFFFFE000u)).AsSingle(), row);
}

/// <summary>Matrix products of a whole warp.</summary>
internal static unsafe class MatrixProducts
{
    private const int Rows = 16, Columns = 8, LongestInner = 16;

    /// <summary>
    /// <c>mma.sync.m16n8kK</c>, 16 x K times K x 8. Products are exact; starting from the element of C they are added one after the other in the order of K, each sum rounded to the nearest f32; an f16
    /// result is rounded once more at the end. PTX leaves order and rounding open, and devices differ in the last bits (they cut off rather than round, and sum several products at a time), so
    /// comparisons with a device need a tolerance.
    /// Lane l holds rows l / 4 and l / 4 + 8 of A, C and D and column l / 4 of B.
    /// </summary>
    /// <typeparam name="TElement">Type of A and B.</typeparam>
    /// <typeparam name="TLong">K is 16 for 16-bit elements and 8 for 32-bit ones; else half of that.</typeparam>
    /// <typeparam name="THalfC">C is f16, two to a register, not f32.</typeparam>
    /// <typeparam name="THalfD">D likewise.</typeparam>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TElement, TLong, THalfC, THalfD>(LaneArguments* x) where TElement : struct, IMatrixElement where TLong : struct, IFlag where THalfC : struct, IFlag where THalfD : struct, IFlag
    {
        int per = TElement.PerRegister, steps = TLong.Value ? 2 : 1, step = 4 * per, inner = step * steps;
        int firstA = THalfD.Value ? 2 : 4, firstB = firstA + 2 * steps, firstC = firstB + steps;
        float* a = stackalloc float[Rows * LongestInner], b = stackalloc float[LongestInner * Columns], c = stackalloc float[Rows * Columns], column = stackalloc float[LongestInner];
        for (int group = 0; group < 8; group++)
        {
            for (int s = 0; s < steps; s++)
            {
                TElement.Row((*x)[firstA + 2 * s], group, a + group * inner + s * step);
                TElement.Row((*x)[firstA + 2 * s + 1], group, a + (group + 8) * inner + s * step);
                TElement.Row((*x)[firstB + s], group, column + s * step);
            }

            for (int k = 0; k < inner; k++) b[k * Columns + group] = column[k];
            for (int half = 0; half < 2; half++)
                if (THalfC.Value) MatrixHalf.Row((*x)[firstC + half], group, c + (group + 8 * half) * Columns);
                else Vector256.Store(Interleaved((*x)[firstC + 2 * half], (*x)[firstC + 2 * half + 1], group), c + (group + 8 * half) * Columns);
        }

        for (int row = 0; row < Rows; row += 4)
        {
            // Four rows at a time, so that the sums do not wait for each other.
            Vector256<float> sum0 = Row(c, row), sum1 = Row(c, row + 1), sum2 = Row(c, row + 2), sum3 = Row(c, row + 3);
            float* left = a + row * inner;
            for (int k = 0; k < inner; k++)
            {
                var right = Row(b, k);
                sum0 = Vector256.FusedMultiplyAdd(Vector256.Create(left[k]), right, sum0);
                sum1 = Vector256.FusedMultiplyAdd(Vector256.Create(left[inner + k]), right, sum1);
                sum2 = Vector256.FusedMultiplyAdd(Vector256.Create(left[2 * inner + k]), right, sum2);
                sum3 = Vector256.FusedMultiplyAdd(Vector256.Create(left[3 * inner + k]), right, sum3);
            }

            Vector256.Store(Single.Finish<Off, Off>(sum0), c + row * Columns);
            Vector256.Store(Single.Finish<Off, Off>(sum1), c + (row + 1) * Columns);
            Vector256.Store(Single.Finish<Off, Off>(sum2), c + (row + 2) * Columns);
            Vector256.Store(Single.Finish<Off, Off>(sum3), c + (row + 3) * Columns);
        }

        // By register as A is; it holds no element of A any more.
        for (int group = 0; group < 8; group++)
            for (int half = 0; half < 2; half++)
            {
                var row = Row(c, group + 8 * half);
                if (THalfD.Value) Vector128.Store(Halves(row), (ushort*)(a + half * LaneLoops.Lanes) + 8 * group);
                else
                {
                    var (even, odd) = Parted(row);
                    Vector128.Store(even, (uint*)a + 2 * half * LaneLoops.Lanes + 4 * group);
                    Vector128.Store(odd, (uint*)a + (2 * half + 1) * LaneLoops.Lanes + 4 * group);
                }
            }

        for (int i = 0; i < firstA; i++)
            for (int lane = 0; lane < LaneLoops.Lanes; lane += 8) LaneLoops.Store((*x)[i], lane, Vector256.Load((uint*)a + i * LaneLoops.Lanes + lane), x->Mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Row(float* matrix, int row) => Vector256.Load(matrix + row * Columns);

    /// <summary>Elements of four lanes from two registers in turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Interleaved(byte* even, byte* odd, int group)
    {
        Vector128<uint> low = Vector128.Load((uint*)even + 4 * group), high = Vector128.Load((uint*)odd + 4 * group);
        var wideLow = Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low));
        var wideHigh = Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high));
        return (wideLow | wideHigh << 32).AsSingle();
    }

    /// <summary>The opposite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<uint> Even, Vector128<uint> Odd) Parted(Vector256<float> row)
    {
        var pairs = row.AsUInt64();
        return (Vector128.Narrow(pairs.GetLower(), pairs.GetUpper()), Vector128.Narrow((pairs >> 32).GetLower(), (pairs >> 32).GetUpper()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Halves(Vector256<float> row)
    {
        var halves = HalfVectors.ToHalf(row);
        return Vector128.Narrow(halves.GetLower(), halves.GetUpper());
    }
}
