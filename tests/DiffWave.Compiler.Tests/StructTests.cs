using System.Reflection;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class StructTests
{
    public struct Complex(float re, float im)
    {
        public float Re = re, Im = im;

        public readonly float Size => Re * Re + Im * Im;

        public static Complex operator *(Complex a, Complex b) => new(a.Re * b.Re - a.Im * b.Im, a.Re * b.Im + a.Im * b.Re);

        public static Complex operator +(Complex a, Complex b) => new(a.Re + b.Re, a.Im + b.Im);

        public void Turn() => (Re, Im) = (-Im, Re);

        public readonly Complex With(float im) => this with { Im = im };
    }

    public struct Mixed
    {
        public byte Tag;
        public double Value;
        public short Count;
        public Complex Inner;
        public bool Set;
    }

    public readonly record struct Range(int From, int To)
    {
        public int Length => To - From;
    }

    public interface ITile
    {
        static abstract int Width { get; }

        static abstract float Scale(float x);
    }

    public readonly struct Narrow : ITile
    {
        public static int Width => 2;

        public static float Scale(float x) => x * 0.5f;
    }

    public readonly struct Wide : ITile
    {
        public static int Width => 7;

        public static float Scale(float x) => x + Width;
    }

    [Kernel("structs")]
    internal static void Structs(ArrayView<Complex> a, ArrayView<Complex> y, Complex factor)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var z = a[i];
        int steps = 0;
        for (; steps < 12 && z.Size < 4; steps++)
        {
            z = z * z + factor;
            if (z.Re > 1) z.Turn();
        }
        var copy = z;
        copy.Im += steps;
        y[i] = z.Size > 1 ? copy : z.With(steps);
        y[i].Re += 0.5f;
    }

    [Kernel("struct_layout")]
    internal static void Layout(ArrayView<Mixed> a, ArrayView<Mixed> y, Mixed other, Range range)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        Mixed m = a[i];
        m.Tag += other.Tag;
        m.Value -= other.Value;
        m.Inner.Im = m.Count * other.Inner.Re;
        m.Set = !m.Set ^ other.Set;
        m.Count = (short)range.Length;
        y[i].Tag = m.Tag;
        y[i].Value = m.Value;
        y[i].Count = m.Count;
        y[i].Inner = m.Inner;
        y[i].Set = m.Set;
    }

    [Kernel("references")]
    internal static void References(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], q = i;
        Swap(ref p, ref q);
        Bump(ref y[i], p);
        ref int cell = ref y[i];
        cell += q;
        var z = new Complex(p, q);
        Bump(ref z);
        ref readonly int input = ref a[i];
        Split(input, out int low, out int high);
        y[i] += low * 3 + high + (int)z.Re;
    }

    private static void Swap(ref int a, ref int b) => (a, b) = (b, a);

    private static void Bump(ref int x, int by) => x = by * 2 + 1;

    private static void Bump(ref Complex z) => z.Re = z.Im > 0 ? 1 : z.Re < 0 ? 2 : 3;

    private static void Split(in int x, out int low, out int high)
    {
        low = x & 0xFFFF;
        high = x >> 16;
    }

    [Kernel("generics")]
    internal static void Generics<TTile, T>(ArrayView<T> a, ArrayView<T> y, ArrayView<float> z) where TTile : struct, ITile where T : unmanaged
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        y[i] = Pick<T>.Second(a[i], a[a.IntLength - 1 - i], TTile.Width > 4);
        float sum = 0;
        for (int k = 0; k < TTile.Width; k++) sum += TTile.Scale(i + k);
        z[i] = typeof(TTile) == typeof(Wide) ? sum : -sum;
    }

    private static class Pick<T>
    {
        public static T Second(T a, T b, bool second) => second ? b : a;
    }

    [Kernel("tuples")]
    internal static void Tuples(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        var (quotient, rest) = Divide(a[i], 10);
        (int First, int Second) pair = (rest, quotient);
        if (rest < 0) pair = (quotient, 5);
        Index3D index = new(i, quotient, rest);
        y[i] = pair.First * 3 + pair.Second + index.Size + new Range(rest, quotient).Length;
    }

    private static (int Quotient, int Remainder) Divide(int x, int by) => (x / by, x % by);

    [Fact]
    public void MethodsAndOperatorsOfStructsWork()
    {
        Complex[] a = [.. Data.Floats(1).Select((x, i) => new Complex(float.IsFinite(x) ? x % 2 : 0.3f, i * 0.02f))];
        KernelRun.SameAsNative(Structs, a, new Complex[Data.Length], new Complex(-0.4f, 0.6f));
    }

    [Fact]
    public void FieldsLieWhereCSharpPutsThem()
    {
        Mixed[] a = [.. Data.Range(2, 0, 1000).Select((x, i) => new Mixed { Tag = (byte)x, Value = x * 0.1, Count = (short)-x, Inner = new Complex(x, i), Set = x % 3 == 0 })];
        KernelRun.SameAsNative(Layout, a, new Mixed[Data.Length], new Mixed { Tag = 250, Value = 3.5, Count = 2, Inner = new Complex(1.5f, 9), Set = true }, new Range(-5, 900));
    }

    [Fact]
    public void ReferencesReachLocalsAndMemory() => KernelRun.SameAsNative(References, Data.Ints(3), new int[Data.Length]);

    [Fact]
    public void TypeArgumentsGiveConstantsAndMethods()
    {
        var method = typeof(StructTests).GetMethod(nameof(Generics), BindingFlags.NonPublic | BindingFlags.Static)!;
        KernelRun.SameAsNative(method.MakeGenericMethod(typeof(Narrow), typeof(int)), Data.Ints(4), new int[Data.Length], new float[Data.Length]);
        KernelRun.SameAsNative(method.MakeGenericMethod(typeof(Wide), typeof(double)), Data.Doubles(5).Select(x => double.IsNaN(x) ? 1 : x).ToArray(), new double[Data.Length], new float[Data.Length]);
        KernelRun.SameAsNative(method.MakeGenericMethod(typeof(Wide), typeof(Float4)), Data.Ints(6).Select(x => new Float4(x, 1, 2, x * 0.5f)).ToArray(), new Float4[Data.Length], new float[Data.Length]);
    }

    [Fact]
    public void TuplesComeApart() => KernelRun.SameAsNative(Tuples, Data.Ints(7), new int[Data.Length]);
}
