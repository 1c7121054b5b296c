namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static KernelShape Projected(long batch, long rows, long channels) => new(("batch", batch), ("rows", rows), ("channels", channels));

    private static KernelShape[] ProjectedShapes => [Projected(1, 128, 64), Projected(3, 1, 16), Projected(1, 37, 24), Projected(2, 5, 128), Projected(1, 3, 256)];

    private static IReadOnlyDictionary<string, object> ProjectedChannels(KernelShape shape) => new Dictionary<string, object> { ["channels"] = (int)shape["channels"] };

    private static string? NoProjection(KernelShape shape) => shape["batch"] < 1 || shape["rows"] < 1 || shape["channels"] < 1 ? "batch, rows and channels are at least 1" : null;

    private static IReadOnlyList<KernelVersion> InputProjections =>
    [
        new(nameof(InputProjection), "one thread an element, as the formula reads", Method(typeof(InputProjection), nameof(InputProjection.ForwardV1)), ProjectedShapes, NoConstants, NoProjection,
            shape => InputForward(shape, (rows, channels) => Blocks((long)rows * channels, Threads))) { Name = "input_projection_v1" },
        new(nameof(InputProjection), "eight rows a thread: weight and bias stay in registers, the number of channels a constant", Method(typeof(InputProjection), nameof(InputProjection.ForwardV2)), ProjectedShapes,
            ProjectedChannels, NoProjection, shape => InputForward(shape, (rows, channels) => Blocks((long)Blocks(rows, InputProjection.RowsV2) * channels, Threads))) { Name = "input_projection_v2" },
        StoredInput<Half, F16>("input_projection_v3_half"), StoredInput<BFloat16, BF16>("input_projection_v3_bf16"),
    ];

    private static KernelTrial InputForward(KernelShape shape, Func<int, int, int> blocks, Storage? storage = null)
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], itemRows = rows + 2 * Margin;
        float[] audio = Random(41, (long)batch * rows, 1), weight = Random(42, channels, 1), bias = Random(43, channels, 1), naive = new float[batch * rows * channels];
        double[] expected = new double[naive.Length], magnitude = new double[naive.Length];
        InputProjection.Reference(audio, weight, bias, expected.AsSpan());
        InputProjection.Reference(audio, weight, bias, naive.AsSpan());
        InputProjection.Reference(Absolute(audio), Absolute(weight), Absolute(bias), magnitude.AsSpan());
        float[] x = Placed(Unwritten(naive.Length), rows, channels, itemRows, Margin, Kept);
        object target = new RowsOf<float>(x, itemRows, Margin, channels);
        KernelOutput output = KernelOutput.Float32("x", x, Placed(expected, rows, channels, itemRows, Margin, Kept), Placed(naive, rows, channels, itemRows, Margin, Kept), Largest(magnitude));
        if (storage is not null) (target, output) = storage(x, itemRows, Margin, channels, output);
        return new KernelTrial(
            [new(new(blocks(rows, channels), 1, batch), new(Threads, 1, 1), 0, new RowsOf<float>(Placed(audio, rows, 1, itemRows, Margin, float.NaN), itemRows, Margin, 1),
                Misaligned(weight), Misaligned(bias), target, rows)],
            InputProjection.ForwardCost((long)batch * rows, channels, storage is null ? sizeof(float) : 2), [output]);
    }

    private static IReadOnlyList<KernelVersion> Heads =>
    [
        new(nameof(Head), "one thread a row", Method(typeof(Head), nameof(Head.ForwardV1)), ProjectedShapes, NoConstants, NoProjection, shape => HeadForward(shape, Threads)) { Name = "head_v1" },
        new(nameof(Head), "sixteen lanes a row, four channels each at a time, their sums joined by shuffles", Method(typeof(Head), nameof(Head.ForwardV2)), ProjectedShapes,
            ProjectedChannels, shape => NoProjection(shape) ?? NotFours(shape, "channels"), shape => HeadForward(shape, Head.RowsV2)) { Name = "head_v2" },
        WholeHead<Half, F16>("head_v3_half"), WholeHead<BFloat16, BF16>("head_v3_bf16"),
    ];

    private static KernelTrial HeadForward(KernelShape shape, int rowsPerBlock)
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], itemRows = rows + 2 * Margin;
        float[] h = Random(44, (long)batch * rows * channels, 1), weight = Random(45, channels, 1), bias = Random(46, 1, 1), eps = Placed(Unwritten((long)batch * rows), rows, 1, itemRows, Margin, Kept);
        return new KernelTrial(
            [new(new(Blocks(rows, rowsPerBlock), 1, batch), new(Threads, 1, 1), 0, new RowsOf<float>(Placed(h, rows, channels, itemRows, Margin, float.NaN), itemRows, Margin, channels), Misaligned(weight), Misaligned(bias),
                new RowsOf<float>(eps, itemRows, Margin, 1), rows)],
            Head.ForwardCost((long)batch * rows, channels), () =>
            {
                float[] naive = new float[batch * rows];
                double[] expected = new double[naive.Length], magnitude = new double[naive.Length];
                Head.Reference(h, weight, bias[0], expected.AsSpan());
                Head.Reference(h, weight, bias[0], naive.AsSpan());
                Head.Reference(Absolute(h), Absolute(weight), Math.Abs(bias[0]), magnitude.AsSpan());
                return [KernelOutput.Float32("eps", eps, Placed(expected, rows, 1, itemRows, Margin, Kept), Placed(naive, rows, 1, itemRows, Margin, Kept), Largest(magnitude))];
            });
    }

    private static IReadOnlyList<KernelVersion> WeightLayouts
    {
        get
        {
            KernelShape Shape(long layers, long outputs, long inputs, long taps) => new(("layers", layers), ("outputs", outputs), ("inputs", inputs), ("taps", taps));
            KernelShape[] shapes = [Shape(1, 128, 64, 3), Shape(1, 1, 1, 1), Shape(3, 32, 16, 3), Shape(2, 48, 24, 1), Shape(3, 5, 7, 2)];
            string? Problem(KernelShape shape) =>
                shape["layers"] < 1 || shape["outputs"] < 1 || shape["inputs"] < 1 || shape["taps"] < 1 ? "layers, outputs, inputs and taps are at least 1" : null;
            const string idea = "one thread an element of the packed weights";
            return
            [
                new(nameof(WeightLayout), idea, Method(typeof(WeightLayout), nameof(WeightLayout.ForwardV1)), shapes, NoConstants, Problem, shape => Packed(shape, false)) { Name = "weight_layout_v1" },
                new(nameof(WeightLayout), idea, Method(typeof(WeightLayout), nameof(WeightLayout.BackwardV1)), shapes, NoConstants, Problem, shape => Packed(shape, true)) { Name = "weight_layout_backward_v1" },
            ];
        }
    }

    private static KernelTrial Packed(KernelShape shape, bool backward)
    {
        const int gap = 3; // values of other tensors between two layers
        int layers = (int)shape["layers"], outputs = (int)shape["outputs"], inputs = (int)shape["inputs"], taps = (int)shape["taps"], values = outputs * inputs * taps;
        float[] weight = Random(47, (long)layers * (values + gap), 1), packed = Unwritten((long)layers * values);
        double[] expected = new double[packed.Length];
        for (int layer = 0; layer < layers; layer++)
        {
            ReadOnlySpan<float> from = weight.AsSpan(layer * (values + gap), values);
            Span<double> to = expected.AsSpan(layer * values, values);
            if (backward) WeightLayout.ReferenceBackward(from, to, outputs, inputs);
            else WeightLayout.Reference(from, to, outputs, inputs);
        }
        return new KernelTrial([new(new(Blocks(values, Threads), 1, layers), new(Threads, 1, 1), 0, Misaligned(weight), packed, outputs, inputs, taps, values + gap)], WeightLayout.PackCost(packed.Length),
            [new("packed", packed, expected, double.Epsilon, "a copy")]);
    }
}
