namespace DiffWave.Kernels;

public static partial class HeadBackward
{
    /// <summary>Version 2. Threads: at least one four of channels of an item along x; items along z. Addresses of activations are multiples of 16.</summary>
    /// <param name="hidden">C channels, a multiple of 4.</param>
    /// <param name="dEps">One channel.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives C channels; may be <paramref name="hidden"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    [Kernel("head_backward_v2", BlockX = Threads)]
    public static void BackwardV2(Rows hidden, Rows dEps, ArrayView<float> weights, Rows dHidden, int rows, [Const] int channels)
    {
        ArrayView<Float4> factors = SharedMemory.Allocate<Float4>(channels / 4); // weights need not lie at multiples of 16 bytes
        for (int c = Group.IdxX; c < channels; c += Threads) factors.Cast<float>()[c] = weights[c];
        Group.Barrier();
        int row = Grid.GlobalIndex.X / (channels / 4), four = Grid.GlobalIndex.X % (channels / 4), item = Grid.IdxZ;
        if (row >= rows) return;
        FourRows source = new(hidden, item), target = new(dHidden, item);
        Float4 h = source.At(source.Place(row), four), w = factors[four];
        float d = dEps.Row(item, row)[0];
        target.At(target.Place(row), four) = new Float4(h.X > 0 ? d * w.X : 0, h.Y > 0 ? d * w.Y : 0, h.Z > 0 ? d * w.Z : 0, h.W > 0 ? d * w.W : 0);
    }
}
