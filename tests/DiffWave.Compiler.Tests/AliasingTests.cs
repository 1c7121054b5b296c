using DiffWave.Cuda;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

/// <summary>Several names of one place: what is written by one is read by the others, in order.</summary>
public class AliasingTests
{
    private struct Inner
    {
        public short Low;
        public int High;
    }

    private struct Outer
    {
        public byte Tag;
        public Inner First, Second;
        public long Wide;
    }

    [Kernel("cast_views")]
    private static void CastViews(ArrayView<int> a, ArrayView<int> memory, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var bytes = memory.Cast<byte>();
        var halves = memory.Cast<short>();
        memory[i] = a[i];
        int before = memory[i];
        bytes[4 * i + 1] = 0x5A;
        int between = memory[i];
        halves[2 * i + 1] = -2;
        int after = memory[i];
        memory.SubView(i, 1)[0] += 3;
        y[i] = before * 3L + between * 5L + after * 7L + memory[i] * 11L + (sbyte)bytes[4 * i + 3] + halves[2 * i];
    }

    [Kernel("atomics_between_loads")]
    private static void AtomicsBetweenLoads(ArrayView<int> a, ArrayView<int> memory, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        memory[i] = a[i];
        int sum = memory[i];
        sum = sum * 3 + Atomic.Add(ref memory[i], 5);
        sum = sum * 3 + memory[i];
        Atomic.Max(ref memory[i], 100);
        y[i] = sum * 3 + memory[i];
    }

    private static void Twice(ref int p, ref int q, int times)
    {
        for (int k = 0; k < times; k++)
        {
            p += 3;
            q *= 2;
            if ((p & 5) == 1) p ^= q + k;
        }
    }

    private static void Bump(ref Outer value, ref int high, ref byte tag)
    {
        high += value.First.High;
        tag += 200;
        value.Second.Low = (short)(high * 7);
        value.Wide += tag;
        (value.First, value.Second) = (value.Second, value.First);
    }

    [Kernel("references")]
    private static void References(ArrayView<int> a, ArrayView<int> b, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int x = a[i], z = b[i];
        Twice(ref x, ref x, b[i] & 7);
        Twice(ref x, ref z, 3);
        Outer o = default;
        (o.First.High, o.Second.High, o.Tag) = (a[i], b[i], (byte)a[i]);
        for (int k = 0; k < (a[i] & 3); k++) Bump(ref o, ref o.First.High, ref o.Tag);
        Outer copy = o;
        ref var second = ref o.Second;
        second.Low++;
        second = new Inner { Low = (short)(second.Low * 3), High = copy.First.High };
        y[i] = x + z * 3L + o.First.High * 5L + o.Second.High * 7L + o.First.Low * 11 + o.Second.Low * 13 + o.Tag * 17 + o.Wide * 19 + copy.Second.Low * 23;
    }

    private static void Rotate(ArrayView<int> part, ref int carry)
    {
        int first = part[0];
        for (int k = 0; k < 3; k++) part[k] = part[k + 1] + carry;
        part[3] = first;
        carry ^= part[1];
    }

    [Kernel("register_views")]
    private static void RegisterViews(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var array = LocalMemory.Allocate<int>(8);
        var pairs = LocalMemory.Allocate<Inner>(3);
        for (int k = 0; k < 8; k++) array[k] = a[i] >> k;
        var upper = array.SubView(3, 5);
        ref int third = ref array[4];
        for (int round = 0; round < (a[i] & 7); round++)
        {
            Rotate(upper.SubView(1, 4), ref third);
            for (int k = 0; k < 8; k++)
            {
                if (((a[i] >> k) & 3) == 1) continue;
                array[k] += k + round;
                pairs[k % 3].High += array[7 - k];
                if (array[k] == 17) break;
                pairs[k % 3].Low = (short)(pairs[(k + 1) % 3].High * 3);
            }
        }
        int sum = third;
        for (int k = 0; k < 8; k++) sum = sum * 31 + array[k];
        for (int k = 0; k < 3; k++) sum = sum * 31 + pairs[k].High * 3 + pairs[k].Low;
        y[i] = sum;
    }

    [Kernel("shared_rounds", BlockX = 32)]
    private static void SharedRounds(ArrayView<int> a, ArrayView<int> y, int rounds)
    {
        var tile = SharedMemory.Allocate<int>(32);
        int t = Group.IdxX, i = Grid.GlobalIndex.X;
        tile[t] = a[i];
        int sum = 0;
        for (int round = 0; round < rounds; round++)
        {
            Group.Barrier();
            int other = tile[(t + 5) % 32];
            Group.Barrier();
            tile[t] = other * 3 + round;
            sum += tile[t];
        }
        y[i] = sum;
    }

    private static bool Same(ArrayView<int> p, ArrayView<int> q) => p.Address == q.Address;

    private struct Holder
    {
        public ArrayView<int> View;
    }

    [Kernel("addresses")]
    private static void Addresses(ArrayView<int> a, ArrayView<int> y, Holder holder)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        ArrayView<int> none = default, nowhere = holder.View;
        int result = Same(a.SubView(0), a.SubView(i & 1)) ? 1 : 0;
        if (a.SubView(i & 2).Address != a.Address) result += 2;
        if (a.Address != 0) result += 4;
        if (nowhere.Address != 0) result += 8;
        if (none.IsValid) result += 16;
        if (a.IsValid) result += 32;
        if (nowhere.IsValid) result += 64;
        y[i] = result;
    }

    [Fact]
    public void ViewsOfOtherTypesSeeTheSameMemory() => KernelRun.SameAsNative(CastViews, Data.Ints(1), new int[Data.Length], new long[Data.Length]);

    [Fact]
    public void LoadsAreRepeatedAfterAtomics() => KernelRun.SameAsNative(AtomicsBetweenLoads, Data.Ints(2), new int[Data.Length], new int[Data.Length]);

    [Fact]
    public void ReferencesToOneLocalAreOne() => KernelRun.SameAsNative(References, Data.Ints(3), Data.Ints(4), new long[Data.Length]);

    [Fact]
    public void PartsOfRegisterArraysAreTheArray() => KernelRun.SameAsNative(RegisterViews, Data.Ints(5), new int[Data.Length]);

    [Fact]
    public void AddressesAreComparedWhenTheyAreKnown() => KernelRun.SameAsNative(Addresses, Data.Ints(6), new int[Data.Length], new Holder { View = default });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    public void SharedMemoryIsReadAnewAfterEveryBarrier(int rounds)
    {
        int[] a = Data.Ints(7, 64), y = new int[64];
        KernelRun.OnEmulator(SharedRounds, new Dim3(2), new Dim3(32), 0, a, y, rounds);
        for (int block = 0; block < 64; block += 32)
        {
            int[] tile = a[block..(block + 32)], sums = new int[32];
            for (int round = 0; round < rounds; round++)
            {
                int[] now = tile;
                tile = [.. Enumerable.Range(0, 32).Select(t => unchecked(now[(t + 5) % 32] * 3 + round))];
                for (int t = 0; t < 32; t++) sums[t] = unchecked(sums[t] + tile[t]);
            }
            Assert.Equal(sums, y[block..(block + 32)]);
        }
    }
}
