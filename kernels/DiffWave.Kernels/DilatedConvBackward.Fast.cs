namespace DiffWave.Kernels;

public static partial class DilatedConvBackward
{
    /// <summary>Version 2. Blocks of <see cref="RowProduct.Threads"/> threads: <see cref="RowProduct.Blocks"/> of (rows, C) along x, B along z. Addresses of all views are multiples of 16.</summary>
    /// <param name="packed">[3, 2C, C], from <see cref="WeightLayout.BackwardV1"/>; C is a multiple of 4.</param>
    /// <param name="dPreGate">2C channels.</param>
    /// <param name="dY">Gradient of y, C channels; not read without <paramref name="hasY"/>.</param>
    /// <param name="dX">Receives the gradient of x, C channels; may be <paramref name="dY"/>.</param>
    /// <param name="stepPartial">Receives B x tiles x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">d.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    [Kernel("dilated_conv_backward_v2", BlockX = RowProduct.Threads, MinBlocks = RowProduct.MinBlocks)]
    public static void BackwardV2(ArrayView<float> packed, Rows<float> dPreGate, Rows<float> dY, Rows<float> dX, ArrayView<float> stepPartial, int rows, int dilation, [Const] bool hasY, [Const] bool stepInResidual)
    {
        int item = Grid.IdxZ, channels = dX.Channels;
        ArrayView<Float4> steps = SharedMemory.Allocate<Float4>(RowProduct.RowGroups * RowProduct.TileFours); // what the rows of each thread add to the step's gradient
        var product = new Product { DPreGate = new(dPreGate, item), DY = new(dY, item), DX = new(dX, item), Steps = steps, Rows = rows, Dilation = dilation, HasY = hasY, StepInResidual = stepInResidual };
        for (int i = Group.IdxX; i < steps.IntLength; i += RowProduct.Threads) steps[i] = new Float4(0, 0, 0, 0); // a barrier follows in the product
        RowProduct.Run(product, packed, channels, rows, 3, 2 * channels, channels);
        Group.Barrier();
        int tilesAcross = RowProduct.Blocks(1, channels), four = Grid.IdxX % tilesAcross * RowProduct.TileFours + Group.IdxX;
        if (Group.IdxX >= RowProduct.TileFours || four >= channels / 4) return;
        Float4 step = steps[Group.IdxX];
        for (int group = 1; group < RowProduct.RowGroups; group++) step = Fours.Sum(step, steps[group * RowProduct.TileFours + Group.IdxX]);
        Fours.Of(stepPartial)[(item * Tiles(rows) + Grid.IdxX / tilesAcross) * (channels / 4) + four] = step;
    }

    private struct Product : IRowProduct
    {
        public FourRows DPreGate, DY, DX;
        public ArrayView<Float4> Steps;
        public int Rows, Dilation;
        public bool HasY, StepInResidual;

        public readonly int Place(int row, int tap)
        {
            int at = row - (tap - 1) * Dilation;
            return at >= 0 && at < Rows ? DPreGate.Place(at) : -1;
        }

        public readonly Float4 Load(int tap, int place, int four) => DPreGate.At(place, four);

        public readonly Float4 Operand(Float4 loaded, int tap, int four) => loaded;

        public readonly float Start(int output) => 0;

        public readonly void Finish(int row, int four, Float4 sums)
        {
            ref Float4 step = ref Steps[RowProduct.Slot(four)];
            Float4 total = HasY ? Fours.Sum(Fours.Scaled(DY.At(DY.Place(row), four), RootHalf), sums) : sums;
            DX.At(DX.Place(row), four) = total;
            step = Fours.Sum(step, StepInResidual ? total : sums);
        }
    }
}
