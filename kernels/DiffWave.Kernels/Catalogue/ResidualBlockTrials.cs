namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> ResidualBlocks
    {
        get
        {
            var float32 = new BlockPrecision<float>(value => value, value => value, OperandBits: 24, StoredBits: 24, SumsAtOnce: 1, GateError: 0);
            return
            [
                new(nameof(ResidualBlock), "float32 without rounded operands, a block a row: a thread the gate of some channels, then, from z in shared memory, some outputs",
                    Method(typeof(ResidualBlock), nameof(ResidualBlock.ForwardV1)), [.. BlockShapes(64, 80).Take(1), .. BlockShapes(24, 5), BlockShape(2, 4, 7, 3, 1, 1, 0, 1, 1)],
                    shape => new Dictionary<string, object> { ["hasMel"] = shape["bands"] > 0, ["gateFirst"] = shape["gateFirst"] != 0 }, BlockProblem, shape =>
                    {
                        var trial = new BlockTrial<float>(shape, float32);
                        return trial.Of(new KernelLaunch(new(trial.Rows, 1, trial.Batch), new(128, 1, 1), sizeof(float) * trial.Channels, trial.X, trial.Mel, trial.Weights.Dilated,
                            trial.Weights.Conditioner, trial.Weights.Output, trial.Bias, trial.Edges, trial.OutputBias, trial.Y, trial.Skips, trial.Rows, trial.Before, trial.After, trial.Dilation, trial.Layer, trial.Layers));
                    }) { Name = "residual_block_v1" },
            ];
        }
    }

    private const int BlockLayers = 3, BlockShared = 227 << 10; // bytes of shared memory that a block of sm_90 may have

    // layer: 0, the first, 1 or 2, the last.
    private static KernelShape BlockShape(long batch, long rows, long channels, long bands, long dilation, long before, long after, long layer, long gateFirst) => new(("batch", batch), ("rows", rows),
        ("channels", channels), ("bands", bands), ("dilation", dilation), ("before", before), ("after", after), ("layer", layer), ("gateFirst", gateFirst));

    // Shapes for every version of the residual block: the usual one, the inside of a long signal, first. Then one row, fewer rows than the dilation, rows that no tile divides, some rows or none beyond those
    // of the launch, odd dilations, and ends where only one of the outer taps exists.
    private static IReadOnlyList<KernelShape> BlockShapes(int channels, int bands) =>
    [
        BlockShape(1, 256, channels, bands, 8, 8, 8, 1, 0),
        BlockShape(3, 1, channels, 0, 1, 0, 0, 0, 1),
        BlockShape(1, 5, channels, bands, 8, 0, 3, 2, 1),
        BlockShape(2, 129, channels, bands, 2, 1, 0, 1, 1),
        BlockShape(1, 200, channels, 0, 64, 64, 10, 0, 0),
        BlockShape(1, 37, channels, bands, 3, 3, 1, 0, 0),
        BlockShape(2, 70, channels, bands, 512, 100, 600, 1, 0),
        BlockShape(1, 150, channels, 0, 16, 0, 0, 2, 1),
    ];

    private static string? BlockProblem(KernelShape shape) => shape["batch"] < 1 || shape["rows"] < 1 || shape["channels"] < 1 || shape["dilation"] < 1 ? "batch, rows, channels and dilation are at least 1"
        : shape["layer"] is < 0 or >= BlockLayers ? "layer is 0, 1 or 2, the last" : NoFlag(shape, "gateFirst");

    // Shapes of packed signals: batch is their number, and each has other rows. Several tiles and one, fewer rows than the dilation, a part of a signal at either end, a single signal, many of a few rows.
    private static IReadOnlyList<KernelShape> PackedShapes(int channels, int bands) =>
    [
        BlockShape(3, 200, channels, bands, 8, 8, 8, 1, 0),
        BlockShape(5, 300, channels, bands, 64, 10, 3, 0, 1),
        BlockShape(1, 70, channels, 0, 512, 100, 600, 2, 0),
        BlockShape(8, 3, channels, bands, 2, 0, 0, 1, 1),
    ];

    private static int[] PackedRows(KernelShape shape) =>
        [.. Enumerable.Range(0, (int)shape["batch"]).Select(signal => signal % 3 == 1 ? 1 : Math.Max(1, (int)shape["rows"] / (signal % 3 + 1) + signal))];

    // Constants of the versions on tensor cores that a shape does not decide.
    private readonly record struct BlockVariant(bool Keep = false, bool Packed = false)
    {
        public IReadOnlyDictionary<string, object> Constants(KernelShape shape) => new Dictionary<string, object>
        {
            ["channels"] = (int)shape["channels"], ["bands"] = (int)shape["bands"], ["gateFirst"] = shape["gateFirst"] != 0, ["keep"] = Keep, ["packed"] = Packed, ["early"] = false,
        };
    }

    // How a version stores and rounds. The products of SumsAtOnce operands are added to a sum with one rounding, or with one unit cut off.
    private sealed record BlockPrecision<T>(Func<float, T> Round, Func<T, float> Widen, int OperandBits, int StoredBits, int SumsAtOnce, double GateError) where T : unmanaged
    {
        public float Operand(float value) => Widen(Round(value));

        public T Store(float value) => StoredBits == 24 ? (T)(object)value : Round(value);
    }

    // Of a version on tensor cores; gateError: largest absolute error of tanh(filter) sigmoid(gate) besides float32's rounding of their arguments, by tanh.approx 2^-11 + 2^-12.
    private static BlockPrecision<T> TensorPrecision<T, P>(double gateError = 3.0 / (1 << 12)) where T : unmanaged where P : struct, IMatrixOperand<T> =>
        new(P.Round, P.Widen, P.Precision, typeof(T) == typeof(float) ? 24 : P.Precision, P.Depth / 2, gateError);

    // Data of a trial of the residual block. The biases are given as such: what they are folded from, step, label and the flavour of the residual, is BlockBias's affair. Whatever a launch has no business
    // with is NaN: rows around those that exist, weights and biases of other layers, skips before the first layer.
    private sealed class BlockTrial<T> where T : unmanaged
    {
        private const double Unit = 1.0 / (1 << 23);

        private readonly BlockPrecision<T> precision;
        private readonly bool gateFirst;
        private readonly float[] x, mel, skipsBefore;
        private readonly int[] signals; // rows of each of the packed signals, empty for a batch

        public BlockTrial(KernelShape shape, BlockPrecision<T> precision, BlockVariant variant = default)
        {
            this.precision = precision;
            signals = variant.Packed ? PackedRows(shape) : [];
            (Batch, Rows, Channels, Bands, Dilation) = ((int)shape["batch"], (int)shape["rows"], (int)shape["channels"], (int)shape["bands"], (int)shape["dilation"]);
            (Before, After, Layer, gateFirst) = ((int)shape["before"], (int)shape["after"], (int)shape["layer"], shape["gateFirst"] != 0);
            if (variant.Packed) (Batch, Rows) = (1, signals.Sum());
            int held = Before + Rows + After, outputs = 2 * Channels;
            float scale = 2 / MathF.Sqrt(3 * Channels), outputScale = 2 / MathF.Sqrt(Channels); // h and z are of the order of 1
            Weights = new(Random(61, 3L * outputs * Channels, scale), Random(62, (long)outputs * Bands, scale), Random(63, (long)outputs * Channels, outputScale));
            (x, mel, skipsBefore) = (Stored(64, Batch * held * Channels), Stored(65, Batch * Rows * Bands), Layer == 0 ? [] : Stored(66, Batch * Rows * Channels));
            (Bias, Edges, OutputBias) = (OfLayer(67, outputs), OfLayer(68, 2 * outputs), OfLayer(69, outputs));

            int itemRows = Rows + 2 * Margin;
            T none = precision.Store(float.NaN), kept = precision.Store(Kept);
            X = new(Placed(InStorage(x), held, Channels, held + 2 * Margin, Margin, none), held + 2 * Margin, Margin + Before, Channels);
            Mel = Bands == 0 ? new Rows<T>() : new RowsOf<T>(Placed(InStorage(mel), Rows, Bands, itemRows, Margin, none), itemRows, Margin, Bands);
            Y = new(Placed(InStorage(Filled(Last ? Kept : float.NaN, Channels)), Rows, Channels, itemRows, Margin, kept), itemRows, Margin, Channels);
            Skips = new(Placed(InStorage(Layer == 0 ? Filled(float.NaN, Channels) : skipsBefore), Rows, Channels, itemRows, Margin, kept), itemRows, Margin, Channels);

            H = variant.Keep ? new RowsOf<T>(Placed(InStorage(Filled(float.NaN, outputs)), Rows, outputs, itemRows, Margin, kept), itemRows, Margin, outputs) : new Rows<T>();

            float[] Filled(float value, int width)
            {
                float[] values = new float[Batch * Rows * width];
                Array.Fill(values, value);
                return values;
            }
        }

        public int Batch { get; private init; }

        public int Rows { get; }

        public int Channels { get; }

        // M, 0 without a mel.
        public int Bands { get; }

        public int Dilation { get; }

        public int Before { get; }

        public int After { get; }

        public int Layer { get; }

        public int Layers => BlockLayers;

        // In PyTorch order, not rounded.
        public ResidualBlock.Weights Weights { get; }

        // [B, L, 2C], [B, L, 2, 2C], [B, L, 2C].
        public float[] Bias { get; }

        public float[] Edges { get; }

        public float[] OutputBias { get; }

        // q, the number of tiles and their table, which is empty for a batch.
        public (int Neighbours, int Tiles, object Parts) Tiles(int tileRows, Func<int, int> sharedBytes)
        {
            int[] rows = signals.Length > 0 ? signals : [Rows];
            int neighbours = PackedSignals.Neighbours(rows, Dilation, tileRows);
            while (neighbours > 1 && sharedBytes(neighbours) > BlockShared) neighbours /= 2; // where one is too many still, the device refuses the launch
            int tiles = Batch * rows.Sum(each => TimeTile.Count(each, Dilation, neighbours, tileRows));
            return (neighbours, tiles, signals.Length > 0 ? PackedSignals.Table(rows, Dilation, neighbours, tileRows) : new ArrayView<int>());
        }

        public RowsOf<T> X { get; }

        // RowsOf<T>, or no rows without a mel.
        public object Mel { get; }

        public RowsOf<T> Y { get; }

        public RowsOf<T> Skips { get; }

        // RowsOf<T>, or no rows where it is not kept.
        public object H { get; }

        private bool Last => Layer == BlockLayers - 1;

        // The weights of all layers as BlockWeights packs them.
        public T[] Packed(int depth)
        {
            int size = BlockWeights.Size(Channels, Bands);
            T[] packed = new T[BlockLayers * size];
            Array.Fill(packed, precision.Round(float.NaN));
            BlockWeights.Reference(Weights, packed.AsSpan(Layer * size, size), Channels, Bands, depth, gateFirst, precision.Round);
            return packed;
        }

        public KernelTrial Of(params IReadOnlyList<KernelLaunch> launches)
        {
            return new KernelTrial(launches, ResidualBlock.ForwardCost(Batch, Rows, Channels, Bands, Layer, BlockLayers, System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), H is RowsOf<T>), () =>
            {
                var (h, y, skips) = Results<double>();
                var (_, yNaive, skipsNaive) = precision.OperandBits == 24 ? Results<float>() : ([], [], []);
                return
                [
                    Last ? KernelOutput.Exact("y", Y.Array, Framed(Array.ConvertAll(y, _ => (double)Kept))) : Output("y", Y.Array, y, yNaive, 0, Math.Sqrt(0.5)),
                    Output("skips", Skips.Array, skips, skipsNaive, Channels, 1), .. H is RowsOf<T> kept ? [Hidden(kept.Array, h)] : Array.Empty<KernelOutput>(),
                ];
            });
        }

        private (TResult[] H, TResult[] Y, TResult[] Skips) Results<TResult>() where TResult : System.Numerics.IFloatingPointIeee754<TResult>
        {
            int size = Rows * Channels, held = (Before + Rows + After) * Channels, outputs = 2 * Channels;
            TResult[] y = new TResult[Batch * size], skips = new TResult[y.Length], h = new TResult[2 * y.Length], z = new TResult[size];
            for (int item = 0; item < Batch && signals.Length == 0; item++) Signal(item, item * held, item * size, size, Before, After);
            for (int signal = 0, first = 0; signal < signals.Length; first += signals[signal++] * Channels)
            {
                int before = signal == 0 ? Before : 0, after = signal == signals.Length - 1 ? After : 0;
                Signal(signal, first + (Before - before) * Channels, first, signals[signal] * Channels, before, after);
            }
            return (h, y, skips);

            // Values of x from one on, and of the others.
            void Signal(int item, int firstHeld, int first, int count, int before, int after) =>
                ResidualBlock.Reference(x.AsSpan(firstHeld, count + (before + after) * Channels), mel.AsSpan(first / Channels * Bands, count / Channels * Bands), Weights, At(Bias, item, outputs), At(Edges, item, 2 * outputs),
                    At(OutputBias, item, outputs), Layer == 0 ? [] : skipsBefore.AsSpan(first, count), h.AsSpan(2 * first, 2 * count), z, y.AsSpan(first, count), skips.AsSpan(first, count), before, Dilation, gateFirst,
                    precision.Operand);
        }

        private TResult[] Framed<TResult>(TResult[] values) where TResult : System.Numerics.INumberBase<TResult> =>
            Placed(values, Rows, values.Length / (Batch * Rows), Rows + 2 * Margin, Margin, TResult.CreateChecked(Kept));

        // A result that is factor times the sum of what was there before, at most 1, and outputs from one on.
        // On tensor cores it may differ by what the roundings come to at most: units of 2^-23 of the largest sum of magnitudes for every addition to a float32 sum, the error of the gate, the roundings of z
        // and of the result. An error e of h is one of 5/4 e of z, because |tanh'| <= 1, |sigmoid'| <= 1/4 and neither function exceeds 1; errors of z reach a result by the magnitudes of its weights.
        private KernelOutput Output(string name, Array array, double[] results, float[] naive, int firstOutput, double factor)
        {
            double weights = 0;
            for (int o = firstOutput; o < firstOutput + Channels; o++) weights = Math.Max(weights, Sum(Weights.Output.AsSpan(o * Channels, Channels)));
            double sum = weights + LargestOf(OutputBias) + 1; // |z| is at most 1
            if (naive.Length > 0) return KernelOutput.Float32(name, (float[])array, Framed(results), Framed(naive), factor * sum);
            double z = 1.25 * HiddenError() + precision.GateError + Math.ScaleB(1, -precision.OperandBits - 1);
            double bound = factor * (weights * z + (Additions(Channels) + 3) * Unit * sum) + Math.ScaleB(results.Max(Math.Abs), -precision.StoredBits);
            return new KernelOutput(name, array, Framed(results), bound, "float32 sums, the gate's error, roundings of the gate and of the result");
        }

        private KernelOutput Hidden(Array array, double[] results) => new("h", array, Framed(results), HiddenError() + Math.ScaleB(results.Max(Math.Abs), -precision.StoredBits),
            "float32 sums, and the rounding of the result");

        // What the additions of an h come to at most.
        private double HiddenError()
        {
            double h = 0;
            for (int o = 0; o < 2 * Channels; o++) h = Math.Max(h, Sum(Weights.Dilated.AsSpan(o * 3 * Channels, 3 * Channels)) + Sum(Weights.Conditioner.AsSpan(o * Bands, Bands)));
            return (Additions(3 * Channels + Bands) + 3) * Unit * (h + LargestOf(Bias) + 2 * LargestOf(Edges));
        }

        private int Additions(int products) => (products + precision.SumsAtOnce - 1) / precision.SumsAtOnce;

        private static double Sum(ReadOnlySpan<float> values)
        {
            double sum = 0;
            foreach (float value in values) sum += Math.Abs(value);
            return sum;
        }

        private static double LargestOf(float[] values) => values.Where(float.IsFinite).Max(Math.Abs);

        // Values between -1 and 1 as the storage holds them.
        private float[] Stored(int seed, int count) => [.. Random(seed, count, 1).Select(value => precision.Widen(precision.Store(value)))];

        private T[] InStorage(float[] values) => [.. values.Select(precision.Store)];

        // [B, L, count], for this layer alone.
        private float[] OfLayer(int seed, int count)
        {
            int items = Math.Max(Batch, signals.Length);
            float[] values = Unwritten((long)items * BlockLayers * count), random = Random(seed, (long)items * count, 0.5f);
            for (int item = 0; item < items; item++) Array.Copy(random, item * count, values, (item * BlockLayers + Layer) * count, count);
            return values;
        }

        private ReadOnlySpan<float> At(float[] values, int item, int count) => values.AsSpan((item * BlockLayers + Layer) * count, count);
    }
}
