namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    // Data gradients of the residual network. Shapes: batch B, rows T of an item, channels C; flags are sizes of 0 or 1.
    private static IReadOnlyList<KernelVersion> DataGradients
    {
        get
        {
            Type pointwise = typeof(PointwiseConvBackward), residual = typeof(ResidualOutputBackward), dilated = typeof(DilatedConvBackward), head = typeof(HeadBackward);
            string? NoPointwise(KernelShape shape) => Unfit(shape, "accumulate");
            string? NoResidual(KernelShape shape) => Unfit(shape, "hasY");
            string? NoDilated(KernelShape shape) => Unfit(shape, "hasY", "stepInResidual");
            IReadOnlyDictionary<string, object> Pointwise(KernelShape shape) => Flags(shape, "accumulate");
            IReadOnlyDictionary<string, object> Residual(KernelShape shape) => Flags(shape, "hasY");
            IReadOnlyDictionary<string, object> Dilated(KernelShape shape) => Flags(shape, "hasY", "stepInResidual");
            return
            [
                new(nameof(PointwiseConvBackward), "one thread an element of dx", Method(pointwise, nameof(PointwiseConvBackward.BackwardV1)), PointwiseBackwardShapes, Pointwise, NoPointwise,
                    shape => PointwiseBackward(shape, AnElement(shape, "inputs"), new(Threads, 1, 1), packs: false)) { Name = "pointwise_conv_backward_v1" },
                new(nameof(PointwiseConvBackward), "128 rows x 64 inputs a block by RowProduct", Method(pointwise, nameof(PointwiseConvBackward.BackwardV2)), PointwiseBackwardShapes, Pointwise,
                    shape => NoPointwise(shape) ?? NotFours(shape, "outputs", "inputs"), shape => PointwiseBackward(shape, ATile(shape, "inputs"), new(RowProduct.Threads, 1, 1), packs: true))
                    { Name = "pointwise_conv_backward_v2" },
                .. PointwiseOnTensorCores,
                new(nameof(ResidualOutputBackward), "one thread an element of dz", Method(residual, nameof(ResidualOutputBackward.BackwardV1)), ResidualBackwardShapes, Residual, NoResidual,
                    shape => ResidualBackward(shape, AnElement(shape, "channels"), new(Threads, 1, 1), packs: false)) { Name = "residual_output_backward_v1" },
                new(nameof(ResidualOutputBackward), "128 rows x 64 channels a block by RowProduct, each of the two gradients a tap", Method(residual, nameof(ResidualOutputBackward.BackwardV2)),
                    ResidualBackwardShapes, Residual, shape => NoResidual(shape) ?? NotFours(shape, "channels"),
                    shape => ResidualBackward(shape, ATile(shape, "channels"), new(RowProduct.Threads, 1, 1), packs: true)) { Name = "residual_output_backward_v2" },
                new(nameof(DilatedConvBackward), "one thread every eighth row of a channel of a tile", Method(dilated, nameof(DilatedConvBackward.BackwardV1)), DilatedBackwardShapes, Dilated, NoDilated,
                    shape => DilatedBackward(shape, new(DilatedConvBackward.Tiles((int)shape["rows"]), Blocks(shape["channels"], 32), (int)shape["batch"]), new(32, 8, 1), packs: false))
                    { Name = "dilated_conv_backward_v1" },
                new(nameof(DilatedConvBackward), "128 rows x 64 inputs a block by RowProduct: taps and packed weights through shared memory, 8 x 8 sums a thread",
                    Method(dilated, nameof(DilatedConvBackward.BackwardV2)), DilatedBackwardShapes, Dilated, shape => NoDilated(shape) ?? NotFours(shape, "channels"),
                    shape => DilatedBackward(shape, ATile(shape, "channels"), new(RowProduct.Threads, 1, 1), packs: true)) { Name = "dilated_conv_backward_v2" },
                new(nameof(HeadBackward), "one thread an element", Method(head, nameof(HeadBackward.BackwardV1)), HeadShapes, NoConstants, shape => Unfit(shape),
                    shape => HeadGradient(shape, Blocks(shape["rows"] * shape["channels"], Threads))) { Name = "head_backward_v1" },
                new(nameof(HeadBackward), "eight rows of four channels a thread with 128-bit loads and stores: the weights stay in registers, the number of channels is a constant",
                    Method(head, nameof(HeadBackward.BackwardV2)), HeadShapes, ProjectedChannels, shape => Unfit(shape) ?? NotFours(shape, "channels"),
                    shape => HeadGradient(shape, Blocks(Blocks(shape["rows"], HeadBackward.RowsV2) * shape["channels"] / 4, Threads))) { Name = "head_backward_v2" },
                WholeHeadBackward<Half, F16>("head_backward_v3"), WholeHeadBackward<BFloat16, BF16>("head_backward_v3_bf16"),
            ];

            Index3D AnElement(KernelShape shape, string channels) => new(Blocks(shape["rows"] * shape[channels], Threads), 1, (int)shape["batch"]);
            Index3D ATile(KernelShape shape, string channels) => new(RowProduct.Blocks((int)shape["rows"], (int)shape[channels]), 1, (int)shape["batch"]);
        }
    }

    private static KernelShape[] HeadShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels) => new(("batch", batch), ("rows", rows), ("channels", channels));
            return [Shape(1, 128, 64), Shape(3, 100, 64), Shape(1, 1, 16), Shape(2, 37, 24), Shape(1, 5, 256)];
        }
    }

    private static KernelShape[] PointwiseBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long outputs, long inputs, long accumulate) =>
                new(("batch", batch), ("rows", rows), ("outputs", outputs), ("inputs", inputs), ("accumulate", accumulate));
            return [Shape(1, 128, 128, 80, 1), Shape(3, 130, 16, 80, 1), Shape(1, 1, 16, 16, 0), Shape(2, 63, 48, 80, 1), Shape(1, 65, 24, 24, 0), Shape(1, 3, 256, 256, 0)];
        }
    }

    private static KernelShape[] ResidualBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long hasY) => new(("batch", batch), ("rows", rows), ("channels", channels), ("hasY", hasY));
            return [Shape(1, 128, 64, 1), Shape(3, 130, 16, 1), Shape(1, 1, 16, 1), Shape(2, 63, 24, 1), Shape(1, 65, 128, 0), Shape(1, 3, 256, 1)];
        }
    }

    private static KernelShape[] DilatedBackwardShapes
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long dilation, long hasY, long stepInResidual) =>
                new(("batch", batch), ("rows", rows), ("channels", channels), ("dilation", dilation), ("hasY", hasY), ("stepInResidual", stepInResidual));
            return [Shape(1, 128, 64, 8, 1, 1), Shape(3, 130, 16, 8, 1, 1), Shape(1, 1, 16, 1, 1, 0),
                Shape(2, 200, 24, 64, 1, 0), Shape(1, 65, 16, 512, 0, 1), Shape(1, 7, 128, 2, 0, 0), Shape(1, 3, 256, 1, 1, 1)];
        }
    }

    private static KernelTrial PointwiseBackward(KernelShape shape, Index3D grid, Index3D group, bool packs)
    {
        long items = shape["batch"], outputs = shape["outputs"], inputs = shape["inputs"];
        int rows = (int)shape["rows"];
        bool accumulate = shape["accumulate"] == 1;
        const float scale = 0.18257419f;
        float[] weights = Random(1, outputs * inputs, 1), dY = Random(2, items * rows * outputs, 1), before = Random(3, items * rows * inputs, 1);
        float[] dX = accumulate ? [.. before] : Unwritten(before.Length);
        T[] Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] result = [.. map(before).Select(value => T.CreateChecked(value))];
            PointwiseConvBackward.Reference(map(weights), map(dY), result.AsSpan(), (int)outputs, (int)inputs, scale, accumulate);
            return result;
        }
        return new KernelTrial([new(grid, group, 0, BackwardOrder(weights, (int)outputs, (int)inputs, packs), Whole(dY, rows, outputs), Whole(dX, rows, inputs), rows, scale)],
            PointwiseConvBackward.BackwardCost(items * rows, outputs, inputs, accumulate, sizeof(float), sizeof(float)), () =>
            [KernelOutput.Float32("dX", dX, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    private static KernelTrial ResidualBackward(KernelShape shape, Index3D grid, Index3D group, bool packs)
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
        object read = BackwardOrder(weights, 2 * (int)channels, (int)channels, packs);
        return new KernelTrial([new(grid, group, 0, read, Whole(dY, rows, channels), Whole(dSkips, rows, channels), Whole(dZ, rows, channels), rows)],
            ResidualOutputBackward.BackwardCost(items * rows, channels, hasY), () => [KernelOutput.Float32("dZ", dZ, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    private static KernelTrial DilatedBackward(KernelShape shape, Index3D grid, Index3D group, bool packs)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"], dilation = (int)shape["dilation"];
        bool hasY = shape["hasY"] == 1, stepInResidual = shape["stepInResidual"] == 1;
        float[] weights = Random(1, 6 * channels * channels, 1), dPreGate = Random(2, items * rows * 2 * channels, 1), dY = Random(3, items * rows * channels, 1);
        float[] dX = Unwritten(dY.Length), stepPartial = Unwritten(items * DilatedConvBackward.Tiles(rows) * channels);
        (T[] DX, T[] Step) Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] result = [.. map(dY).Select(value => T.CreateChecked(value))], step = new T[stepPartial.Length];
            DilatedConvBackward.Reference(map(weights), map(dPreGate), result.AsSpan(), step.AsSpan(), rows, (int)channels, dilation, hasY, stepInResidual);
            return (result, step);
        }
        object read = BackwardOrder(weights, 2 * (int)channels, (int)channels, packs);
        return new KernelTrial([new(grid, group, 0, read, Whole(dPreGate, rows, 2 * channels), hasY ? Whole(dY, rows, channels) : new Rows<float>(), Whole(dX, rows, channels), stepPartial, rows, dilation)],
            DilatedConvBackward.BackwardCost(items, rows, channels, dilation, hasY), () =>
            {
                var (exact, plain, magnitude) = (Expected<double>(Same), Expected<float>(Same), Expected<double>(Absolute));
                return [KernelOutput.Float32("dX", dX, exact.DX, plain.DX, Largest(magnitude.DX)), KernelOutput.Float32("stepPartial", stepPartial, exact.Step, plain.Step, Largest(magnitude.Step))];
            });
    }

    // The weights as version 1 reads them, anywhere in an arena, or packed.
    private static object BackwardOrder(float[] weight, int outputs, int inputs, bool packs)
    {
        if (!packs) return Misaligned(weight);
        float[] packed = new float[weight.Length];
        WeightLayout.ReferenceBackward(weight, packed.AsSpan(), outputs, inputs);
        return packed;
    }

    // In place, as the engine does it; a sixteenth of the hidden values is exactly zero, as ReLU leaves them.
    private static KernelTrial HeadGradient(KernelShape shape, int blocks)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"];
        float[] hidden = [.. Random(1, items * rows * channels, 1).Select((value, i) => i % 16 == 5 ? 0 : value)], dEps = Random(2, items * rows, 1), weights = Random(3, channels, 1);
        double[] expected = new double[hidden.Length];
        float[] naive = new float[hidden.Length];
        HeadBackward.Reference(hidden, dEps, weights, expected.AsSpan());
        HeadBackward.Reference(hidden, dEps, weights, naive.AsSpan());
        RowsOf<float> inPlace = Whole(hidden, rows, channels);
        return new KernelTrial([new(new(blocks, 1, (int)items), new(Threads, 1, 1), 0, inPlace, Whole(dEps, rows, 1), Misaligned(weights), inPlace, rows)],
            HeadBackward.BackwardCost(items * rows, channels), [KernelOutput.Float32("dHidden", hidden, expected, naive, Largest(expected))]);
    }

    private static RowsOf<float> Whole(float[] values, int rows, long channels) => new(values, rows, 0, (int)channels);

    private static float[] Same(float[] values) => values;

    // Sizes are at least 1, flags 0 or 1.
    private static string? Unfit(KernelShape shape, params string[] flags) =>
        shape.Sizes.FirstOrDefault(size => size.Size < 1 && !flags.Contains(size.Name)) is { Name: { } name } ? $"{name} is at least 1" : NoFlag(shape, flags);
}
