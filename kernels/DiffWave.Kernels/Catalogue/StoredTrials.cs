namespace DiffWave.Kernels;

// Versions that keep activations in 16 bits.
public static partial class KernelCatalog
{
    // An activation as a kernel gets it, rows of an array, and the output whose array that is; made of both in float32.
    private delegate (object Rows, KernelOutput Output) Storage(float[] array, int itemRows, int first, int channels, KernelOutput output);

    // Half a unit in the last place more: of the largest expected value, and what that may be off by; below the smallest normal number half of the smallest.
    private static (object Rows, KernelOutput Output) InType<T>(float[] array, int itemRows, int first, int channels, KernelOutput output) where T : unmanaged
    {
        T[] held = (T[])Rounded<T>(array, out _);
        double largest = output.Expected.Where(value => value != Kept).Max(Math.Abs) + output.Bound, rounding = largest / (typeof(T) == typeof(Half) ? 1 << 11 : 1 << 8) + 1.0 / (1 << 25);
        return (new RowsOf<T>(held, itemRows, first, channels), output with { Array = held, Bound = output.Bound + rounding, BoundReason = $"{output.BoundReason}, and one of {typeof(T).Name}" });
    }

    private static KernelVersion StoredInput<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(InputProjection), "x in 16 bits: eight channels of eight rows a thread, 128-bit stores",
        Method(typeof(InputProjection), nameof(InputProjection.ForwardV3), typeof(T), typeof(P)), ProjectedShapes, ProjectedChannels, shape => NoProjection(shape) ?? (shape["channels"] % 8 != 0 ? "channels is a multiple of 8" : null),
        shape => InputForward(shape, (rows, channels) => Blocks(rows, InputProjection.RowsV3(channels)), InType<T>)) { Name = name };

    private static KernelShape[] WholeHeadShapes => [Projected(1, 128, 64), Projected(3, 1, 32), Projected(1, 37, 96), Projected(2, 65, 128), Projected(2, 19, 256)];

    private static KernelVersion WholeHead<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(Head),
        "both layers on tensor cores: a warp takes 32 rows straight from global memory into the operand's registers, S lies in shared memory, h stays in registers",
        Method(typeof(Head), nameof(Head.ForwardV3), typeof(T), typeof(P)), WholeHeadShapes, ProjectedChannels,
        shape => NoProjection(shape) ?? (shape["channels"] % 32 != 0 || shape["channels"] > 256 ? "channels is a multiple of 32 up to 256" : null), HeadWhole<T>) { Name = name };

    private static KernelTrial HeadWhole<T>(KernelShape shape) where T : unmanaged
    {
        const float scale = 0.35f;
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], itemRows = rows + 2 * Margin;
        float[] skipWeight = Random(47, (long)channels * channels, 1), skipBias = Random(48, channels, 1), weight = Random(49, channels, 1), bias = Random(50, 1, 1), naive = new float[batch * rows];
        Rounded<T>(Random(46, (long)batch * rows * channels, 1), out float[] skips);
        Rounded<T>(skipWeight, out float[] factors);
        double[] expected = new double[naive.Length], magnitude = new double[naive.Length];
        Head.Reference(skips, factors, skipBias, weight, bias[0], scale, expected.AsSpan());
        Head.Reference(skips, factors, skipBias, weight, bias[0], scale, naive.AsSpan());
        Head.Reference(Absolute(skips), Absolute(factors), Absolute(skipBias), Absolute(weight), Math.Abs(bias[0]), scale, magnitude.AsSpan());
        float[] eps = Placed(Unwritten(naive.Length), rows, 1, itemRows, Margin, Kept);
        Array held = Rounded<T>(Placed(skips, rows, channels, itemRows, Margin, float.NaN), out _);
        KernelOutput output = KernelOutput.Float32("eps", eps, Placed(expected, rows, 1, itemRows, Margin, Kept), Placed(naive, rows, 1, itemRows, Margin, Kept), Largest(magnitude));
        // Tensor cores cut instead of rounding, down to a unit of the largest magnitude, once for every eight products they add.
        output = output with { Bound = output.Bound + (channels + 7) / 8 * Largest(magnitude) / (1 << 23), BoundReason = $"{output.BoundReason}, and a unit cut off every eight products" };
        int blocks = Math.Min(2, Blocks((long)batch * rows, Head.RowsV3(channels)));
        return new KernelTrial([new(new(blocks, 1, 1), new(Threads, 1, 1), Head.SharedBytesV3(channels), new RowsOf<T>((T[])held, itemRows, Margin, channels), Misaligned(skipWeight), Misaligned(skipBias), Misaligned(weight),
            Misaligned(bias), new RowsOf<float>(eps, itemRows, Margin, 1), rows, batch, scale)], Head.WholeCost((long)batch * rows, channels, 2), [output]);
    }
}
