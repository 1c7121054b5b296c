using System.Numerics;
using System.Runtime.Intrinsics;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>What the CPU backend's operations are made of, with the widest vectors this machine has, on data that stays in the first caches.</summary>
internal static unsafe class CpuPieces
{
    /// <summary>Rows of a call.</summary>
    public const int Rows = 32;

    /// <summary>Columns of a weight panel: two vectors.</summary>
    public static int PanelColumns => 2 * CpuDevice.BestLevel switch { SimdLevel.Avx512 => Simd512.Width, SimdLevel.Avx2 => Simd256.Width, _ => SimdPortable.Width };

    /// <summary>The product of <see cref="Rows"/> rows of so many inputs and a panel of weights.</summary>
    public static MicroCall Panel(int depth) => CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => Panel<Simd512, Vector512<float>>(depth), SimdLevel.Avx2 => Panel<Simd256, Vector256<float>>(depth), _ => Panel<SimdPortable, Vector<float>>(depth),
    };

    /// <summary>The sum over rows of the products of eight columns and a panel's columns.</summary>
    public static MicroCall Outer(int rows) => CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => Outer<Simd512, Vector512<float>>(rows), SimdLevel.Avx2 => Outer<Simd256, Vector256<float>>(rows), _ => Outer<SimdPortable, Vector<float>>(rows),
    };

    /// <summary>tanh(filter) sigmoid(gate) of <see cref="Rows"/> rows.</summary>
    public static MicroCall Gates(int channels) => CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => Gates<Simd512, Vector512<float>>(channels), SimdLevel.Avx2 => Gates<Simd256, Vector256<float>>(channels), _ => Gates<SimdPortable, Vector<float>>(channels),
    };

    /// <summary>Minimal filtering's transform of the inputs of <see cref="Rows"/> outputs.</summary>
    public static MicroCall FilterInput(int channels) => CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => FilterInput<Simd512, Vector512<float>>(channels), SimdLevel.Avx2 => FilterInput<Simd256, Vector256<float>>(channels), _ => FilterInput<SimdPortable, Vector<float>>(channels),
    };

    /// <summary>Minimal filtering's transform back to <see cref="Rows"/> outputs.</summary>
    public static MicroCall FilterOutput(int channels) => CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => FilterOutput<Simd512, Vector512<float>>(channels), SimdLevel.Avx2 => FilterOutput<Simd256, Vector256<float>>(channels), _ => FilterOutput<SimdPortable, Vector<float>>(channels),
    };

    private static MicroCall Panel<S, V>(int depth) where S : struct, ISimd<V> where V : struct
    {
        Floats a = new(Rows * depth), panel = new(depth * 2 * S.Width), bias = new(2 * S.Width), o = new(Rows * 2 * S.Width);
        return new MicroCall(() =>
        {
            for (int row = 0; row < Rows; row += Gemm.Rows) Gemm.Panel<S, V>(a.At + row * depth, depth, panel.At, depth, bias.At, o.At + row * 2 * S.Width, 2 * S.Width);
        }, a, panel, bias, o);
    }

    private static MicroCall Outer<S, V>(int rows) where S : struct, ISimd<V> where V : struct
    {
        Floats a = new(rows * 8), b = new(rows * 2 * S.Width), sums = new(8 * 2 * S.Width), zero = new(8 * 2 * S.Width, isZero: true);
        return new MicroCall(() =>
        {
            zero.Span.CopyTo(sums.Span); // or they grow for ever
            Gemm.Outer<S, V>(a.At, 8, b.At, 2 * S.Width, rows, sums.At, 2 * S.Width);
        }, a, b, sums, zero);
    }

    private static MicroCall Gates<S, V>(int channels) where S : struct, ISimd<V> where V : struct
    {
        Floats filter = new(Rows * channels), gate = new(Rows * channels), z = new(Rows * channels);
        return new MicroCall(() =>
        {
            for (int i = 0; i < Rows * channels; i += S.Width) S.Store(z.At + i, Gate.TanhSigmoid<S, V>(S.Load(filter.At + i), S.Load(gate.At + i)));
        }, filter, gate, z);
    }

    private static MicroCall FilterInput<S, V>(int channels) where S : struct, ISimd<V> where V : struct
    {
        Floats x = new((Rows + MinimalFilter.Points) * channels), v = new(Rows / MinimalFilter.Outputs * MinimalFilter.Points * channels);
        return new MicroCall(() =>
        {
            for (int tile = 0; tile < Rows / MinimalFilter.Outputs; tile++)
                for (int c = 0; c < channels; c += S.Width)
                {
                    float* from = x.At + tile * MinimalFilter.Outputs * channels + c;
                    MinimalFilter.TransformInput<S, V>(S.Load(from), S.Load(from + channels), S.Load(from + 2 * channels), S.Load(from + 3 * channels), S.Load(from + 4 * channels), S.Load(from + 5 * channels),
                        v.At + tile * MinimalFilter.Points * channels + c, channels);
                }
        }, x, v);
    }

    private static MicroCall FilterOutput<S, V>(int channels) where S : struct, ISimd<V> where V : struct
    {
        Floats m = new(Rows / MinimalFilter.Outputs * MinimalFilter.Points * channels), y = new(Rows * channels);
        return new MicroCall(() =>
        {
            for (int tile = 0; tile < Rows / MinimalFilter.Outputs; tile++)
                for (int c = 0; c < channels; c += S.Width)
                {
                    MinimalFilter.TransformOutput<S, V>(m.At + tile * MinimalFilter.Points * channels + c, channels, S.Zero, S.Zero, S.Zero, S.Zero, out V y0, out V y1, out V y2, out V y3);
                    float* to = y.At + tile * MinimalFilter.Outputs * channels + c;
                    S.Store(to, y0);
                    S.Store(to + channels, y1);
                    S.Store(to + 2 * channels, y2);
                    S.Store(to + 3 * channels, y3);
                }
        }, m, y);
    }

    // Aligned memory with normals, or nothing, in it.
    private sealed class Floats : IDisposable
    {
        private readonly int _length;

        public Floats(int length, bool isZero = false)
        {
            _length = length;
            At = CpuBuffer.AllocateFloats(length); // zeros
            if (!isZero) PhiloxNoise.Fill(1, 1, 0, 0, Span);
        }

        public float* At { get; }

        public Span<float> Span => new(At, _length);

        public void Dispose() => System.Runtime.InteropServices.NativeMemory.AlignedFree(At);
    }
}
