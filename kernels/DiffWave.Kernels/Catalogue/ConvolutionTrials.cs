namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private const int Margin = 2; // rows of a buffer before and behind those that exist, not to be read or written
    private const float Kept = 7; // what stands there where a kernel writes
    private const string TileIdea = "128 rows x 64 outputs a block by RowProduct, packed weights through shared memory, 8 x 8 sums a thread";

    private static IReadOnlyList<KernelVersion> DilatedConvs
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long dilation, long before, long after, long label, long conditioner) => new(("batch", batch), ("rows", rows), ("channels", channels),
                ("dilation", dilation), ("before", before), ("after", after), ("hasLabel", label), ("hasConditioner", conditioner));
            KernelShape[] any = [Shape(1, 128, 64, 4, 4, 4, 0, 1), Shape(3, 1, 16, 1, 0, 0, 1, 1), Shape(1, 5, 24, 8, 0, 3, 0, 0), Shape(2, 33, 16, 2, 1, 0, 1, 0), Shape(1, 3, 128, 2, 2, 2, 0, 1), Shape(1, 2, 256, 1, 0, 1, 1, 1), Shape(2, 4, 7, 1, 1, 1, 1, 1)];
            KernelShape[] fours = [.. any.Where(shape => shape["channels"] % 4 == 0), Shape(1, 130, 12, 3, 1, 2, 1, 1)];
            string? Problem(KernelShape shape) => shape["batch"] < 1 || shape["rows"] < 1 || shape["channels"] < 1 || shape["dilation"] < 1 ? "batch, rows, channels and dilation are at least 1"
                : shape["before"] < 0 || shape["after"] < 0 ? "before and after are at least 0" : NoFlag(shape, "hasLabel", "hasConditioner");
            IReadOnlyDictionary<string, object> Constants(KernelShape shape) => Flags(shape, "hasLabel", "hasConditioner");
            return
            [
                new(nameof(DilatedConv), "one thread an element, as the formula reads", Method(typeof(DilatedConv), nameof(DilatedConv.ForwardV1)), any, Constants, Problem, DilatedV1) { Name = "dilated_conv_v1" },
                new(nameof(DilatedConv), "128 rows x 64 outputs a block by RowProduct: taps and packed weights through shared memory, 8 x 8 sums a thread",
                    Method(typeof(DilatedConv), nameof(DilatedConv.ForwardV2)), fours, Constants, shape => Problem(shape) ?? NotFours(shape, "channels"), DilatedV2) { Name = "dilated_conv_v2" },
            ];
        }
    }

    private static KernelTrial DilatedV1(KernelShape shape)
    {
        DilatedTrial trial = new(shape);
        return trial.Of(new KernelLaunch(new(Blocks((long)trial.Rows * trial.Outputs, Threads), 1, trial.Batch), new(Threads, 1, 1), 0, trial.Arguments(Misaligned(trial.Weight))));
    }

    private static KernelTrial DilatedV2(KernelShape shape)
    {
        DilatedTrial trial = new(shape);
        return trial.Of(new KernelLaunch(new(RowProduct.Blocks(trial.Rows, trial.Outputs), 1, trial.Batch), new(RowProduct.Threads, 1, 1), 0, trial.Arguments(ForwardOrder(trial.Weight, trial.Outputs, trial.Channels))));
    }

    private static float[] ForwardOrder(float[] weight, int outputs, int inputs)
    {
        float[] packed = new float[weight.Length];
        WeightLayout.Reference(weight, packed.AsSpan(), outputs, inputs);
        return packed;
    }

    private static string? NotFours(KernelShape shape, params string[] names) => names.FirstOrDefault(name => shape[name] % 4 != 0) is { } wrong ? $"{wrong} is a multiple of 4" : null;

    // Data of a trial of the dilated convolution, layer 1 of 3.
    private sealed class DilatedTrial
    {
        private const int Layer = 1, Layers = 3;
        private readonly int before, after, dilation;
        private readonly bool hasLabel, hasConditioner;
        private readonly float[] x, step, bias, label, conditioner, h;

        public DilatedTrial(KernelShape shape)
        {
            (Batch, Rows, Channels, dilation) = ((int)shape["batch"], (int)shape["rows"], (int)shape["channels"], (int)shape["dilation"]);
            (before, after, hasLabel, hasConditioner) = ((int)shape["before"], (int)shape["after"], shape["hasLabel"] != 0, shape["hasConditioner"] != 0);
            int held = before + Rows + after;
            (x, step, label) = (Random(11, (long)Batch * held * Channels, 1), Random(12, (long)Batch * Layers * Channels, 1), Random(13, (long)Batch * Layers * Outputs, 1));
            (Weight, bias, conditioner) = (Random(14, (long)Outputs * Channels * 3, 1), Random(15, Outputs, 1), Random(16, (long)Batch * Rows * Outputs, 1));
            h = Placed(Unwritten((long)Batch * Rows * Outputs), Rows, Outputs, Rows + 2 * Margin, Margin, Kept);
        }

        public int Batch { get; }

        public int Rows { get; }

        public int Channels { get; }

        public int Outputs => 2 * Channels;

        public float[] Weight { get; }

        public object[] Arguments(object weight)
        {
            int held = before + Rows + after, ring = Rows + 1; // one row more than is read, so that the ring turns inside the launch and a row of it is none of ours
            return
            [
                new RowsOf<float>(Placed(x, held, Channels, held + 2 * Margin, Margin, float.NaN), held + 2 * Margin, Margin + before, Channels), step, weight, Misaligned(bias),
                hasLabel ? label : new ArrayView<float>(), hasConditioner ? new RowsOf<float>(Placed(conditioner, Rows, Outputs, ring, Rows / 2 + 1, float.NaN), ring, Rows / 2 + 1, Outputs) : new Rows<float>(),
                new RowsOf<float>(h, Rows + 2 * Margin, Margin, Outputs), Rows, before, after, dilation, Layer, Layers,
            ];
        }

        public KernelTrial Of(params IReadOnlyList<KernelLaunch> launches) => new(launches, DilatedConv.ForwardCost((long)Batch * Rows, Channels, hasConditioner), () =>
        {
            double[] expected = new double[Batch * Rows * Outputs], magnitude = new double[expected.Length];
            float[] naive = new float[expected.Length];
            for (int item = 0; item < Batch; item++)
            {
                Compute(item, expected.AsSpan(), values => values);
                Compute(item, naive.AsSpan(), values => values);
                Compute(item, magnitude.AsSpan(), Absolute);
            }
            int itemRows = Rows + 2 * Margin;
            return [KernelOutput.Float32("h", h, Placed(expected, Rows, Outputs, itemRows, Margin, Kept), Placed(naive, Rows, Outputs, itemRows, Margin, Kept), Largest(magnitude))];
        });

        private void Compute<T>(int item, Span<T> results, Func<float[], float[]> values) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            int held = (before + Rows + after) * Channels, part = Rows * Outputs, itemLayer = item * Layers + Layer;
            DilatedConv.Reference(values(x).AsSpan(item * held, held), values(step).AsSpan(itemLayer * Channels, Channels), values(Weight), values(bias),
                hasLabel ? values(label).AsSpan(itemLayer * Outputs, Outputs) : [], hasConditioner ? values(conditioner).AsSpan(item * part, part) : [], results.Slice(item * part, part), before, dilation);
        }
    }

    private static IReadOnlyList<KernelVersion> ResidualOutputs
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long layer, long includesStep) => new(("batch", batch), ("rows", rows), ("channels", channels), ("layer", layer), ("includesStep", includesStep));
            KernelShape[] any = [Shape(1, 128, 64, 1, 0), Shape(3, 1, 16, 0, 1), Shape(1, 33, 24, 2, 0), Shape(2, 5, 128, 1, 1), Shape(1, 3, 256, 1, 0), Shape(1, 2, 7, 0, 0)];
            KernelShape[] fours = [.. any.Where(shape => shape["channels"] % 4 == 0), Shape(1, 129, 12, 1, 1), Shape(1, 3, 64, 2, 0)];
            string? Problem(KernelShape shape) => shape["batch"] < 1 || shape["rows"] < 1 || shape["channels"] < 1 ? "batch, rows and channels are at least 1"
                : shape["layer"] is < 0 or > 2 ? "layer is 0, 1 or 2, the last" : NoFlag(shape, "includesStep");
            IReadOnlyDictionary<string, object> Constants(KernelShape shape) => Flags(shape, "includesStep");
            return
            [
                new(nameof(ResidualOutput), "one thread an element of (residual, skip)", Method(typeof(ResidualOutput), nameof(ResidualOutput.ForwardV1)), any, Constants, Problem,
                    shape => Residual(shape, (weight, rows, channels, _) => (Misaligned(weight), Blocks((long)rows * 2 * channels, Threads), Threads))) { Name = "residual_output_v1" },
                new(nameof(ResidualOutput), TileIdea, Method(typeof(ResidualOutput), nameof(ResidualOutput.ForwardV2)), fours, Constants, shape => Problem(shape) ?? NotFours(shape, "channels"),
                    shape => Residual(shape, (weight, rows, channels, last) => (ForwardOrder(weight, 2 * channels, channels), RowProduct.Blocks(rows, last ? channels : 2 * channels), RowProduct.Threads)))
                    { Name = "residual_output_v2" },
            ];
        }
    }

    // What of the weights a version reads, its blocks along x and their threads, from weights, rows, channels and whether there is a residual.
    private delegate (object Weight, int Blocks, int Threads) ResidualLaunch(float[] weight, int rows, int channels, bool last);

    private static KernelTrial Residual(KernelShape shape, ResidualLaunch launch)
    {
        const int layers = 3;
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], layer = (int)shape["layer"], size = rows * channels, itemRows = rows + 2 * Margin;
        bool includesStep = shape["includesStep"] != 0, last = layer == layers - 1;
        float[] x = Random(21, (long)batch * size, 1), gated = Random(22, (long)batch * size, 1), step = Random(23, (long)batch * layers * channels, 1);
        float[] weight = Random(24, 2L * channels * channels, 1), bias = Random(25, 2 * channels, 1), skipsBefore = layer == 0 ? Unwritten((long)batch * size) : Random(26, (long)batch * size, 1);
        (T[] Y, T[] Skips) Results<T>(Func<float[], float[]> values) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] y = new T[batch * size], skips = new T[batch * size];
            for (int item = 0; item < batch; item++)
                ResidualOutput.Reference(values(x).AsSpan(item * size, size), includesStep ? values(step).AsSpan((item * layers + layer) * channels, channels) : [], values(gated).AsSpan(item * size, size),
                    values(weight), values(bias), layer == 0 ? [] : values(skipsBefore).AsSpan(item * size, size), y.AsSpan(item * size, size), skips.AsSpan(item * size, size));
            if (last) Array.Fill(y, T.CreateChecked(Kept));
            return (Framed(y, T.CreateChecked(Kept)), Framed(skips, T.CreateChecked(Kept)));
        }
        T[] Framed<T>(T[] values, T around) => Placed(values, rows, channels, itemRows, Margin, around);
        RowsOf<float> Window(float[] buffer) => new(buffer, itemRows, Margin, channels);
        float[] yArray = Framed(Unwritten((long)batch * size), Kept), skipsArray = Framed(skipsBefore, Kept);
        if (last) Array.Fill(yArray, Kept); // stays as it is
        var (read, blocks, threads) = launch(weight, rows, channels, last);
        return new KernelTrial([new(new(blocks, 1, batch), new(threads, 1, 1), 0, Window(Framed(x, float.NaN)), Window(Framed(gated, float.NaN)), step, read, Misaligned(bias), Window(yArray), Window(skipsArray), rows, layer, layers)],
            ResidualOutput.ForwardCost((long)batch * rows, channels, layer, layers), () =>
            {
                var (yExpected, skipsExpected) = Results<double>(values => values);
                var (yNaive, skipsNaive) = Results<float>(values => values);
                var (yMagnitude, skipsMagnitude) = Results<double>(Absolute);
                return [KernelOutput.Float32("y", yArray, yExpected, yNaive, Largest(yMagnitude)), KernelOutput.Float32("skips", skipsArray, skipsExpected, skipsNaive, Largest(skipsMagnitude))];
            });
    }

    private static IReadOnlyList<KernelVersion> PointwiseConvs
    {
        get
        {
            KernelShape Shape(long batch, long rows, long inputs, long outputs, long relu) => new(("batch", batch), ("rows", rows), ("inputs", inputs), ("outputs", outputs), ("relu", relu));
            KernelShape[] any = [Shape(1, 128, 80, 128, 0), Shape(3, 1, 16, 16, 1), Shape(1, 33, 24, 24, 1), Shape(2, 5, 80, 256, 0), Shape(1, 3, 256, 256, 1), Shape(2, 4, 5, 7, 0)];
            KernelShape[] fours = [.. any.Where(shape => shape["inputs"] % 4 == 0), Shape(1, 129, 12, 68, 1)];
            string? Problem(KernelShape shape) => shape["batch"] < 1 || shape["rows"] < 1 || shape["inputs"] < 1 || shape["outputs"] < 1 ? "batch, rows, inputs and outputs are at least 1" : NoFlag(shape, "relu");
            IReadOnlyDictionary<string, object> Constants(KernelShape shape) => Flags(shape, "relu");
            return
            [
                new(nameof(PointwiseConv), "one thread an element, as the formula reads", Method(typeof(PointwiseConv), nameof(PointwiseConv.ForwardV1)), any, Constants, Problem,
                    shape => Pointwise(shape, (weight, rows, inputs, outputs) => (Misaligned(weight), Blocks((long)rows * outputs, Threads), Threads))) { Name = "pointwise_conv_v1" },
                new(nameof(PointwiseConv), TileIdea, Method(typeof(PointwiseConv), nameof(PointwiseConv.ForwardV2)), fours, Constants, shape => Problem(shape) ?? NotFours(shape, "inputs", "outputs"),
                    shape => Pointwise(shape, (weight, rows, inputs, outputs) => (ForwardOrder(weight, outputs, inputs), RowProduct.Blocks(rows, outputs), RowProduct.Threads))) { Name = "pointwise_conv_v2" },
            ];
        }
    }

    // The weights as a version reads them, its blocks along x and their threads.
    private delegate (object Weight, int Blocks, int Threads) PointwiseLaunch(float[] weight, int rows, int inputs, int outputs);

    private static KernelTrial Pointwise(KernelShape shape, PointwiseLaunch launch)
    {
        const float scale = 0.18257418f; // 1 / sqrt(30)
        int batch = (int)shape["batch"], rows = (int)shape["rows"], inputs = (int)shape["inputs"], outputs = (int)shape["outputs"], ring = rows + 1;
        bool relu = shape["relu"] != 0;
        float[] x = Random(31, (long)batch * rows * inputs, 1), weight = Random(32, (long)outputs * inputs, 1), bias = Random(33, outputs, 1);
        T[] Turned<T>(T[] values, T around) => Placed(values, rows, outputs, ring, rows / 2 + 1, around);
        float[] y = Turned(Unwritten((long)batch * rows * outputs), Kept);
        var (read, blocks, threads) = launch(weight, rows, inputs, outputs);
        return new KernelTrial(
            [new(new(blocks, 1, batch), new(threads, 1, 1), 0, new RowsOf<float>(Placed(x, rows, inputs, rows + 2 * Margin, Margin, float.NaN), rows + 2 * Margin, Margin, inputs), read, Misaligned(bias),
                new RowsOf<float>(y, ring, rows / 2 + 1, outputs), rows, scale)],
            PointwiseConv.ForwardCost((long)batch * rows, inputs, outputs), () =>
            {
                double[] expected = new double[batch * rows * outputs], magnitude = new double[expected.Length];
                float[] naive = new float[expected.Length];
                PointwiseConv.Reference(x, weight, bias, expected.AsSpan(), scale, relu);
                PointwiseConv.Reference(x, weight, bias, naive.AsSpan(), scale, relu);
                PointwiseConv.Reference(Absolute(x), Absolute(weight), Absolute(bias), magnitude.AsSpan(), scale, relu);
                return [KernelOutput.Float32("y", y, Turned(expected, Kept), Turned(naive, Kept), Largest(magnitude))];
            });
    }
}
