using System.Numerics;
using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Compiler.Tests;

/// <summary>Kernels that use each part of the language, run as ordinary C# and as PTX on the emulator: every bit must agree.</summary>
public sealed unsafe class CompilerSmokeTests
{
    private const int Threads = 64, Elements = 256;

    public struct Weighted
    {
        public byte Kind;
        public float Weight;
        public long Count;

        public readonly float Value => Weight * Kind;

        public void Add(float value)
        {
            Weight += value;
            Count++;
        }
    }

    private interface ITile
    {
        static abstract int Rows { get; }

        static abstract float Apply(float x);
    }

    private readonly struct Doubled : ITile
    {
        public static int Rows => 4;

        public static float Apply(float x) => x + x;
    }

    private static (int Quotient, int Remainder) Divide(int a, int b) => (a / b, a % b);

    private static void Swap(ref int a, ref int b) => (a, b) = (b, a);

    [Kernel("integers", Contract = false)]
    private static void Integers(ArrayView<int> x, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X, a = x[i], b = x[i + 1];
        uint u = (uint)a, v = (uint)b;
        long wide = (long)a * b;
        int result = a + b * 3 - (a ^ b) + (a & ~b) + (a | 5);
        result += (a << (b & 63)) + (a >> (i + 30)) + (int)(u >> 3) + (int)(u << i);
        result += a / 8 + a % 8 + a / -8 + (int)(u / 16) + (int)(u % 10) + a / 7 + a % 7;
        if (b != 0) result += a / b + a % b + (int)(u / v);
        result += (int)(wide >> 7) + (int)((ulong)u * v >> 32) + (int)(wide / 1000) + (sbyte)a + (byte)b + (short)a + (ushort)b;
        result += Math.Min(a, b) - Math.Max(a, 7) + (int)Math.Max(u, v) + Math.Clamp(a, -5, 5) + BitOperations.PopCount(u) + BitOperations.LeadingZeroCount(v) + BitOperations.TrailingZeroCount(u);
        result += (int)BitOperations.RotateLeft(u, b) + (u > v ? 1 : 2) + (a > b ? 4 : 8) + (u <= 100 ? 16 : 32);
        var (q, r) = Divide(a, 13);
        Swap(ref q, ref r);
        y[i] = result + q * 3 + r;
    }

    [Kernel("floats", Contract = false)]
    private static void Floats(ArrayView<float> x, ArrayView<float> y, float scale)
    {
        int i = Grid.GlobalIndex.X;
        float a = x[i], b = x[i + 1], c = a * b + scale - a / (b + 100);
        c += MathF.Sqrt(MathF.Abs(a)) + MathF.Floor(b) + MathF.Ceiling(a) + MathF.Round(b) + MathF.Truncate(a) + MathF.FusedMultiplyAdd(a, b, c) + MathF.CopySign(a, b);
        c += MathF.Max(a, b) - MathF.Min(a, b);
        if (a < b) c += 1;
        if (!(a < b)) c += 2;
        if (a >= b) c += 4;
        if (a == b || float.IsNaN(a)) c += 8;
        int whole = (int)(a * 1e9f);
        double d = (double)a * b;
        c += whole + (uint)(b * 10) + (float)d + (float)(long)(d * 1e6) + (byte)(a * 3) + (float)(Half)a + (float)((Half)a * (Half)b);
        c += BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(a) ^ 1);
        y[i] = c;
    }

    [Kernel("control", Contract = false)]
    private static void Control(ArrayView<int> x, ArrayView<int> y, int n)
    {
        int i = Grid.GlobalIndex.X, sum = 0;
        for (int k = i; k < n && x[k] > -500; k++)
        {
            if (x[k] % 3 == 0) continue;
            if (x[k] == 77) break;
            int j = k;
            while (true)
            {
                sum += j;
                if (sum % 5 == 0) break;
                if (++j > k + 7) goto next;
            }
            sum ^= 0x55;
        next:
            sum++;
        }
        switch (sum & 7)
        {
            case 0: sum = 5; break;
            case 1: sum *= 7; break;
            case 2 or 3: sum = -sum; break;
            case 5: y[i] = 9; return;
            default: sum--; break;
        }
        bool positive = sum > 0 && n > 3 || x[i] == 2;
        int previous = 1, current = 1;
        for (int k = 0; k < (sum & 15); k++) (previous, current) = (current, previous + current);
        y[i] = positive ? sum + current : sum - previous;
    }

    [Kernel("structs", Contract = false)]
    private static void Structs<T>(ArrayView<Weighted> x, ArrayView<Float4> y, Weighted extra) where T : struct, ITile
    {
        int i = Grid.GlobalIndex.X;
        var item = x[i];
        item.Add(extra.Value);
        ref var other = ref x[i + Threads];
        other.Weight = T.Apply(item.Weight);
        other.Count += item.Count;
        var rows = LocalMemory.Allocate<float>(T.Rows);
        for (int k = 0; k < T.Rows; k++) rows[k] = item.Value + k;
        for (int k = 0; k < T.Rows; k++)
        {
            if (k == 2) continue;
            rows[k] += rows[(k + 1) % T.Rows];
        }
        y[i] = new Float4(rows[0], rows[1], rows.SubView(2, 2)[0], rows[3] + other.Count);
    }

    [Kernel("accumulate", Contract = false)]
    private static void Accumulate(ArrayView<float> x, ArrayView<float> y, int n)
    {
        int i = Grid.GlobalIndex.X;
        var sums = LocalMemory.Allocate<float>(8);
        for (int k = 0; k < n; k++)
        {
            for (int j = 0; j < 8; j++) sums[j] += x[(i + k + j) % Threads] * j;
        }
        float total = 0;
        for (int j = 0; j < Loop.Rolled(3); j++) total += j;
        for (int j = 0; j < 8; j++) total += sums[j];
        y[i] = total;
    }

    [Kernel("shared_sum", BlockX = Threads)]
    private static void SharedSum(ArrayView<int> x, ArrayView<int> y)
    {
        var shared = SharedMemory.Allocate<int>(Threads);
        shared[Group.IdxX] = x[Grid.GlobalIndex.X];
        Group.Barrier();
        for (int step = Threads / 2; step > 0; step /= 2)
        {
            if (Group.IdxX < step) shared[Group.IdxX] += shared[Group.IdxX + step];
            Group.Barrier();
        }
        if (Group.IdxX == 0) y[Grid.IdxX] = shared[0];
    }

    [Fact]
    public void IntegersAgree() => Agree<int, int>(nameof(Integers), Numbers(), (x, y) => Integers(x, y));

    [Fact]
    public void FloatsAgree() => Agree<float, float>(nameof(Floats), Array.ConvertAll(Numbers(), number => number / 37f), (x, y) => Floats(x, y, 0.3f), 0.3f);

    [Fact]
    public void ControlFlowAgrees() => Agree<int, int>(nameof(Control), Array.ConvertAll(Numbers(), number => number % 600), (x, y) => Control(x, y, Threads), Threads);

    [Fact]
    public void StructsAgree()
    {
        var extra = new Weighted { Kind = 3, Weight = 0.7f, Count = 5 };
        Agree<Weighted, Float4>(nameof(Structs), Array.ConvertAll(Numbers(), number => new Weighted { Kind = (byte)number, Weight = number / 7f, Count = number * 99L }), (x, y) => Structs<Doubled>(x, y, extra), extra);
    }

    [Fact]
    public void RegisterArraysAgree() => Agree<float, float>(nameof(Accumulate), Array.ConvertAll(Numbers(), number => number / 9f), (x, y) => Accumulate(x, y, 11), 11);

    [Fact]
    public void AccumulatorsOfALoopAreWrittenInPlace()
    {
        string ptx = Compile(nameof(Accumulate)).Ptx;
        Assert.DoesNotContain(".local", ptx, StringComparison.Ordinal);
        int start = ptx.IndexOf("L1:", StringComparison.Ordinal), end = ptx.IndexOf("bra L1", StringComparison.Ordinal);
        Assert.DoesNotContain("mov.f32", ptx[start..end], StringComparison.Ordinal);
    }

    [Fact]
    public void BlocksSumInSharedMemory()
    {
        var x = Numbers();
        var result = Emulated<int, int>(Compile(nameof(SharedSum)), x, new int[Elements], []);
        Assert.Equal(x.Take(Threads).Aggregate((a, b) => unchecked(a + b)), result[0]);
    }

    [Fact]
    public void TheSameKernelGivesTheSameText() => Assert.Equal(Compile(nameof(Control)).Ptx, Compile(nameof(Control)).Ptx);

    private static int[] Numbers()
    {
        var random = new Random(5);
        int[] special = [0, 1, -1, int.MaxValue, int.MinValue, 77, 8, -8];
        return [.. Enumerable.Range(0, Elements).Select(i => i % 5 == 4 ? special[i / 5 % special.Length] : random.Next(-2000, 2000) << (i % 3 == 0 ? random.Next(20) : 0))];
    }

    private static CompiledKernel Compile(string name)
    {
        var method = typeof(CompilerSmokeTests).GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!;
        return KernelCompiler.Compile(method.IsGenericMethod ? method.MakeGenericMethod(typeof(Doubled)) : method, new PtxTarget(80));
    }

    private static void Agree<TIn, TOut>(string name, TIn[] input, Action<ArrayView<TIn>, ArrayView<TOut>> run, params object[] scalars) where TIn : unmanaged where TOut : unmanaged
    {
        var (x, expected) = ((TIn[])input.Clone(), new TOut[Elements]);
        fixed (TIn* px = x)
        fixed (TOut* py = expected)
        {
            var (vx, vy) = (new ArrayView<TIn>((nint)px, x.Length), new ArrayView<TOut>((nint)py, expected.Length));
            SequentialLaunch.Run(new Index3D(1, 1, 1), new Index3D(Threads, 1, 1), () => run(vx, vy));
        }
        var actual = Emulated(Compile(name), (TIn[])input.Clone(), new TOut[Elements], scalars);
        // Which NaN it is, is nobody's promise.
        if (expected is float[] p && actual is float[] q) Assert.Equal(Array.ConvertAll(p, Bits), Array.ConvertAll(q, Bits));
        else Assert.Equal(MemoryMarshal.AsBytes(expected.AsSpan()).ToArray(), MemoryMarshal.AsBytes(actual.AsSpan()).ToArray());

        static uint Bits(float value) => float.IsNaN(value) ? 0x7FC00000 : BitConverter.SingleToUInt32Bits(value);
    }

    private static TOut[] Emulated<TIn, TOut>(CompiledKernel kernel, TIn[] input, TOut[] output, object[] scalars) where TIn : unmanaged where TOut : unmanaged
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Sm = 80 });
        var xBytes = MemoryMarshal.AsBytes(input.AsSpan());
        var yBytes = MemoryMarshal.AsBytes(output.AsSpan());
        ulong x = driver.Allocate(xBytes.Length), y = driver.Allocate(yBytes.Length);
        driver.CopyToDevice(x, xBytes);
        driver.CopyToDevice(y, yBytes);
        var arguments = new byte[kernel.ArgumentBytes];
        MemoryMarshal.Write(arguments, new ArrayView<TIn>((nint)x, input.Length));
        MemoryMarshal.Write(arguments.AsSpan(16), new ArrayView<TOut>((nint)y, output.Length));
        for (int i = 0; i < scalars.Length; i++)
        {
            var target = arguments.AsSpan(kernel.Parameters[i + 2].Offset);
            if (scalars[i] is int number) MemoryMarshal.Write(target, number);
            else if (scalars[i] is float real) MemoryMarshal.Write(target, real);
            else MemoryMarshal.Write(target, (Weighted)scalars[i]);
        }
        nint function = driver.GetFunction(driver.LoadModule(kernel.Ptx), kernel.EntryName);
        driver.Launch(function, new Dim3(1), new Dim3(Threads), 0, 0, arguments);
        driver.CopyToHost(yBytes, y);
        return output;
    }
}
