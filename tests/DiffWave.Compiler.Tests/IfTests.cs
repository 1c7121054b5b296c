using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class IfTests
{
    [Kernel("basic_ifs")]
    internal static void BasicIfs(ArrayView<int> a, ArrayView<int> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int x = a[i], z = b[i], result = 1;
        if (x > z) result += x;
        else result -= z;
        if (x == z) result *= 3;
        if (x < 0)
        {
            if (z < 0) result ^= x & z;
            else if (z > 100) result ^= 77;
        }
        y[i] = result;
    }

    [Kernel("short_circuits")]
    internal static void ShortCircuits(ArrayView<int> a, ArrayView<int> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.IntLength) return;
        int x = a[i], z = b[i];
        bool both = x > 0 && z > 0, one = x > 0 || z > 0, neither = !(x > 10 || z < -10);
        int result = both ? 1 : 0;
        if (one && (x & 1) == 0 || z == 7) result |= 2;
        if (neither) result |= 4;
        if ((both ^ one) | neither & both) result |= 8;
        y[i] = result + (x != z ? x >= z ? 16 : 32 : 64);
    }

    [Kernel("booleans")]
    internal static void Booleans(ArrayView<int> a, ArrayView<byte> y, int limit, bool inverted)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        bool above = a[i] > limit, result = above != inverted;
        for (int k = 0; k < (a[i] & 3); k++) result = !result;
        y[i] = (byte)((result ? 1 : 0) + (IsOdd(a[i]) ? 2 : 0) + (IsOdd(a[i]) == result ? 4 : 0));
    }

    private static bool IsOdd(int x) => (x & 1) != 0;

    [Kernel("returns_in_the_middle")]
    internal static void ReturnsInTheMiddle(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        y[i] = Classify(a[i], out int detail) * 1000 + detail;
    }

    private static int Classify(int x, out int detail)
    {
        detail = 1;
        if (x == 0) return 0;
        detail = x & 15;
        if (x < 0)
        {
            detail = -detail;
            return -1;
        }
        for (int k = 0; k < 10; k++)
            if (x >> k == 3) return 10 + k;
        return 5;
    }

    [Fact]
    public void BranchesTakeTheSameSides() => KernelRun.SameAsNative(BasicIfs, Data.Ints(1), Data.Ints(2), new int[Data.Length]);

    [Fact]
    public void ConditionsStopEarly() => KernelRun.SameAsNative(ShortCircuits, Data.Range(1, -20, 20), Data.Range(2, -20, 20), new int[Data.Length]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BooleansAreValues(bool inverted) => KernelRun.SameAsNative(Booleans, Data.Ints(3), new byte[Data.Length], 5, inverted);

    [Fact]
    public void InlinedMethodsReturnFromAnywhere() => KernelRun.SameAsNative(ReturnsInTheMiddle, Data.Ints(4), new int[Data.Length]);
}
