using DiffWave.Cuda;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class MemoryTests
{
    [Kernel("register_arrays")]
    internal static void RegisterArrays(ArrayView<float> a, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var window = LocalMemory.Allocate<float>(5);
        var sums = LocalMemory.Allocate<double>(3);
        for (int k = 0; k < 5; k++) window[k] = i + k < a.IntLength ? a[i + k] : 0.5f;
        for (int pass = 0; pass < 2; pass++)
            for (int k = 0; k < 3; k++)
            {
                sums[k] += window[k] * 0.5f - window[k + 2];
                if (window[k] > 1) window[k + 1] = -window[k];
            }
        float total = 0;
        for (int k = 0; k < 3; k++) total += (float)sums[k];
        y[i] = total + window[4];
    }

    [Kernel("register_arrays_in_loops")]
    internal static void RegisterArraysInLoops(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var lanes = LocalMemory.Allocate<int>(4);
        for (int step = 0; step < (a[i] & 7); step++)
        {
            for (int k = 0; k < 4; k++) lanes[k] = lanes[k] * 3 + k + step;
            if ((lanes[1] & 1) == 0) lanes[2] ^= lanes[3];
        }
        y[i] = lanes[0] + lanes[1] * 5 + lanes[2] * 7 + lanes[3] * 11;
    }

    [Kernel("local_memory", AllowLocalMemory = true)]
    internal static void LocalArrays(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var counts = LocalMemory.Allocate<int>(16);
        for (int k = 0; k < 32; k++) counts[(a[i] >> k) & 15] += k;
        int result = 0;
        for (int k = 0; k < 16; k++) result = result * 7 + counts[(k + i) & 15];
        y[i] = result;
    }

    [Kernel("views")]
    internal static void Views(ArrayView<int> a, ArrayView<long> y, ArrayView<byte> bytes, long offset)
    {
        long i = Grid.GlobalLinearIndex;
        if (i >= 40) return;
        var part = a.SubView(offset, 40);
        var tail = a.SubView(20);
        var words = bytes.Cast<ushort>();
        y[i] = part[i] + tail[(int)i] * 3L + words[i] + words.SubView(1, 39).IntLength + part.Length * 1000 + part.LengthInBytes + a.Cast<long>()[i / 2] + (part.IsValid ? 1 : 0);
        y[new LongIndex1D(i + 40)] = a[new Index1D((int)i)] + (long)tail.SubView(2).SubView(3, 5)[i % 5];
    }

    [Kernel("block_reversal", BlockX = 64)]
    internal static void Reversal(ArrayView<int> a, ArrayView<int> y)
    {
        var tile = SharedMemory.Allocate<int>(64);
        var squares = SharedMemory.Allocate<long>(64);
        ref int first = ref SharedMemory.Allocate<int>();
        int i = Grid.GlobalIndex.X, t = Group.IdxX;
        tile[t] = a[i];
        squares[63 - t] = (long)a[i] * a[i];
        if (t == 0) first = a[i] + 1;
        Group.Barrier();
        y[i] = tile[Group.DimX - 1 - t] + (int)squares[t] * 2 + first;
    }

    [Kernel("dynamic_tiles")]
    internal static void DynamicTiles(ArrayView<float> a, ArrayView<float> y, int rounds)
    {
        var memory = SharedMemory.GetDynamic<float>();
        var now = memory.SubView(0, Group.DimX);
        var next = memory.SubView(Group.DimX, Group.DimX).Cast<float>();
        int t = Group.IdxX, n = Group.DimX;
        now[t] = a[Grid.GlobalIndex.X];
        for (int round = 0; round < rounds; round++)
        {
            Group.Barrier();
            next[t] = (now[t] + now[(t + 1) % n]) * 0.5f;
            (now, next) = (next, now);
        }
        y[Grid.GlobalIndex.X] = now[t] + memory.IntLength;
    }

    [Kernel("block_votes")]
    internal static void BlockVotes(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        bool all = Group.BarrierAnd(a[i] > 0), any = Group.BarrierOr(a[i] == 5);
        int count = Group.BarrierPopCount((a[i] & 1) != 0);
        y[i] = count * 4 + (all ? 1 : 0) + (any ? 2 : 0) + (Group.IsFirstThread ? 1000 : 0) + Grid.LinearIndex * 10000 + Grid.DimX * 100000;
    }

    [Kernel("vectors")]
    internal static void Vectors(ArrayView<float> a, ArrayView<Float4> y, ArrayView<UInt2> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        Float4 v = a.Cast<Float4>()[i];
        (v.X, v.W) = (v.W * 2, v.X);
        y[i] = v;
        z[i] = new UInt2((uint)i, Interop.FloatAsInt(y[i].Y));
    }

    [Kernel("cache_hints")]
    internal static void CacheHints(ArrayView<Float4> a, ArrayView<float> b, ArrayView<Float4> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        Ptx.PrefetchL2(ref b[i]);
        Float4 v = Ptx.LdGlobalNc(ref a[i]);
        v.Y += Ptx.LdGlobalNc(ref b[i]) + Ptx.LdGlobalCg(ref b[0]);
        Ptx.StGlobalCs(ref y[i], v);
    }

    [Fact]
    public void ArraysWithKnownIndexesLiveInRegisters()
    {
        float[] a = Data.Floats(1);
        KernelRun.SameAsNative(RegisterArrays, a, new float[Data.Length]);
        Assert.DoesNotContain(".local", KernelRun.Compile(((Action<ArrayView<float>, ArrayView<float>>)RegisterArrays).Method).Ptx);
    }

    [Fact]
    public void RegisterArraysSurviveLoops() => KernelRun.SameAsNative(RegisterArraysInLoops, Data.Ints(2), new int[Data.Length]);

    [Fact]
    public void ArraysWithUnknownIndexesLiveInLocalMemory()
    {
        KernelRun.SameAsNative(LocalArrays, Data.Ints(3), new int[Data.Length]);
        var compiled = KernelRun.Compile(((Action<ArrayView<int>, ArrayView<int>>)LocalArrays).Method);
        Assert.Contains(".local", compiled.Ptx);
        var warning = Assert.Single(compiled.Warnings);
        Assert.Equal(DiagnosticTable.RegisterIndex, warning.Id);
        Assert.Contains("64 bytes", warning.Reason);
        Assert.Contains("LocalMemory.Allocate<int>(16)", File.ReadAllLines(warning.File)[warning.Line - 1]);
        Assert.Empty(KernelRun.Compile(((Action<ArrayView<float>, ArrayView<float>>)RegisterArrays).Method).Warnings);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(37)]
    public void ViewsArePartsAndOtherTypes(long offset) =>
        KernelRun.SameAsNative(Views, Data.Ints(4), new long[Data.Length], Data.Ints(5).Select(x => (byte)x).ToArray(), offset);

    [Fact]
    public void SharedMemoryIsSeenAfterABarrier()
    {
        int[] a = Data.Range(6, -1000, 1000, 192), y = new int[192];
        KernelRun.OnEmulator(Reversal, new Dim3(3), new Dim3(64), 0, a, y);
        for (int i = 0; i < 192; i++)
        {
            int block = i / 64 * 64, other = a[block + 63 - i % 64];
            Assert.Equal(other + other * other * 2 + a[block] + 1, y[i]);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(6)]
    public void DynamicSharedMemoryIsAsLongAsTheLaunchSays(int rounds)
    {
        const int Threads = 96;
        float[] a = [.. Data.Range(7, -50, 50, 2 * Threads).Select(x => (float)x)], y = new float[2 * Threads];
        KernelRun.OnEmulator(DynamicTiles, new Dim3(2), new Dim3(Threads), 2 * Threads * 4 + 40, a, y, rounds);
        for (int block = 0; block < 2; block++)
        {
            double[] now = [.. a.Skip(block * Threads).Take(Threads).Select(x => (double)x)];
            for (int round = 0; round < rounds; round++) now = [.. now.Select((x, t) => (x + now[(t + 1) % Threads]) / 2)]; // exact: few bits
            Assert.Equal(now.Select(x => (float)(x + 2 * Threads + 10)), y.Skip(block * Threads).Take(Threads));
        }
    }

    [Fact]
    public void BarriersVote()
    {
        int[] a = [.. Enumerable.Range(0, 128).Select(i => i < 64 ? i + 10 : i == 70 ? 5 : -i)], y = new int[128];
        KernelRun.OnEmulator(BlockVotes, new Dim3(2), new Dim3(64), 0, a, y);
        for (int i = 0; i < 128; i++)
        {
            var block = a.Skip(i / 64 * 64).Take(64);
            Assert.Equal(block.Count(x => x % 2 != 0) * 4 + (block.All(x => x > 0) ? 1 : 0) + (block.Any(x => x == 5) ? 2 : 0) + (i % 64 == 0 ? 1000 : 0) + i / 64 * 10000 + 200000, y[i]);
        }
    }

    [Fact]
    public void AlignedStructsMoveInOneInstruction()
    {
        float[] a = Data.Floats(8, 4 * Data.Length).Select(x => float.IsNaN(x) ? 1 : x).ToArray();
        KernelRun.SameAsNative(Vectors, a, new Float4[Data.Length], new UInt2[Data.Length]);
        string ptx = KernelRun.Compile(((Action<ArrayView<float>, ArrayView<Float4>, ArrayView<UInt2>>)Vectors).Method).Ptx;
        Assert.Contains("st.global.v4.", ptx);
        Assert.Contains("st.global.v2.", ptx);
    }

    [Fact]
    public void CacheHintsMoveTheSameValues()
    {
        Float4[] a = [.. Data.Range(9, -99, 99).Select(x => new Float4(x, 1, x * 2, 3))];
        float[] b = [.. Data.Range(10, -9, 9).Select(x => (float)x)];
        KernelRun.SameAsNative(CacheHints, a, b, new Float4[Data.Length]);
    }
}
