namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    // Sums over the rows of a batch: slices, and the slices' sum.
    private static IReadOnlyList<KernelVersion> WeightGradients
    {
        get
        {
            KernelShape Weights(long batch, long rows, long outputs, long inputs, long taps, long dilation, long hasStep) =>
                new(("batch", batch), ("rows", rows), ("outputs", outputs), ("inputs", inputs), ("taps", taps), ("dilation", dilation), ("hasStep", hasStep));
            KernelShape Columns(long batch, long rows, long channels, long weighted) => new(("batch", batch), ("rows", rows), ("channels", channels), ("weighted", weighted));
            KernelShape Slices(long groups, long slices, long outputs, long inputs, long taps, long accumulate) =>
                new(("groups", groups), ("slices", slices), ("outputs", outputs), ("inputs", inputs), ("taps", taps), ("accumulate", accumulate));
            KernelShape[] weights =
            [
                Weights(1, 128, 128, 64, 3, 8, 1), Weights(1, 1, 32, 16, 3, 1, 1), Weights(2, 515, 32, 16, 3, 512, 1), Weights(3, 1100, 16, 16, 1, 1, 0),
                Weights(1, 30, 48, 24, 3, 64, 1), Weights(1, 33, 48, 80, 1, 1, 0), Weights(1, 9, 256, 128, 1, 1, 0), Weights(1, 3, 512, 256, 3, 1, 1),
            ];
            KernelShape[] biased =
            [
                .. weights.Concat([Weights(2, 1030, 128, 64, 3, 100, 1), Weights(1, 600, 128, 80, 1, 1, 0), Weights(3, 2, 8, 8, 1, 1, 1)])
                    .Select((shape, i) => new KernelShape([.. shape.Sizes, ("hasBias", 1 - i / 2 % 2)])),
            ];
            KernelShape[] columns = [Columns(3, 1100, 64, 1), Columns(1, 1, 16, 0), Columns(2, 513, 24, 0), Columns(1, 37, 512, 1), Columns(3, 700, 1, 0)];
            KernelShape[] slices = [Slices(1, 37, 32, 16, 3, 1), Slices(1, 1, 1, 1, 1, 1), Slices(3, 16, 1, 128, 1, 0), Slices(1, 17, 48, 24, 3, 1), Slices(1, 5, 16, 80, 1, 1)];
            string? Taps(KernelShape shape, params string[] flags) => Unfit(shape, flags) ?? (shape["taps"] is not (1 or 3) ? "taps is 1 or 3" : null);
            string? NoWeights(KernelShape shape) => Taps(shape, "hasStep");
            string? NoColumns(KernelShape shape) => Unfit(shape, "weighted");
            string? NoSlices(KernelShape shape) => Taps(shape, "accumulate");
            IReadOnlyDictionary<string, object> TapsAndStep(KernelShape shape) => new Dictionary<string, object>(Flags(shape, "hasStep")) { ["taps"] = (int)shape["taps"] };
            IReadOnlyDictionary<string, object> Weighted(KernelShape shape) => Flags(shape, "weighted");
            IReadOnlyDictionary<string, object> Accumulates(KernelShape shape) => Flags(shape, "accumulate");
            Type weight = typeof(WeightGradient), column = typeof(ColumnSum), slice = typeof(SliceSum);
            return
            [
                new(nameof(WeightGradient), "one thread a value of a slice", Method(weight, nameof(WeightGradient.GradientV1)), weights, TapsAndStep, NoWeights,
                    shape => Weight<float>(shape, BySlices(shape, Blocks(shape["outputs"] * shape["taps"] * shape["inputs"], Threads)), new(Threads, 1, 1))) { Name = "weight_gradient_v1" },
                new(nameof(WeightGradient),
                    "a block computes 64 outputs x 64 inputs of taps of a slice: rows through shared memory while the next are on their way, each thread keeps 8 x 8 sums in registers",
                    Method(weight, nameof(WeightGradient.GradientV2)), weights, TapsAndStep, shape => NoWeights(shape) ?? NotFours(shape, "outputs", "inputs"),
                    shape => Weight<float>(shape, BySlices(shape, Blocks(shape["outputs"], WeightGradient.TileV2) * Blocks(shape["taps"] * shape["inputs"], WeightGradient.TileV2)), new(64, 1, 1)))
                    { Name = "weight_gradient_v2" },
                Tensor<Half, RowsOf16Bits<Half, F16>, Gradient128x192>("weight_gradient_v3"), Tensor<Half, RowsOf16Bits<Half, F16>, Gradient128x64>("weight_gradient_v3_128x64"),
                Tensor<BFloat16, RowsOf16Bits<BFloat16, BF16>, Gradient128x192>("weight_gradient_v3_bf16"), Tensor<float, RowsOfTf32, Gradient128x192>("weight_gradient_v3_tf32"),
                Tensor<float, RowsOfTf32, Gradient128x64>("weight_gradient_v3_tf32_128x64"),
                new(nameof(ColumnSum), "one thread a column of a slice", Method(column, nameof(ColumnSum.SumV1)), columns, Weighted, NoColumns,
                    shape => Column(shape, BySlices(shape, Blocks(shape["channels"], 64)), new(64, 1, 1))) { Name = "column_sum_v1" },
                new(nameof(ColumnSum), "four columns a thread with 128-bit loads, sixteen threads to share the rows of a slice", Method(column, nameof(ColumnSum.SumV2)),
                    [.. columns.Where(shape => NotFours(shape, "channels") is null)], Weighted, shape => NoColumns(shape) ?? NotFours(shape, "channels"),
                    shape => Column(shape, BySlices(shape, Blocks(shape["channels"], ColumnSum.ColumnsV2)), new(16, 16, 1))) { Name = "column_sum_v2" },
                new(nameof(SliceSum), "one thread a value", Method(slice, nameof(SliceSum.SumV1)), slices, Accumulates, NoSlices, shape => SlicesInOrder(shape, Threads)) { Name = "slice_sum_v1" },
                new(nameof(SliceSum), "sixteen slices are on their way before the first is added: the same additions, less waiting", Method(slice, nameof(SliceSum.SumV2)), slices,
                    Accumulates, NoSlices, shape => SlicesInOrder(shape, Threads / 2)) { Name = "slice_sum_v2" },
            ];

            KernelVersion Tensor<T, P, S>(string name) where T : unmanaged where P : struct, IRowsOperand<T> where S : struct, IGradientTile => new(nameof(WeightGradient),
                "fp16, bf16 or tf32 operands on tensor cores: a block computes up to 128 outputs x 192 inputs of taps of a slice, copies to shared memory overlap the arithmetic, the bias's gradient comes along",
                Method(weight, nameof(WeightGradient.GradientV3), typeof(T), typeof(P), typeof(S)), biased,
                shape => new Dictionary<string, object>(TapsAndStep(shape)) { ["hasBias"] = shape["hasBias"] != 0 }, shape => Taps(shape, "hasStep", "hasBias") ?? (shape["outputs"] % 8 != 0 || shape["inputs"] % 8 != 0 ? "outputs and inputs are multiples of 8" : null),
                shape => Weight<T>(shape, new(WeightGradient.BlocksV3<S>((int)shape["outputs"], (int)(shape["taps"] * shape["inputs"])), WeightGradient.SlicesV3((int)shape["rows"]), (int)shape["batch"]),
                    new(WeightGradient.ThreadsV3, 1, 1), WeightGradient.SharedBytesV3<S>()))
                { Name = name };
            Index3D BySlices(KernelShape shape, int blocks) => new(blocks, SliceSum.Slices((int)shape["rows"]), (int)shape["batch"]);
        }
    }

    // Tensor cores, which use dynamic shared memory, get operands rounded: to 16 bits, or on their way into the product to TF32.
    private static KernelTrial Weight<T>(KernelShape shape, Index3D grid, Index3D group, int dynamicSharedBytes = 0) where T : unmanaged
    {
        long items = shape["batch"];
        int rows = (int)shape["rows"], outputs = (int)shape["outputs"], inputs = (int)shape["inputs"], taps = (int)shape["taps"], dilation = (int)shape["dilation"];
        const int layers = 3, layer = 1; // the step is one row of the buffer of all layers'
        const float scale = 0.70710678f;
        bool hasStep = shape["hasStep"] == 1, tensor = dynamicSharedBytes > 0;
        Array dArray = Rounded<T>(Random(1, items * rows * outputs, 1), out float[] d), xArray = Rounded<T>(Random(2, items * rows * inputs, 1), out float[] x);
        if (tensor && typeof(T) == typeof(float)) (d, x) = (InTf32(d), InTf32(x));
        float[] steps = Random(3, items * layers * inputs, 1);
        float[] step = hasStep ? [.. Enumerable.Range(0, (int)items).SelectMany(item => steps.AsSpan((item * layers + layer) * inputs, inputs).ToArray())] : [];
        int sliceRows = tensor ? WeightGradient.SliceRowsV3 : SliceSum.SliceRows, slices = tensor ? WeightGradient.SlicesV3(rows) : SliceSum.Slices(rows);
        float[] partial = Unwritten(items * slices * outputs * taps * inputs);
        F[] Expected<F>(Func<float[], float[]> map) where F : System.Numerics.IFloatingPointIeee754<F>
        {
            var result = new F[partial.Length];
            WeightGradient.Reference(map(d), map(x), map(step), result.AsSpan(), rows, outputs, inputs, taps, dilation, scale, sliceRows);
            return result;
        }
        KernelOutput Output()
        {
            double magnitude = Largest(Expected<double>(Absolute));
            KernelOutput output = KernelOutput.Float32("partial", partial, Expected<double>(Same), Expected<float>(Same), magnitude);
            // The step's product is rounded by itself, and tensor cores cut as in MatrixProduct.
            return !tensor ? output : output with
            {
                Bound = output.Bound + (Cut(rows) + 0.5) * magnitude / (1 << 23),
                BoundReason = $"{output.BoundReason}, one more for the step, and a unit cut off every eight products",
            };
        }
        T none = ((T[])Rounded<T>([float.NaN], out _))[0]; // around the rows of an item
        RowsOf<T> Of(Array array, int channels) => new(Placed((T[])array, rows, channels, rows + 2 * Margin, Margin, none), rows + 2 * Margin, Margin, channels);
        object[] arguments = [Of(dArray, outputs), Of(xArray, inputs), new RowsOf<float>(steps, layers, layer, inputs), partial, rows, dilation, scale];
        Cost cost = WeightGradient.GradientCost(items, rows, outputs, inputs, taps, System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), tensor && shape["hasBias"] == 1, slices);
        if (!tensor) return new KernelTrial([new(grid, group, 0, arguments)], cost, () => [Output()]);
        float[] biasPartial = shape["hasBias"] == 1 ? Unwritten(items * slices * outputs) : [];
        F[] Sums<F>(Func<float[], float[]> map) where F : System.Numerics.IFloatingPointIeee754<F>
        {
            var result = new F[biasPartial.Length];
            if (result.Length > 0) ColumnSum.Reference(map(d), [], result.AsSpan(), rows, outputs, scale, sliceRows);
            return result;
        }
        KernelOutput Bias() => new("biasPartial", biasPartial, Sums<double>(Same), (Cut(rows) + 1) * Largest(Sums<double>(Absolute)) / (1 << 23), "a unit cut off every eight sums and one rounding");
        return new KernelTrial([new(grid, group, dynamicSharedBytes, [.. arguments[..4], biasPartial, .. arguments[4..]])], cost, () => biasPartial.Length > 0 ? [Output(), Bias()] : [Output()]);
    }

    // Times that the tensor cores cut a sum of a slice.
    private static int Cut(int rows) => (Math.Min(rows, WeightGradient.SliceRowsV3) + 7) / 8;

    private static float[] InTf32(float[] values) => [.. values.Select(TF32.Round)];

    private static KernelTrial Column(KernelShape shape, Index3D grid, Index3D group)
    {
        long items = shape["batch"], channels = shape["channels"];
        int rows = (int)shape["rows"];
        bool weighted = shape["weighted"] == 1;
        const float scale = 0.70710678f;
        float[] x = Random(1, items * rows * channels, 1), weights = weighted ? Random(2, items * rows, 1) : [], partial = Unwritten(items * SliceSum.Slices(rows) * channels);
        T[] Expected<T>(Func<float[], float[]> map) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            var result = new T[partial.Length];
            ColumnSum.Reference(map(x), map(weights), result.AsSpan(), rows, (int)channels, scale);
            return result;
        }
        return new KernelTrial([new(grid, group, 0, Whole(x, rows, channels), Whole(weights, rows, 1), partial, rows, scale)],
            ColumnSum.SumCost(items, rows, channels, weighted), () => [KernelOutput.Float32("partial", partial, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    // Each group has a row of a buffer with one row before it and one behind it, which must stay as they are. The order of the additions is given: the result is exact.
    private static KernelTrial SlicesInOrder(KernelShape shape, int threads)
    {
        int groups = (int)shape["groups"], slices = (int)shape["slices"], inputs = (int)shape["inputs"], taps = (int)shape["taps"], values = (int)shape["outputs"] * taps * inputs;
        bool accumulate = shape["accumulate"] == 1;
        float[] partial = Random(1, (long)groups * slices * values, 1), target = Random(2, 3L * groups * values, 1);
        float[] sums = [.. Enumerable.Range(0, groups).SelectMany(group => target.AsSpan(RowAt(group), values).ToArray())];
        SliceSum.Reference(partial, sums.AsSpan(), slices, values, inputs, taps, accumulate);
        double[] expected = [.. target.Select(value => (double)value)];
        for (int index = 0; index < sums.Length; index++) expected[RowAt(index / values) + index % values] = sums[index];
        return new KernelTrial([new(new(Blocks(values, threads), 1, groups), new(threads, 1, 1), 0, partial, new RowsOf<float>(target, 3, 1, values), slices, inputs, taps)],
            SliceSum.SumCost(groups, slices, values), [new("target", target, expected, double.Epsilon, "the same additions in the same order")]);

        int RowAt(int group) => (3 * group + 1) * values;
    }
}
