namespace DiffWave.Cpu;

/// <summary>
/// Sums over all rows of a signal in two stages: fixed slices of rows sum on their own, side by side, then the slices' sums are added in order. The result does not depend on
/// the number of threads.
/// </summary>
internal static unsafe class SliceSums<S, V> where S : struct, ISimd<V> where V : struct
{
    /// <summary>Rows of a slice.</summary>
    public const int SliceRows = 512;

    /// <summary>Slices of a signal.</summary>
    public static int Slices(int rows) => (rows + SliceRows - 1) / SliceRows;

    /// <summary>Columns of a sum of products: the outputs, rounded up to two vectors.</summary>
    public static int Columns(int outputs) => (outputs + 2 * S.Width - 1) / (2 * S.Width) * 2 * S.Width;

    /// <summary>Rows of a sum of products: the inputs, rounded up to the eight the kernel takes.</summary>
    public static int Inputs(int inputs) => (inputs + Gemm.Rows - 1) / Gemm.Rows * Gemm.Rows;

    /// <summary>sum[i, o] += sum over rows of a[row, i] b[row, o].</summary>
    public static void AddProducts(float* a, nint aStride, int inputs, float* b, nint bStride, int outputs, int rows, float* sum)
    {
        int columns = Columns(outputs);
        for (int o = 0; o < columns; o += 2 * S.Width)
            for (int i = 0; i < inputs; i += Gemm.Rows)
                Gemm.Outer<S, V>(a + i, aStride, b + o, bStride, rows, sum + i * columns + o, columns);
    }

    /// <summary>sum[c] += sum over rows of a[row, c].</summary>
    public static void AddRows(float* a, nint stride, int rows, int channels, float* sum)
    {
        for (int c = 0; c < channels; c += S.Width)
        {
            V total = S.Load(sum + c);
            for (int row = 0; row < rows; row++) total = S.Add(total, S.Load(a + row * stride + c));
            S.Store(sum + c, total);
        }
    }

    /// <summary>The second stage: total[0..count) = the sums of all slices, added in order; <paramref name="count"/> is a multiple of the vector width.</summary>
    public static void Total(float* sums, nint sliceStride, int slices, int count, float* total)
    {
        for (int c = 0; c < count; c += S.Width)
        {
            V value = S.Load(sums + c);
            for (int slice = 1; slice < slices; slice++) value = S.Add(value, S.Load(sums + slice * sliceStride + c));
            S.Store(total + c, value);
        }
    }
}
