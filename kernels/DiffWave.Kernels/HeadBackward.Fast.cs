namespace DiffWave.Kernels;

public static partial class HeadBackward
{
    /// <summary>Rows a thread of version 2 computes.</summary>
    public const int RowsV2 = 8;

    /// <summary>Version 2. Threads: at least (T / 8) (C / 4) along x, the first quotient rounded up; items along z. Addresses of the activations are multiples of 16.</summary>
    /// <param name="hidden">C channels.</param>
    /// <param name="dEps">One channel.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives C channels; may be <paramref name="hidden"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    [Kernel("head_backward_v2", BlockX = Threads)]
    public static void BackwardV2(Rows<float> hidden, Rows<float> dEps, ArrayView<float> weights, Rows<float> dHidden, int rows, [Const] int channels)
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(channels); // because the weights may begin anywhere
        for (int i = Group.IdxX; i < Loop.Rolled(channels); i += Threads) shared[i] = weights[i];
        Group.Barrier();
        int firstRow = Grid.GlobalIndex.X / (channels / 4) * RowsV2, four = Grid.GlobalIndex.X % (channels / 4), item = Grid.IdxZ;
        FourRows source = new(hidden, item), target = new(dHidden, item);
        Float4 w = shared.Cast<Float4>()[four];
        for (int i = 0; i < RowsV2; i++)
        {
            int row = firstRow + i;
            if (row >= rows) return;
            Float4 h = source.At(source.Place(row), four);
            float d = dEps.Row(item, row)[0];
            target.At(target.Place(row), four) = new Float4(h.X > 0 ? d * w.X : 0, h.Y > 0 ? d * w.Y : 0, h.Z > 0 ? d * w.Z : 0, h.W > 0 ? d * w.W : 0);
        }
    }
}
