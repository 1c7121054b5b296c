using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Emulator.Checks;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>Kernels another compiler made of CUDA C, against their formulas in float64.</summary>
public sealed class CompiledKernelTests : IDisposable
{
    private readonly EmulatedDriver driver = new(new EmulatorOptions { MemoryBytes = 1 << 26 });

    public void Dispose() => driver.Dispose();

    [Fact]
    public void Matrix_product_in_shared_tiles()
    {
        const int N = 48;
        float[] a = Numbers(N * N, 1), b = Numbers(N * N, 2);
        ulong pc = driver.Allocate(4 * N * N);
        Run("matmul", "matmul", new Dim3(3, 3), new Dim3(16, 16), 0, Upload(a), Upload(b), pc, N);
        float[] c = Download<float>(pc, N * N);
        for (int row = 0; row < N; row++)
            for (int column = 0; column < N; column++)
            {
                double sum = 0;
                for (int k = 0; k < N; k++) sum += (double)a[row * N + k] * b[k * N + column];
                Assert.Equal(sum, c[row * N + column], N * Math.ScaleB(1, -24) * N);
            }
    }

    [Fact]
    public void Softmax_with_shuffles()
    {
        const int Rows = 3, Columns = 700;
        float[] x = Numbers(Rows * Columns, 3);
        ulong py = driver.Allocate(4 * Rows * Columns);
        Run("softmax", "softmax", new Dim3(Rows), new Dim3(256), 0, Upload(x), py, Columns);
        float[] y = Download<float>(py, Rows * Columns);
        for (int row = 0; row < Rows; row++)
        {
            double sum = 0;
            for (int i = 0; i < Columns; i++) sum += Math.Exp(x[row * Columns + i]);
            for (int i = 0; i < Columns; i++)
            {
                double expected = Math.Exp(x[row * Columns + i]) / sum;
                Assert.Equal(expected, y[row * Columns + i], 1e-5 * expected);
            }
        }
    }

    [Fact]
    public void Sums_and_votes_over_blocks_with_atomic_additions()
    {
        const int N = 10_000;
        float[] x = Numbers(N, 4);
        ulong sum = Upload(0f), count = Upload(0u);
        Run("softmax", "total", new Dim3(5), new Dim3(256), 0, Upload(x), sum, count, (long)N);
        Assert.Equal(x.Sum(value => (double)value), Download<float>(sum, 1)[0], 1e-2);
        // The kernel counts the threads whose own sum is above 0.
        int above = Enumerable.Range(0, 1280).Count(thread => Enumerable.Range(0, (N - thread + 1279) / 1280).Sum(i => x[thread + 1280 * i]) > 0);
        Assert.Equal((uint)above, Download<uint>(count, 1)[0]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void A_switch_in_double_precision_with_a_struct_parameter(int kind)
    {
        const int N = 200, Stride = 13;
        double[] x = [.. Numbers(Stride, 5).Select(value => Math.Abs((double)value) + 0.5)], table = [1, 2, 4, 8, 0.5, 0.25, -1, 3];
        ulong py = driver.Allocate(8 * N);
        byte[] plan = new byte[32];
        BitConverter.TryWriteBytes(plan, (long)Stride);
        BitConverter.TryWriteBytes(plan.AsSpan(8), 1.5f);
        BitConverter.TryWriteBytes(plan.AsSpan(12), kind);
        BitConverter.TryWriteBytes(plan.AsSpan(16), 3.0);
        BitConverter.TryWriteBytes(plan.AsSpan(24), -0.25);
        Run("mixed", "mixed", new Dim3(2), new Dim3(128), 0, plan, Upload(x), py, (ulong)N);
        double[] expected = [.. Enumerable.Range(0, N).Select(i => x[i % Stride] is var v && kind switch
        {
            0 => v * 1.5,
            1 => v / 3.0 - 0.25,
            2 => Math.Sqrt(v) + table[i & 7],
            3 => i / Stride,
            4 => Math.FusedMultiplyAdd(v, v, i / 7),
            5 => Math.Round(v) + Math.Floor(v),
            _ => -v,
        } is var result ? result : 0)];
        Assert.Equal(expected, Download<double>(py, N));
    }

    [Fact]
    public void A_histogram_with_shared_atomics_and_a_local_array()
    {
        byte[] text = [.. Numbers(3000, 6).Select(value => (byte)(value * 100))];
        ulong place = Upload(text), counts = driver.Allocate(4 * 256);
        Run("mixed", "histogram", new Dim3(1), new Dim3(64), 0, place, counts, text.Length);
        uint[] result = Download<uint>(counts, 256);
        // Each entry also holds what its thread counted in its local array, and the largest index an earlier thread left in one of four counters; the first warp runs before the second.
        int[] largest = [7, 8, 9, 10];
        for (int warp = 0; warp < 2; warp++)
        {
            for (int i = 0; i < 128; i++)
            {
                int thread = warp * 32 + i % 32, bin = i / 32 * 64 + thread;
                int own = (bin & 7) + Enumerable.Range(0, (text.Length - thread + 63) / 64).Count(j => (text[thread + 64 * j] & 7) == (bin & 7));
                Assert.Equal(text.Count(value => value == bin) + own + largest[bin & 3], (int)result[bin]);
                largest[bin & 3] = Math.Max(largest[bin & 3], bin);
            }
        }
    }

    [Fact]
    public void Packed_halves_and_bfloats()
    {
        const int N = 300;
        ushort[] x = [.. Numbers(N, 7).Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))];
        ulong py = driver.Allocate(2 * N);
        Run("half", "bfloat_scale", new Dim3(3), new Dim3(128), 0, Upload(x), py, 0.5f, N);
        Assert.Equal(x.Select(value => Widen(value) * 0.5f), Download<ushort>(py, N).Select(Widen));

        Half[] u = [.. Numbers(64, 8).Select(value => (Half)value)], w = [.. Numbers(64, 9).Select(value => (Half)value)];
        ulong dot = driver.Allocate(4);
        Run("half", "half_dot", new Dim3(1), new Dim3(32), 0, Upload(u), Upload(w), dot, 64);
        Assert.Equal(u.Zip(w, (a, b) => (double)a * (double)b).Sum(), Download<float>(dot, 1)[0], 1e-5);
    }

    [Fact]
    public void Tensor_cores_fed_by_asynchronous_copies_and_ldmatrix()
    {
        const int K = 32;
        ushort[] a = [.. Numbers(16 * K, 10).Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))], b = [.. Numbers(8 * K, 11).Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))];
        ulong pc = driver.Allocate(4 * 16 * 8), pa = Upload(a), pb = Upload(b);

        // As written the kernel waits for all groups but the last, and so reads tiles still on their way.
        var early = Assert.Throws<EmulatorException>(() => Run("pipeline", "tensor", new Dim3(1), new Dim3(32), 1536, pa, pb, pc, K));
        Assert.Equal(FindingKind.AsyncCopyPending, early.Finding.Kind);

        Run("pipeline", "tensor", new Dim3(1), new Dim3(32), 1536, ptx => ptx.Replace("cp.async.wait_group 1", "cp.async.wait_group 0"), pa, pb, pc, K);
        float[] c = Download<float>(pc, 128);
        for (int row = 0; row < 16; row++)
            for (int column = 0; column < 8; column++)
            {
                double sum = 0;
                for (int k = 0; k < K; k++) sum += (double)Widen(a[row * K + k]) * Widen(b[column * K + k]);
                Assert.Equal(sum, c[row * 8 + column], 1e-5);
            }
    }

    private static float Widen(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    private static float[] Numbers(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(2 * random.NextDouble() - 1))];
    }

    private void Run(string module, string entry, Dim3 grid, Dim3 block, int shared, params object[] arguments) => Run(module, entry, grid, block, shared, ptx => ptx, arguments);

    private void Run(string module, string entry, Dim3 grid, Dim3 block, int shared, Func<string, string> edit, params object[] arguments)
    {
        string ptx = edit(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "ptx", module + ".ptx")));
        nint function = driver.GetFunction(driver.LoadModule(ptx), entry);
        byte[] packed = arguments[0] is byte[] plan ? [.. plan, .. Kernel.Pack(arguments[1..])] : Kernel.Pack(arguments);
        driver.Launch(function, grid, block, shared, 0, packed);
    }

    private ulong Upload<T>(params T[] values) where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes<T>(values);
        ulong place = driver.Allocate(bytes.Length);
        driver.CopyToDevice(place, bytes);
        return place;
    }

    private T[] Download<T>(ulong place, int count) where T : unmanaged
    {
        var values = new T[count];
        driver.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), place);
        return values;
    }
}
