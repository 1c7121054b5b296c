using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class LoopTests
{
    [Kernel("basic_loops")]
    internal static void BasicLoops(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int n = a[i] & 15, sum = 0;
        for (int k = 0; k < n; k++) sum += k * a[i];
        int w = a[i];
        while (w > 3) w >>= 1;
        int steps = 0;
        do
        {
            w = w * 3 + 1;
            steps++;
        }
        while (steps < n && w < 10000);
        for (int k = n; k >= 0; k -= 2) sum ^= k + steps;
        y[i] = sum + w * 31 + steps;
    }

    [Kernel("nested_loops")]
    internal static void NestedLoops(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int n = a[i] & 7, sum = 1;
        for (int p = 0; p < n; p++)
        {
            int inner = p;
            for (int q = p; q < 5; q++)
            {
                inner += q * sum;
                int z = inner & 7;
                while (z-- > 2) sum += z;
            }
            sum = sum * 5 + inner;
        }
        y[i] = sum;
    }

    [Kernel("break_continue")]
    internal static void BreakContinue(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int x = a[i], sum = 0;
        for (int k = 0; k < 20; k++)
        {
            if (((x >> k) & 3) == 1) continue;
            sum += k;
            if (sum > (x & 63)) break;
            for (int q = 0; ; q++)
            {
                if (q == 3) break;
                if (((x >> q) & 1) == 0) continue;
                sum++;
            }
            sum ^= 1;
        }
        y[i] = sum;
    }

    [Kernel("two_exit_loops")]
    internal static void TwoExitLoops(ArrayView<int> a, ArrayView<int> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int x = a[i] & 0xFF, z = b[i] & 0xFF, k = 0;
        while (x > 3 && z > 5)
        {
            x -= 3;
            z -= 2;
            if (((x ^ z) & 31) == 9) break;
            k++;
        }
        int found = -1;
        for (int q = 0; q < 8 && found < 0; q++)
            if (((a[i] >> q) & 7) == 5) found = q;
        y[i] = k * 100000 + x * 300 + z + found;
    }

    [Kernel("gotos")]
    internal static void Gotos(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int x = a[i] & 31, hits = 0;
        for (int p = 0; p < 6; p++)
            for (int q = 0; q < 6; q++)
            {
                hits++;
                if (p * q == x) goto found;
            }
        hits = -1;
    found:
        y[i] = hits;
    }

    [Kernel("loop_in_unrolled_loop")]
    internal static void LoopInUnrolledLoop(ArrayView<int> a, ArrayView<int> y, [Const] int taps)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int sum = 0;
        for (int tap = 0; tap < taps; tap++)
        {
            for (int k = 0; k < (a[i] & 3) + tap; k++) sum = sum * 3 + k + tap;
            if (sum < 0) continue;
            sum -= tap * 7;
        }
        y[i] = sum;
    }

    [Kernel("swapped_in_loop")]
    internal static void SwappedInLoop(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int p = 1, q = 2, r = a[i];
        for (int k = a[i] & 31; k > 0; k--) (p, q, r) = (q, r + 1, p);
        y[i] = p * 10007 + q * 101 + r;
    }

    [Fact]
    public void LoopsRunAsOftenAsTheyShould() => KernelRun.SameAsNative(BasicLoops, Data.Ints(1), new int[Data.Length]);

    [Fact]
    public void LoopsNest() => KernelRun.SameAsNative(NestedLoops, Data.Ints(2), new int[Data.Length]);

    [Fact]
    public void LoopsAreLeftAndContinued() => KernelRun.SameAsNative(BreakContinue, Data.Ints(3), new int[Data.Length]);

    [Fact]
    public void LoopsWithTwoExitsWork() => KernelRun.SameAsNative(TwoExitLoops, Data.Ints(4), Data.Ints(5), new int[Data.Length]);

    [Fact]
    public void GotoLeavesTwoLoops() => KernelRun.SameAsNative(Gotos, Data.Ints(6), new int[Data.Length]);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public void LoopsInUnrolledLoopsWork(int taps) => KernelRun.SameAsNative(LoopInUnrolledLoop, Data.Ints(7), new int[Data.Length], taps);

    [Fact]
    public void ValuesSwapRoundALoop() => KernelRun.SameAsNative(SwappedInLoop, Data.Ints(8), new int[Data.Length]);
}
