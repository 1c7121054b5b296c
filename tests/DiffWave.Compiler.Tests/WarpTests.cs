using DiffWave.Cuda;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class WarpTests
{
    [Kernel("shuffles")]
    internal static void Shuffles(ArrayView<int> a, ArrayView<int> y, int width)
    {
        int i = Grid.GlobalIndex.X, o = i * 8;
        y[o] = Warp.Shuffle(a[i], Warp.LaneIdx * 5 + 3);
        y[o + 1] = Warp.ShuffleDown(a[i], 3);
        y[o + 2] = Warp.ShuffleUp(a[i], 5);
        y[o + 3] = Warp.ShuffleXor(a[i], 9);
        y[o + 4] = Warp.ShuffleDown(a[i], 2, 8);
        y[o + 5] = Warp.ShuffleUp(a[i], 1, width);
        y[o + 6] = Warp.ShuffleXor(a[i], 6, 16) + Warp.Shuffle(a[i], 3, width);
        y[o + 7] = Warp.Broadcast(a[i], 7) + Warp.WarpIdx * 1000 + (Warp.IsFirstLane ? 500 : 0);
    }

    [Kernel("shuffled_type")]
    internal static void ShuffledType<T>(ArrayView<T> a, ArrayView<T> y) where T : unmanaged
    {
        int i = Grid.GlobalIndex.X;
        y[i] = Warp.ShuffleXor(a[i], 1);
    }

    [Kernel("warp_sum")]
    internal static void WarpSum(ArrayView<float> a, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        float sum = a[i];
        for (int step = Warp.WarpSize / 2; step > 0; step /= 2) sum += Warp.ShuffleXor(sum, step);
        y[i] = sum;
    }

    [Kernel("votes")]
    internal static void Votes(ArrayView<int> a, ArrayView<uint> y)
    {
        int i = Grid.GlobalIndex.X;
        y[i * 2] = Warp.Ballot(a[i] > 3);
        y[i * 2 + 1] = (Warp.All(a[i] >= 0) ? 1u : 0) | (Warp.Any(a[i] == 9) ? 2u : 0) | (Warp.ActiveMask == uint.MaxValue ? 4u : 0) | (uint)Ptx.ReduxMax(a[i]) << 8;
    }

    [Kernel("atomics")]
    internal static void Atomics(ArrayView<int> a, ArrayView<int> counters, ArrayView<float> floats, ArrayView<ulong> longs, ArrayView<double> doubles)
    {
        int i = Grid.GlobalIndex.X, x = a[i];
        var histogram = SharedMemory.Allocate<int>(8);
        if (Group.IdxX < 8) histogram[Group.IdxX] = 0;
        Group.Barrier();
        Atomic.Add(ref histogram[x & 7], 1);
        Atomic.Max(ref counters[8], x);
        Atomic.Min(ref counters[9], x);
        Atomic.Or(ref counters[10], x);
        Atomic.And(ref counters[11], x | 0xFF);
        Atomic.Xor(ref counters[12], x);
        Atomic.Add(ref floats[0], 0.5f);
        Atomic.Max(ref floats[1], x);
        Atomic.Min(ref floats[2], x * 0.5f);
        Atomic.Add(ref longs[0], (ulong)(uint)x);
        Atomic.Max(ref longs[1], (ulong)(uint)x << 8);
        Atomic.Add(ref doubles[0], x);
        Atomic.Max(ref doubles[1], -x);
        if (Atomic.CompareExchange(ref counters[13], 0, i + 1) == 0) Atomic.Exchange(ref counters[14], i + 1);
        if (Atomic.Add(ref counters[15], 1) == Grid.DimX * Group.DimX - 1) counters[16] = 1;
        Group.Barrier();
        if (Group.IdxX < 8) Atomic.Add(ref counters[Group.IdxX], histogram[Group.IdxX]);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(32)]
    public void LanesReadFromEachOther(int width)
    {
        int[] a = Data.Range(1, 0, 100000, 96), y = new int[8 * 96];
        KernelRun.OnEmulator(Shuffles, new Dim3(1), new Dim3(96), 0, a, y, width);
        for (int i = 0; i < 96; i++)
        {
            int warp = i / 32 * 32, lane = i % 32;
            int At(int source) => a[warp + source];
            int part = lane / width * width;
            int[] expected =
            [
                At((lane * 5 + 3) % 32), At(lane + 3 < 32 ? lane + 3 : lane), At(lane >= 5 ? lane - 5 : lane), At(lane ^ 9), At(lane % 8 + 2 < 8 ? lane + 2 : lane),
                At(lane - 1 >= part ? lane - 1 : lane), At(lane ^ 6) + At(part + 3), At(7) + i / 32 * 1000 + (lane == 0 ? 500 : 0),
            ];
            Assert.Equal(expected, y.Skip(8 * i).Take(8));
        }
    }

    [Fact]
    public void EveryTypeUpToEightBytesIsExchanged()
    {
        Check(Data.Ints(2, 32).Select(x => (byte)x).ToArray());
        Check(Data.Ints(2, 32).Select(x => (short)x).ToArray());
        Check(Data.Ints(3, 32).Select(x => (uint)x).ToArray());
        Check(Data.Range(4, -99, 99, 32).Select(x => x * 0.37f).ToArray());
        Check(Data.Longs(5, 32));
        Check(Data.Range(6, -99, 99, 32).Select(x => x * 0.37).ToArray());
        Check(Data.Range(7, -99, 99, 32).Select(x => (Half)x).ToArray());
        Check(Data.Range(8, -99, 99, 32).Select(x => new Float2(x, -x * 0.5f)).ToArray());
        Check(Data.Range(9, -99, 99, 32).Select(x => new Half2(x, -x)).ToArray());

        static void Check<T>(T[] a) where T : unmanaged
        {
            var y = new T[32];
            KernelRun.OnEmulator(ShuffledType<T>, new Dim3(1), new Dim3(32), 0, a, y);
            Assert.Equal(a.Select((_, i) => a[i ^ 1]), y);
        }
    }

    [Fact]
    public void AButterflyAddsUpTheWarp()
    {
        float[] a = [.. Data.Range(10, -1000, 1000, 64).Select(x => x * 0.25f)], y = new float[64];
        var compiled = KernelRun.OnEmulator(WarpSum, new Dim3(2), new Dim3(32), 0, a, y);
        for (int i = 0; i < 64; i++) Assert.Equal(a.Skip(i / 32 * 32).Take(32).Sum(), y[i]); // exact: few bits
        Assert.Equal(5, compiled.Ptx.Split("shfl.sync.bfly").Length - 1);
        Assert.DoesNotContain("bra", compiled.Ptx);
    }

    [Fact]
    public void LanesVote()
    {
        int[] a = Data.Range(11, 0, 10, 64);
        a[40] = 9;
        a[0] = -1;
        uint[] y = new uint[128];
        KernelRun.OnEmulator(Votes, new Dim3(1), new Dim3(64), 0, a, y);
        for (int i = 0; i < 64; i++)
        {
            int[] warp = a[(i / 32 * 32)..(i / 32 * 32 + 32)];
            uint ballot = (uint)Enumerable.Range(0, 32).Sum(lane => warp[lane] > 3 ? 1L << lane : 0);
            Assert.Equal((ballot, (warp.All(x => x >= 0) ? 1u : 0) | (warp.Contains(9) ? 2u : 0) | 4 | (uint)warp.Max() << 8), (y[2 * i], y[2 * i + 1]));
        }
    }

    [Fact]
    public void AtomicsLoseNothing()
    {
        int[] a = Data.Range(12, -5000, 5000, 256), counters = new int[17];
        counters[11] = -1;
        float[] floats = [0, -1e9f, 1e9f];
        ulong[] longs = new ulong[2];
        double[] doubles = [0, -1e9];
        KernelRun.OnEmulator(Atomics, new Dim3(4), new Dim3(64), 0, a, counters, floats, longs, doubles);
        for (int bin = 0; bin < 8; bin++) Assert.Equal(a.Count(x => (x & 7) == bin), counters[bin]);
        Assert.Equal((Math.Max(0, a.Max()), Math.Min(0, a.Min())), (counters[8], counters[9]));
        Assert.Equal((a.Aggregate(0, (x, z) => x | z), a.Aggregate(-1, (x, z) => x & (z | 0xFF)), a.Aggregate(0, (x, z) => x ^ z)), (counters[10], counters[11], counters[12]));
        Assert.Equal((128f, (float)a.Max(), a.Min() * 0.5f), (floats[0], floats[1], floats[2]));
        Assert.Equal(((ulong)a.Sum(x => (long)(uint)x), (ulong)a.Max(x => (long)(uint)x) << 8), (longs[0], longs[1]));
        Assert.Equal((a.Sum(x => (double)x), -(double)a.Min()), (doubles[0], doubles[1]));
        Assert.InRange(counters[13], 1, 256);
        Assert.Equal((counters[13], 256, 1), (counters[14], counters[15], counters[16]));
    }
}
