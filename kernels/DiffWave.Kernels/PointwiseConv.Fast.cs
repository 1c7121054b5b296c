namespace DiffWave.Kernels;

public static partial class PointwiseConv
{
    /// <summary>Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, O) along x, B along z. Addresses of all views but the bias's are multiples of 16.</summary>
    /// <param name="x">[B, rows, I], I a multiple of 4.</param>
    /// <param name="packed">[I, O], from <see cref="WeightLayout.ForwardV1"/>.</param>
    /// <param name="bias">[O].</param>
    /// <param name="y">Receives [B, rows, O], O a multiple of 4; a ring: rows past the end of an item continue at its start.</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="scale">s.</param>
    /// <param name="relu">Whether negative results become 0.</param>
    [Kernel("pointwise_conv_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void ForwardV2(Rows<float> x, ArrayView<float> packed, ArrayView<float> bias, Rows<float> y, int rows, float scale, [Const] bool relu)
    {
        var product = new Product { X = new(x, Grid.IdxZ), Y = new(y, Grid.IdxZ), Bias = bias, Scale = scale, Relu = relu };
        RowProduct.Run(product, packed, y.Channels, rows, 1, x.Channels, y.Channels);
    }

    private struct Product : IRowProduct
    {
        public FourRows X, Y;
        public ArrayView<float> Bias;
        public float Scale;
        public bool Relu;

        public readonly int Place(int row, int tap) => X.Place(row);

        public readonly Float4 Load(int tap, int place, int four) => X.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => Fours.Scaled(loaded, Scale);

        public readonly float Start(int output) => Bias[output];

        public readonly void Finish(int row, int four, Float4 sums)
        {
            if (Relu) sums = new Float4(XMath.Max(0, sums.X), XMath.Max(0, sums.Y), XMath.Max(0, sums.Z), XMath.Max(0, sums.W));
            Y.At(Y.RingPlace(row), four) = sums;
        }
    }
}
