using DiffWave.Cuda;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

/// <summary>Words of the whole warp or block stay in the branch they were written in.</summary>
public class ConvergenceTests
{
    [Kernel("branches_of_a_warp", BlockX = 32)]
    private static void Branches(ArrayView<int> a, ArrayView<int> y, int uniform)
    {
        int i = Grid.GlobalIndex.X, t = Group.IdxX;
        int x = a[i], sum = 0;
        if (uniform > 2)
        {
            Group.Barrier();
            sum += Warp.ShuffleXor(x, 1);
        }
        else sum -= Warp.ShuffleXor(x, 1);
        for (int k = 0; k < uniform; k++) sum = sum * 3 + Warp.ShuffleXor(x, 1);
        x = t < 8 ? x + 1 : x;
        sum += Warp.ShuffleXor(x, 1) * 1000;
        for (int k = 1; k < 32; k *= 2) sum += Warp.ShuffleXor(sum, k);
        y[i] = sum;
    }

    private static int Own(int value, int slot)
    {
        var memory = SharedMemory.Allocate<int>(32);
        memory[Group.IdxX] = value;
        Group.Barrier();
        return memory[Group.IdxX ^ slot];
    }

    [Kernel("own_arrays", BlockX = 32)]
    private static void OwnArrays(ArrayView<int> a, ArrayView<int> y, int far)
    {
        int t = Group.IdxX;
        var bytes = SharedMemory.Allocate<byte>(3);
        if (t < 3) bytes[t] = (byte)(t + 1);
        var wide = SharedMemory.Allocate<long>(32);
        wide[t] = t;
        int p = Own(a[t], 1), q = Own(a[t] * 3, 2);
        var part = wide.SubView(16);
        int back = -16 + (t & far);
        y[t] = p + q * 5 + bytes[t % 3] * 7 + (int)wide[t ^ 4] * 11 + (int)wide[(long)t] + (int)part.SubView(8)[t % 8] * 13 + back;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(5)]
    public void ShufflesReadTheValuesOfTheirOwnPlace(int uniform)
    {
        int[] a = Data.Range(3, -99, 99, 32), y = new int[32];
        KernelRun.OnEmulator(Branches, new Dim3(1), new Dim3(32), 0, a, y, uniform);
        int[] sums = [.. Enumerable.Range(0, 32).Select(t =>
        {
            int other = a[t ^ 1], sum = uniform > 2 ? other : -other;
            for (int k = 0; k < uniform; k++) sum = sum * 3 + other;
            return sum + ((t ^ 1) < 8 ? other + 1 : other) * 1000;
        })];
        Assert.Equal(Enumerable.Repeat(sums.Sum(), 32), y);
    }

    [Fact]
    public void EveryCallHasItsOwnSharedArray()
    {
        int[] a = Data.Range(4, -99, 99, 32), y = new int[32];
        var compiled = KernelRun.OnEmulator(OwnArrays, new Dim3(1), new Dim3(32), 0, a, y, 3);
        Assert.Equal(Enumerable.Range(0, 32).Select(t => a[t ^ 1] + a[t ^ 2] * 15 + (t % 3 + 1) * 7 + (t ^ 4) * 11 + t + (24 + t % 8) * 13 - 16 + (t & 3)), y);
        Assert.True(compiled.StaticSharedBytes >= 128 + 128 + 256 + 3);
    }
}
