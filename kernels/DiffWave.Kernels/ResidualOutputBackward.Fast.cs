namespace DiffWave.Kernels;

public static partial class ResidualOutputBackward
{
    /// <summary>Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, C) along x, B along z. Addresses of all views are multiples of 16.</summary>
    /// <param name="packed">[2C, C], from <see cref="WeightLayout.BackwardV1"/>, which leaves the order of a matrix but not its address; C is a multiple of 4.</param>
    /// <param name="dY">Gradient of y; not read without <paramref name="hasY"/>.</param>
    /// <param name="dSkips">Gradient of the skip.</param>
    /// <param name="dZ">Receives the gradient of z.</param>
    /// <param name="rows">T.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    [Kernel("residual_output_backward_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void BackwardV2(ArrayView<float> packed, Rows<float> dY, Rows<float> dSkips, Rows<float> dZ, int rows, [Const] bool hasY)
    {
        int item = Grid.IdxZ, channels = dZ.Channels;
        var product = new Product { DSkips = new(dSkips, item), DZ = new(dZ, item), HasY = hasY };
        if (hasY) product.DY = new(dY, item);
        RowProduct.Run(product, hasY ? packed : packed.SubView(channels * channels), channels, rows, hasY ? 2 : 1, channels, channels);
    }

    // A tap is one of the two gradients.
    private struct Product : IRowProduct
    {
        public FourRows DY, DSkips, DZ;
        public bool HasY;

        public readonly int Place(int row, int tap) => HasY && tap == 0 ? DY.Place(row) : DSkips.Place(row);

        public readonly Float4 Load(int tap, int place, int four) => HasY && tap == 0 ? DY.At(place, four) : DSkips.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => HasY && tap == 0 ? Fours.Scaled(loaded, RootHalf) : loaded;

        public readonly float Start(int output) => 0;

        public readonly void Finish(int row, int four, Float4 sums) => DZ.At(DZ.Place(row), four) = sums;
    }
}
