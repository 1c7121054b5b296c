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

    private static IReadOnlyDictionary<string, object> AfterOthers(KernelShape shape) => new Dictionary<string, object> { ["channels"] = (int)shape["channels"], ["early"] = false };

    private static KernelVersion StoredInput<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(InputProjection), "x in 16 bits: eight channels of eight rows a thread, 128-bit stores",
        Method(typeof(InputProjection), nameof(InputProjection.ForwardV3), typeof(T), typeof(P)), ProjectedShapes, AfterOthers, shape => NoProjection(shape) ?? (shape["channels"] % 8 != 0 ? "channels is a multiple of 8" : null),
        shape => InputForward(shape, (rows, channels) => Blocks(rows, InputProjection.RowsV3(channels)), InType<T>)) { Name = name };

    private static KernelShape[] WholeHeadShapes => [Projected(1, 128, 64), Projected(3, 1, 32), Projected(1, 37, 96), Projected(2, 65, 128), Projected(2, 19, 256)];

    private static KernelVersion WholeHead<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(Head),
        "both layers on tensor cores: a warp takes 32 rows straight from global memory into the operand's registers, S lies in shared memory, h stays in registers",
        Method(typeof(Head), nameof(Head.ForwardV3), typeof(T), typeof(P)), WholeHeadShapes, AfterOthers,
        shape => NoProjection(shape) ?? (shape["channels"] % 32 != 0 || shape["channels"] > 256 ? "channels is a multiple of 32 up to 256" : null), HeadWhole<T>) { Name = name };

    private static KernelTrial HeadWhole<T>(KernelShape shape) where T : unmanaged
    {
        const float scale = 0.35f;
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], itemRows = rows + 2 * Margin;
        float[] skipWeight = Random(47, (long)channels * channels, 1), skipBias = Random(48, channels, 1), weight = Random(49, channels, 1), bias = Random(50, 1, 1);
        Rounded<T>(Random(46, (long)batch * rows * channels, 1), out float[] skips);
        Rounded<T>(skipWeight, out float[] factors);
        float[] eps = Placed(Unwritten((long)batch * rows), rows, 1, itemRows, Margin, Kept);
        Array held = Rounded<T>(Placed(skips, rows, channels, itemRows, Margin, float.NaN), out _);
        int tiles = Blocks((long)batch * rows, Head.RowsV3(channels)), blocks = Math.Max(Math.Min(2, tiles), tiles / 2); // so that a block has several
        return new KernelTrial([new(new(blocks, 1, 1), new(Threads, 1, 1), Head.SharedBytesV3(channels), new RowsOf<T>((T[])held, itemRows, Margin, channels), Misaligned(skipWeight), Misaligned(skipBias), Misaligned(weight),
            Misaligned(bias), new RowsOf<float>(eps, itemRows, Margin, 1), rows, batch, scale)], Head.WholeCost((long)batch * rows, channels, 2), () =>
        {
            float[] naive = new float[batch * rows];
            double[] expected = new double[naive.Length], magnitude = new double[naive.Length];
            Head.Reference(skips, factors, skipBias, weight, bias[0], scale, expected.AsSpan());
            Head.Reference(skips, factors, skipBias, weight, bias[0], scale, naive.AsSpan());
            Head.Reference(Absolute(skips), Absolute(factors), Absolute(skipBias), Absolute(weight), Math.Abs(bias[0]), scale, magnitude.AsSpan());
            KernelOutput output = KernelOutput.Float32("eps", eps, Placed(expected, rows, 1, itemRows, Margin, Kept), Placed(naive, rows, 1, itemRows, Margin, Kept), Largest(magnitude));
            // Tensor cores cut instead of rounding, down to a unit of the largest magnitude, once for every eight products they add.
            return [output with { Bound = output.Bound + (channels + 7) / 8 * Largest(magnitude) / (1 << 23), BoundReason = $"{output.BoundReason}, and a unit cut off every eight products" }];
        });
    }

    private static KernelVersion WholeHeadBackward<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        KernelShape Shape(long batch, long rows, long channels, long blocks) => new(("batch", batch), ("rows", rows), ("channels", channels), ("blocks", blocks));
        return new(nameof(HeadBackward), "the hidden layer again on tensor cores as in Head, its gradient in 16 bits, and the sums of the slices for three gradients, joined over the lanes of a warp by shuffles",
            Method(typeof(HeadBackward), nameof(HeadBackward.BackwardV3), typeof(T), typeof(P)),
            [Shape(1, 512, 64, 1), Shape(3, 1, 32, 2), Shape(2, 600, 96, 3), Shape(1, 1100, 128, 2), Shape(2, 19, 256, 1), Shape(1, 513, 256, 3)], ProjectedChannels,
            shape => Unfit(shape) ?? (shape["channels"] % 32 != 0 || shape["channels"] > 256 ? "channels is a multiple of 32 up to 256" : null), HeadGradientWhole<T>) { Name = name };
    }

    // Skips, S and r are whole numbers of a unit, so that the hidden layer is exact, and so is which of it is positive; some of it is zero.
    private static KernelTrial HeadGradientWhole<T>(KernelShape shape) where T : unmanaged
    {
        const float scale = 0.375f;
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], itemRows = rows + 2 * Margin;
        float[] Whole(int seed, long length, float unit) => [.. Random(seed, length, 1).Select(value => MathF.Round(value / unit) * unit)];
        float[] skips = Whole(51, (long)batch * rows * channels, 0.25f), skipWeight = Whole(52, (long)channels * channels, 0.25f), skipBias = Whole(53, channels, scale / 16);
        float[] weight = Random(54, channels, 1), dEps = Random(55, (long)batch * rows, 1), partial = Unwritten((long)batch * SliceSum.Slices(rows) * (2 * channels + 1));
        (F[] DHidden, F[] Partial) Expected<F>(Func<float[], float[]> map) where F : System.Numerics.IFloatingPointIeee754<F>
        {
            (F[] dHidden, F[] sums) = (new F[skips.Length], new F[partial.Length]);
            HeadBackward.ReferenceWhole(skips, skipWeight, skipBias, map(weight), map(dEps), scale, rows, dHidden.AsSpan(), sums.AsSpan());
            return (dHidden, sums);
        }
        var (exact, naive) = (Expected<double>(Same), Expected<float>(Same));
        KernelOutput hidden = KernelOutput.Float32("dHidden", Placed(Unwritten(skips.Length), rows, channels, itemRows, Margin, Kept), Placed(exact.DHidden, rows, channels, itemRows, Margin, Kept),
            Placed(naive.DHidden, rows, channels, itemRows, Margin, Kept), Largest(exact.DHidden));
        (object toHidden, hidden) = InType<T>((float[])hidden.Array, itemRows, Margin, channels, hidden);
        RowsOf<T> from = new((T[])Rounded<T>(Placed(skips, rows, channels, itemRows, Margin, float.NaN), out _), itemRows, Margin, channels);
        return new KernelTrial([new(new((int)shape["blocks"], 1, 1), new(Threads, 1, 1), HeadBackward.SharedBytesV3(channels), from, Misaligned(skipWeight), Misaligned(skipBias), Misaligned(weight),
                new RowsOf<float>(Placed(dEps, rows, 1, itemRows, Margin, float.NaN), itemRows, Margin, 1), toHidden, partial, rows, batch, scale)],
            HeadBackward.WholeCost(batch, rows, channels), [hidden, KernelOutput.Float32("partial", partial, exact.Partial, naive.Partial, Largest(Expected<double>(Absolute).Partial))]);
    }
}
