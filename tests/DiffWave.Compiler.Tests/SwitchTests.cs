using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class SwitchTests
{
    [Kernel("dense_switch")]
    internal static void DenseSwitch(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int result = 3;
        for (int k = 0; k < 3; k++)
        {
            switch ((a[i] >> (4 * k)) & 7)
            {
                case 0: result += 5; break;
                case 1:
                case 2: result *= 3; break;
                case 3: continue;
                case 4: result -= a[i]; goto case 0;
                case 5: y[i] = result; return;
                default: result ^= 0x55; break;
            }
            result++;
        }
        y[i] = result;
    }

    [Kernel("switch_expressions")]
    internal static void SwitchExpressions(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        int x = a[i];
        int sparse = x switch { -1 => 1, 7 => 2, 1000 => 3, 65536 => 4, < -100 => 5, > 100000 => x % 7, _ => 6 };
        y[i] = sparse * 16 + (x & 15) switch { 0 => 1, 1 => 4, 2 => 9, 3 => 16, 4 => 25, 5 => 36, _ => -1 };
    }

    [Kernel("known_switch")]
    internal static void KnownSwitch(ArrayView<int> a, ArrayView<int> y, [Const] int mode)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        y[i] = mode switch { 0 => a[i] + 1, 1 => a[i] * 2, 2 => -a[i], _ => ~a[i] };
    }

    [Fact]
    public void CasesAreTaken() => KernelRun.SameAsNative(DenseSwitch, Data.Ints(1), new int[Data.Length]);

    [Fact]
    public void ExpressionsChoose() => KernelRun.SameAsNative(SwitchExpressions, Data.Ints(2), new int[Data.Length]);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(99)]
    public void KnownCasesLeaveNoBranch(int mode)
    {
        int[] a = Data.Ints(3);
        KernelRun.SameAsNative(KnownSwitch, a, new int[Data.Length], mode);
        string ptx = KernelRun.Compile(((Action<ArrayView<int>, ArrayView<int>, int>)KnownSwitch).Method, [a, a, mode]).Ptx;
        Assert.True(ptx.Split("bra").Length <= 2, ptx); // at most the one of the bounds
    }
}
