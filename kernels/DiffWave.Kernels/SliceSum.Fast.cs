namespace DiffWave.Kernels;

public static partial class SliceSum
{
    /// <summary>Threads of a block of version 2.</summary>
    public const int ThreadsV2 = 128;

    private const int AheadV2 = 16;

    /// <summary>Version 2, the same bits as version 1. Threads: at least one a value along x; groups along z.</summary>
    /// <param name="partial">groups x slices x values.</param>
    /// <param name="target">A row of values for each group: <c>target.Row(group, 0)</c>; its channels are the number of values.</param>
    /// <param name="slices">Slices of a group.</param>
    /// <param name="inputs">Inputs of the convolution; any number at least 1 with one tap.</param>
    /// <param name="taps">Its taps; 1 keeps the order.</param>
    /// <param name="accumulate">Whether to add to what the target holds.</param>
    [Kernel("slice_sum_v2", BlockX = ThreadsV2)]
    public static void SumV2(ArrayView<float> partial, Rows<float> target, int slices, int inputs, int taps, [Const] bool accumulate)
    {
        int value = Grid.IdxX * ThreadsV2 + Group.IdxX, group = Grid.IdxZ, values = target.Channels;
        if (value >= values) return;
        ref float result = ref target.Row(group, 0)[Canonical(value, inputs, taps)];
        ArrayView<float> ahead = LocalMemory.Allocate<float>(AheadV2);
        long from = (long)group * slices * values + value;
        float sum = accumulate ? result : 0;
        int slice = 0;
        for (; slice + AheadV2 <= slices; slice += AheadV2)
        {
            for (int i = 0; i < AheadV2; i++) ahead[i] = partial[from + (long)(slice + i) * values];
            for (int i = 0; i < AheadV2; i++) sum += ahead[i];
        }
        for (; slice < slices; slice++) sum += partial[from + (long)slice * values];
        result = sum;
    }
}
