namespace DiffWave.Kernels;

public static partial class ResidualOutput
{
    /// <summary>
    /// Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, 2C), for the last layer of (rows, C), along x, B along z. Addresses of all
    /// views but the bias's are multiples of 16.
    /// </summary>
    /// <param name="x">[B, rows, C], input of the layer, C a multiple of 4; not read for the last layer.</param>
    /// <param name="gated">[B, rows, C].</param>
    /// <param name="stepBias">[B, L, C]; not read without <paramref name="includesStep"/>.</param>
    /// <param name="packed">[C, 2C], from <see cref="WeightLayout.ForwardV1"/>.</param>
    /// <param name="bias">[2C].</param>
    /// <param name="y">Receives [B, rows, C]; not touched for the last layer. May be <paramref name="x"/>.</param>
    /// <param name="skips">[B, rows, C], added to; for layer 0 set.</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="includesStep">Whether the residual path carries x + step.</param>
    [Kernel("residual_output_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void ForwardV2(Rows<float> x, Rows<float> gated, ArrayView<float> stepBias, ArrayView<float> packed, ArrayView<float> bias, Rows<float> y, Rows<float> skips, int rows, int layer, int layers,
        [Const] bool includesStep)
    {
        int item = Grid.IdxZ, channels = gated.Channels, firstOutput = layer == layers - 1 ? channels : 0;
        var product = new Product
        {
            X = new(x, item), Gated = new(gated, item), Y = new(y, item), Skips = new(skips, item), Bias = bias, FirstFour = firstOutput / 4, ResidualFours = channels / 4,
            Starts = layer == 0, IncludesStep = includesStep,
        };
        if (includesStep) product.Step = Fours.Of(stepBias.SubView(((long)item * layers + layer) * channels));
        RowProduct.Run(product, packed.SubView(firstOutput), 2 * channels, rows, 1, channels, 2 * channels - firstOutput);
    }

    // Outputs are counted from the first that is computed.
    private struct Product : IRowProduct
    {
        public FourRows X, Gated, Y, Skips;
        public ArrayView<Float4> Step;
        public ArrayView<float> Bias;
        public int FirstFour, ResidualFours;
        public bool Starts, IncludesStep;

        public readonly int Place(int row, int tap) => Gated.Place(row);

        public readonly Float4 Load(int tap, int place, int four) => Gated.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => loaded;

        public readonly float Start(int output) => Bias[4 * FirstFour + output];

        public readonly void Finish(int row, int four, Float4 sums)
        {
            int skipFour = FirstFour + four - ResidualFours;
            if (skipFour < 0)
            {
                Float4 value = X.At(X.Place(row), four);
                if (IncludesStep) value = Fours.Sum(value, Step[four]);
                Y.At(Y.Place(row), four) = Fours.Scaled(Fours.Sum(value, sums), RootHalf);
            }
            else
            {
                ref Float4 skips = ref Skips.At(Skips.Place(row), skipFour);
                skips = Starts ? sums : Fours.Sum(skips, sums);
            }
        }
    }
}
