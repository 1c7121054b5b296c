namespace DiffWave.Kernels;

public static partial class PointwiseConvBackward
{
    /// <summary>Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, I) along x, B along z. Addresses of all views are multiples of 16.</summary>
    /// <param name="packed">[O, I], from <see cref="WeightLayout.BackwardV1"/>, which leaves the order of a matrix but not its address; O and I are multiples of 4.</param>
    /// <param name="dY">Gradient of the result, O channels.</param>
    /// <param name="dX">Receives the gradient of the input, I channels.</param>
    /// <param name="rows">T.</param>
    /// <param name="scale">Factor of the product.</param>
    /// <param name="accumulate">Whether to add to what dX holds.</param>
    [Kernel("pointwise_conv_backward_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void BackwardV2(ArrayView<float> packed, Rows<float> dY, Rows<float> dX, int rows, float scale, [Const] bool accumulate)
    {
        var product = new Product { DY = new(dY, Grid.IdxZ), DX = new(dX, Grid.IdxZ), Scale = scale, Accumulate = accumulate };
        RowProduct.Run(product, packed, dX.Channels, rows, 1, dY.Channels, dX.Channels);
    }

    private struct Product : IRowProduct
    {
        public FourRows DY, DX;
        public float Scale;
        public bool Accumulate;

        public readonly int Place(int row, int tap) => DY.Place(row);

        public readonly Float4 Load(int tap, int place, int four) => DY.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => loaded;

        public readonly float Start(int output) => 0;

        public readonly void Finish(int row, int four, Float4 sums)
        {
            ref Float4 dX = ref DX.At(DX.Place(row), four);
            sums = Fours.Scaled(sums, Scale);
            dX = Accumulate ? Fours.Sum(dX, sums) : sums;
        }
    }
}
