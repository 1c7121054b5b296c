using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>The numbers of the factors of <c>mma</c>, and how they lie in registers.</summary>
internal interface IMatrixElement
{
    /// <summary>Elements of one 32-bit register, 1 or 2.</summary>
    static abstract int PerRegister { get; }

    /// <summary>An element; only bits that the multiplier sees count.</summary>
    static abstract float Value(uint register, int index);
}

internal readonly struct MatrixHalf : IMatrixElement
{
    public static int PerRegister => 2;

    public static float Value(uint register, int index) => (float)BitConverter.UInt16BitsToHalf((ushort)(register >> (16 * index)));
}

internal readonly struct MatrixBrain : IMatrixElement
{
    public static int PerRegister => 2;

    public static float Value(uint register, int index) => BitConverter.UInt32BitsToSingle(index == 0 ? register << 16 : register & 0xFFFF0000);
}

/// <summary>The upper 19 bits of an f32.</summary>
internal readonly struct MatrixTensor : IMatrixElement
{
    public static int PerRegister => 1;

    public static float Value(uint register, int index) => BitConverter.UInt32BitsToSingle(register & 0xFFFFE000);
}

/// <summary>Matrix products and transpositions of a whole warp.</summary>
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
        int per = TElement.PerRegister, steps = TLong.Value ? 2 : 1, inner = 4 * per * steps;
        int registersA = 2 * steps, registersB = steps, registersC = THalfC.Value ? 2 : 4, registersD = THalfD.Value ? 2 : 4;
        float* a = stackalloc float[Rows * LongestInner], b = stackalloc float[LongestInner * Columns], c = stackalloc float[Rows * Columns];
        for (int lane = 0; lane < LaneLoops.Lanes; lane++)
        {
            int group = lane >> 2, place = (lane & 3) * per;
            for (int step = 0; step < steps; step++)
                for (int i = 0; i < per; i++)
                {
                    int k = step * 4 * per + place + i;
                    a[group * inner + k] = TElement.Value(LaneLoops.Read<uint>((*x)[registersD + 2 * step], lane), i);
                    a[(group + 8) * inner + k] = TElement.Value(LaneLoops.Read<uint>((*x)[registersD + 2 * step + 1], lane), i);
                    b[k * Columns + group] = TElement.Value(LaneLoops.Read<uint>((*x)[registersD + registersA + step], lane), i);
                }

            for (int i = 0; i < 4; i++)
                c[Place(lane, i)] = THalfC.Value
                    ? MatrixHalf.Value(LaneLoops.Read<uint>((*x)[registersD + registersA + registersB + i / 2], lane), i & 1)
                    : LaneLoops.Read<float>((*x)[registersD + registersA + registersB + i], lane);
        }

        for (int row = 0; row < Rows; row++)
        {
            var sum = Vector256.Load(c + row * Columns);
            for (int k = 0; k < inner; k++) sum = Vector256.FusedMultiplyAdd(Vector256.Create(a[row * inner + k]), Vector256.Load(b + k * Columns), sum);
            Vector256.Store(Single.Finish<Off, Off>(sum), c + row * Columns);
        }

        for (uint mask = x->Mask; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            for (int i = 0; i < registersD; i++)
                if (THalfD.Value)
                    LaneLoops.Write((*x)[i], lane, Rounding.Round<Binary16>(c[Place(lane, 2 * i + 1)], RoundingMode.Nearest) << 16 | Rounding.Round<Binary16>(c[Place(lane, 2 * i)], RoundingMode.Nearest));
                else LaneLoops.Write((*x)[i], lane, c[Place(lane, i)]);
        }
    }

    /// <summary>Where element <paramref name="i"/> of a lane's C or D stands.</summary>
    private static int Place(int lane, int i) => ((lane >> 2) + (i >> 1) * 8) * Columns + (lane & 3) * 2 + (i & 1);
}
