namespace DiffWave.Kernels;

public static partial class DilatedConv
{
    /// <summary>Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, 2C) along x, B along z. Addresses of all views but the biases' are multiples of 16.</summary>
    /// <param name="x">[B, rows, C], C a multiple of 4.</param>
    /// <param name="stepBias">[B, L, C].</param>
    /// <param name="packed">[3, C, 2C], from <see cref="WeightLayout.ForwardV1"/>.</param>
    /// <param name="bias">[2C].</param>
    /// <param name="labelBias">[B, L, 2C]; not read without <paramref name="hasLabel"/>.</param>
    /// <param name="conditioner">[B, rows, 2C], a ring; not read without <paramref name="hasConditioner"/>.</param>
    /// <param name="h">Receives [B, rows, 2C].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="before">Rows of x that exist before its first one.</param>
    /// <param name="after">Rows of x that exist behind the last of the <paramref name="rows"/>.</param>
    /// <param name="dilation">d.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="hasLabel">Whether there is a label bias.</param>
    /// <param name="hasConditioner">Whether there is a conditioner.</param>
    [Kernel("dilated_conv_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void ForwardV2(Rows<float> x, ArrayView<float> stepBias, ArrayView<float> packed, ArrayView<float> bias, ArrayView<float> labelBias, Rows<float> conditioner, Rows<float> h,
        int rows, int before, int after, int dilation, int layer, int layers, [Const] bool hasLabel, [Const] bool hasConditioner)
    {
        int item = Grid.IdxZ, channels = x.Channels, outputs = h.Channels;
        long itemLayer = (long)item * layers + layer;
        var product = new Product
        {
            X = new(x, item), Step = Fours.Of(stepBias.SubView(itemLayer * channels)), Bias = bias, H = new(h, item), First = -before, End = rows + after, Dilation = dilation,
            HasLabel = hasLabel, HasConditioner = hasConditioner,
        };
        if (hasLabel) product.Label = labelBias.SubView(itemLayer * outputs);
        if (hasConditioner) product.Conditioner = new(conditioner, item);
        RowProduct.Run(product, packed, outputs, rows, Taps, channels, outputs);
    }

    private struct Product : IRowProduct
    {
        public FourRows X, H, Conditioner;
        public ArrayView<Float4> Step;
        public ArrayView<float> Bias, Label;
        public int First, End, Dilation;
        public bool HasLabel, HasConditioner;

        public readonly int Place(int row, int tap)
        {
            int at = row + (tap - 1) * Dilation;
            return at >= First && at < End ? X.Place(at) : -1;
        }

        public readonly Float4 Load(int tap, int place, int four) => X.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => Fours.Sum(loaded, Step[four]);

        public readonly float Start(int output) => HasLabel ? Bias[output] + Label[output] : Bias[output];

        public readonly void Finish(int row, int four, Float4 sums)
        {
            if (HasConditioner) sums = Fours.Sum(sums, Conditioner.At(Conditioner.RingPlace(row), four));
            H.At(H.Place(row), four) = sums;
        }
    }
}
