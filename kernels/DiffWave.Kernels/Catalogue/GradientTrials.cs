namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    // Data gradients of the residual network. Shapes: batch B, rows T of an item, channels C; flags are sizes of 0 or 1.
    private static IReadOnlyList<KernelVersion> DataGradients =>
    [
        new(nameof(PointwiseConvBackward), "one thread an element of dx", Method(typeof(PointwiseConvBackward), nameof(PointwiseConvBackward.BackwardV1)), PointwiseBackwardShapes,
            shape => Flags(shape, "accumulate"), shape => Unfit(shape, "accumulate"), shape => PointwiseBackward(shape, (rows, inputs) => new(Blocks(rows * inputs, Threads), 1, (int)shape["batch"]), new(Threads, 1, 1)))
            { Name = "pointwise_conv_backward_v1" },
        new(nameof(PointwiseConvBackward), "128 rows x 64 inputs a block by RowProduct, which reads the weights as they are", Method(typeof(PointwiseConvBackward), nameof(PointwiseConvBackward.BackwardV2)),
            PointwiseBackwardShapes, shape => Flags(shape, "accumulate"), shape => Unfit(shape, "accumulate") ?? NotFours(shape, "outputs", "inputs"),
            shape => PointwiseBackward(shape, (rows, inputs) => new(RowProduct.Blocks((int)rows, (int)inputs), 1, (int)shape["batch"]), new(RowProduct.Threads, 1, 1))) { Name = "pointwise_conv_backward_v2" },
        new(nameof(ResidualOutputBackward), "one thread an element of dz", Method(typeof(ResidualOutputBackward), nameof(ResidualOutputBackward.BackwardV1)), ResidualBackwardShapes,
            shape => Flags(shape, "hasY"), shape => Unfit(shape, "hasY"), shape => ResidualBackward(shape, (rows, channels) => new(Blocks(rows * channels, Threads), 1, (int)shape["batch"]), new(Threads, 1, 1)))
            { Name = "residual_output_backward_v1" },
        new(nameof(ResidualOutputBackward), "128 rows x 64 channels a block by RowProduct, each of the two gradients a tap", Method(typeof(ResidualOutputBackward), nameof(ResidualOutputBackward.BackwardV2)),
            ResidualBackwardShapes, shape => Flags(shape, "hasY"), shape => Unfit(shape, "hasY") ?? NotFours(shape, "channels"),
            shape => ResidualBackward(shape, (rows, channels) => new(RowProduct.Blocks((int)rows, (int)channels), 1, (int)shape["batch"]), new(RowProduct.Threads, 1, 1))) { Name = "residual_output_backward_v2" },
        new(nameof(DilatedConvBackward), "one thread every eighth row of a channel of a tile", Method(typeof(DilatedConvBackward), nameof(DilatedConvBackward.BackwardV1)), DilatedBackwardShapes,
            shape => Flags(shape, "hasY", "stepInResidual"), shape => Unfit(shape, "hasY", "stepInResidual"),
            shape => DilatedBackward(shape, (rows, channels) => new(Blocks(rows, DilatedConvBackward.TileRows), Blocks(channels, 32), (int)shape["batch"]), new(32, 8, 1), false)) { Name = "dilated_conv_backward_v1" },
        new(nameof(DilatedConvBackward), "128 rows x 64 inputs a block by RowProduct: taps and packed weights through shared memory, 8 x 8 sums a thread",
            Method(typeof(DilatedConvBackward), nameof(DilatedConvBackward.BackwardV2)), DilatedBackwardShapes, shape => Flags(shape, "hasY", "stepInResidual"),
            shape => Unfit(shape, "hasY", "stepInResidual") ?? NotFours(shape, "channels"),
            shape => DilatedBackward(shape, (rows, channels) => new(RowProduct.Blocks((int)rows, (int)channels), 1, (int)shape["batch"]), new(RowProduct.Threads, 1, 1), true)) { Name = "dilated_conv_backward_v2" },
        new(nameof(HeadBackward), "one thread an element", Method(typeof(HeadBackward), nameof(HeadBackward.BackwardV1)),
            HeadShapes, NoConstants, shape => Unfit(shape), shape => HeadGradient(shape, 1))
            { Name = "head_backward_v1" },
        new(nameof(HeadBackward), "four channels a thread with 128-bit loads and stores, the number of channels a constant", Method(typeof(HeadBackward), nameof(HeadBackward.BackwardV2)),
            HeadShapes, shape => new Dictionary<string, object> { ["channels"] = (int)shape["channels"] }, shape => Unfit(shape) ?? NotFours(shape, "channels"), shape => HeadGradient(shape, 4))
            { Name = "head_backward_v2" },
    ];

    private static KernelShape[] HeadShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels) => new(("batch", batch), ("rows", rows), ("channels", channels));
            return [Shape(3, 100, 64), Shape(1, 1, 16), Shape(2, 37, 24), Shape(1, 5, 256)];
        }
    }

    private static KernelShape[] PointwiseBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long outputs, long inputs, long accumulate) =>
                new(("batch", batch), ("rows", rows), ("outputs", outputs), ("inputs", inputs), ("accumulate", accumulate));
            return [Shape(3, 130, 128, 80, 1), Shape(1, 1, 16, 16, 0), Shape(2, 63, 48, 80, 1), Shape(1, 65, 24, 24, 0), Shape(1, 3, 256, 256, 0)];
        }
    }

    private static KernelShape[] ResidualBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long hasY) => new(("batch", batch), ("rows", rows), ("channels", channels), ("hasY", hasY));
            return [Shape(3, 130, 64, 1), Shape(1, 1, 16, 1), Shape(2, 63, 24, 1), Shape(1, 65, 128, 0), Shape(1, 3, 256, 1)];
        }
    }

    private static KernelShape[] DilatedBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long dilation, long hasY, long stepInResidual) =>
                new(("batch", batch), ("rows", rows), ("channels", channels), ("dilation", dilation), ("hasY", hasY), ("stepInResidual", stepInResidual));
            return [Shape(3, 130, 64, 8, 1, 1), Shape(1, 1, 16, 1, 1, 0), Shape(2, 200, 24, 64, 1, 0), Shape(1, 65, 16, 512, 0, 1), Shape(1, 7, 128, 2, 0, 0), Shape(1, 3, 256, 1, 1, 1)];
        }
    }

    private static KernelTrial PointwiseBackward(KernelShape shape, Func<long, long, Index3D> grid, Index3D group)
    {
        long items = shape["batch"], outputs = shape["outputs"], inputs = shape["inputs"];
        int rows = (int)shape["rows"];
        bool accumulate = shape["accumulate"] == 1;
        const float scale = 0.18257419f;
        float[] weights = Random(1, outputs * inputs, 1), dY = Random(2, items * rows * outputs, 1), before = Random(3, items * rows * inputs, 1), dX = accumulate ? [.. before] : Unwritten(before.Length);
        T[] Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] result = [.. map(before).Select(value => T.CreateChecked(value))];
            PointwiseConvBackward.Reference(map(weights), map(dY), result.AsSpan(), (int)outputs, (int)inputs, scale, accumulate);
            return result;
        }
        return new KernelTrial([new(grid(rows, inputs), group, 0, weights, Whole(dY, rows, outputs), Whole(dX, rows, inputs), rows, scale)],
            PointwiseConvBackward.BackwardCost(items * rows, outputs, inputs, accumulate), [KernelOutput.Float32("dX", dX, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    private static KernelTrial ResidualBackward(KernelShape shape, Func<long, long, Index3D> grid, Index3D group)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"];
        bool hasY = shape["hasY"] == 1;
        float[] weights = Random(1, 2 * channels * channels, 1), dSkips = Random(2, items * rows * channels, 1), dY = hasY ? Random(3, dSkips.Length, 1) : [], dZ = Unwritten(dSkips.Length);
        T[] Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            var result = new T[dZ.Length];
            ResidualOutputBackward.Reference(map(weights), map(dY), map(dSkips), result.AsSpan(), (int)channels);
            return result;
        }
        return new KernelTrial([new(grid(rows, channels), group, 0, weights, Whole(dY, rows, channels), Whole(dSkips, rows, channels), Whole(dZ, rows, channels), rows)],
            ResidualOutputBackward.BackwardCost(items * rows, channels, hasY), [KernelOutput.Float32("dZ", dZ, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    private static KernelTrial DilatedBackward(KernelShape shape, Func<long, long, Index3D> grid, Index3D group, bool packs)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"], dilation = (int)shape["dilation"];
        bool hasY = shape["hasY"] == 1, stepInResidual = shape["stepInResidual"] == 1;
        float[] weights = Random(1, 6 * channels * channels, 1), dPreGate = Random(2, items * rows * 2 * channels, 1), dY = Random(3, items * rows * channels, 1);
        float[] dX = hasY ? [.. dY] : Unwritten(dY.Length), stepPartial = Unwritten(items * DilatedConvBackward.Tiles(rows) * channels);
        (T[] DX, T[] Step) Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] result = [.. map(dY).Select(value => T.CreateChecked(value))], step = new T[stepPartial.Length];
            DilatedConvBackward.Reference(map(weights), map(dPreGate), result.AsSpan(), step.AsSpan(), rows, (int)channels, dilation, hasY, stepInResidual);
            return (result, step);
        }
        var (exact, plain, magnitude) = (Expected<double>(Same), Expected<float>(Same), Expected<double>(Absolute));
        return new KernelTrial([new(grid(rows, channels), group, 0, packs ? BackwardOrder(weights, 2 * (int)channels, (int)channels) : weights, Whole(dPreGate, rows, 2 * channels), Whole(dX, rows, channels), stepPartial, rows, dilation)],
            DilatedConvBackward.BackwardCost(items, rows, channels, dilation, hasY),
            [KernelOutput.Float32("dX", dX, exact.DX, plain.DX, Largest(magnitude.DX)), KernelOutput.Float32("stepPartial", stepPartial, exact.Step, plain.Step, Largest(magnitude.Step))]);
    }

    private static float[] BackwardOrder(float[] weight, int outputs, int inputs)
    {
        float[] packed = new float[weight.Length];
        WeightLayout.ReferenceBackward(weight, packed.AsSpan(), outputs, inputs);
        return packed;
    }

    // In place, as the engine does it; a sixteenth of the hidden values is exactly zero, as ReLU leaves them.
    private static KernelTrial HeadGradient(KernelShape shape, int perThread)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"];
        float[] hidden = [.. Random(1, items * rows * channels, 1).Select((value, i) => i % 16 == 5 ? 0 : value)], dEps = Random(2, items * rows, 1), weights = Random(3, channels, 1);
        double[] expected = new double[hidden.Length];
        float[] naive = new float[hidden.Length];
        HeadBackward.Reference(hidden, dEps, weights, expected.AsSpan());
        HeadBackward.Reference(hidden, dEps, weights, naive.AsSpan());
        return new KernelTrial([new(new(Blocks(rows * channels, perThread * Threads), 1, (int)items), new(Threads, 1, 1), 0, Whole(hidden, rows, channels), Whole(dEps, rows, 1), Misaligned(weights), Whole(hidden, rows, channels), rows)],
            HeadBackward.BackwardCost(items * rows, channels), [KernelOutput.Float32("dHidden", hidden, expected, naive, Largest(expected))]);
    }

    private static RowsOf Whole(float[] values, int rows, long channels) => new(values, rows, 0, (int)channels);

    private static float[] Same(float[] values) => values;

    // Sizes are at least 1, flags 0 or 1.
    private static string? Unfit(KernelShape shape, params string[] flags) =>
        shape.Sizes.FirstOrDefault(size => size.Size < 1 && !flags.Contains(size.Name)) is { Name: { } name } ? $"{name} is at least 1" : NoFlag(shape, flags);
}
