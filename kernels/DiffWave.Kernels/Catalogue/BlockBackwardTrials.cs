namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> BlockWeightsBackwards
    {
        get
        {
            KernelShape Shape(long layers, long channels) => new(("layers", layers), ("channels", channels));
            string? Problem(KernelShape shape) => shape["layers"] < 1 || shape["channels"] < 1 ? "layers and channels are at least 1" : NotThirtyTwos(shape);
            KernelShape[] shapes = [Shape(2, 64), Shape(1, 32), Shape(7, 96), Shape(1, 128)];
            KernelVersion Fast<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(BlockWeightsBackward), "16 bits, one thread the 16 bytes of a lane in one store",
                Method(typeof(BlockWeightsBackward), nameof(BlockWeightsBackward.PackV2), typeof(T), typeof(P)), shapes, NoConstants, Problem, shape => PackingBackward(shape, P.Round, P.Widen, 8)) { Name = name };
            return
            [
                new(nameof(BlockWeightsBackward), "float32, one thread a value", Method(typeof(BlockWeightsBackward), nameof(BlockWeightsBackward.PackV1)), shapes, NoConstants, Problem,
                    shape => PackingBackward(shape, value => value, value => value, 1)) { Name = "block_weights_backward_v1" },
                Fast<Half, F16>("block_weights_backward_v2"), Fast<BFloat16, BF16>("block_weights_backward_v2_bf16"),
            ];
        }
    }

    // An arena of several layers, with something else before each tensor and behind it.
    private static KernelTrial PackingBackward<T>(KernelShape shape, Func<float, T> round, Func<T, float> widen, int valuesOfThread) where T : unmanaged
    {
        const int gap = 3;
        int layers = (int)shape["layers"], channels = (int)shape["channels"], size = BlockWeightsBackward.Size(channels), outputAt = 2 * gap + 6 * channels * channels, stride = outputAt + gap + 2 * channels * channels;
        float[] arena = Random(71, (long)layers * stride, 1);
        T[] packed = new T[layers * size], expected = new T[packed.Length];
        Array.Fill(packed, round(Kept));
        for (int layer = 0; layer < layers; layer++)
            BlockWeightsBackward.Reference(arena.AsSpan(layer * stride + gap, 6 * channels * channels), arena.AsSpan(layer * stride + outputAt, 2 * channels * channels), expected.AsSpan(layer * size, size), channels, round);
        return new KernelTrial([new(new(Blocks(size / valuesOfThread, Threads), 1, layers), new(Threads, 1, 1), 0, new PartOf(arena, gap), new PartOf(arena, outputAt), packed, channels, stride)],
            BlockWeightsBackward.PackCost(layers, channels, System.Runtime.CompilerServices.Unsafe.SizeOf<T>()), [KernelOutput.Exact("packed", packed, [.. expected.Select(value => (double)widen(value))])]);
    }

    private static IReadOnlyList<KernelVersion> ResidualBlockBackwards
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels, long dilation, long hasY, long gateFirst, long stepInResidual, long blocks) => new(("batch", batch), ("rows", rows), ("channels", channels),
                ("dilation", dilation), ("hasY", hasY), ("gateFirst", gateFirst), ("stepInResidual", stepInResidual), ("blocks", blocks));
            KernelShape[] shapes =
            [
                Shape(1, 256, 64, 8, 1, 0, 0, 2), Shape(3, 1, 64, 1, 1, 1, 1, 3), Shape(1, 5, 64, 8, 0, 1, 0, 1), Shape(2, 129, 64, 2, 1, 0, 1, 1), Shape(1, 200, 32, 64, 1, 1, 0, 1),
                Shape(1, 37, 32, 3, 0, 0, 1, 7), Shape(2, 70, 32, 512, 1, 0, 0, 2), Shape(1, 300, 64, 16, 0, 1, 1, 2), Shape(1, 1100, 32, 32, 1, 1, 1, 3),
            ];
            KernelShape[] streamed =
            [
                .. ((KernelShape[])[Shape(1, 256, 128, 8, 1, 0, 0, 1), Shape(1, 128, 256, 4, 1, 0, 0, 1), Shape(3, 1, 128, 1, 1, 1, 1, 3), Shape(1, 5, 256, 8, 0, 1, 0, 1), Shape(2, 129, 128, 2, 0, 0, 1, 1),
                    Shape(1, 200, 128, 64, 1, 1, 0, 3), Shape(1, 300, 128, 16, 0, 1, 1, 2), Shape(2, 67, 256, 512, 1, 0, 1, 2), Shape(1, 150, 256, 3, 1, 1, 1, 2)]).Select((shape, i) => new KernelShape([.. shape.Sizes, ("half", i / 5)])),
            ];
            string? Problem(KernelShape shape) => Unfit(shape, "hasY", "gateFirst", "stepInResidual");
            IReadOnlyDictionary<string, object> Constants(KernelShape shape) => Flags(shape, "hasY", "gateFirst", "stepInResidual");
            var float32 = new BlockPrecision<float>(value => value, value => value, OperandBits: 24, StoredBits: 24, SumsAtOnce: 1, GateActivation);
            KernelVersion Tensor<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(ResidualBlockBackward),
                "fp16 or bf16 on tensor cores: weights stay in shared memory, tiles run along the dilation, so that dh of a tile and its halo goes through shared memory once for all three taps",
                Method(typeof(ResidualBlockBackward), nameof(ResidualBlockBackward.BackwardV2), typeof(T), typeof(P)), shapes,
                shape => new Dictionary<string, object>(Constants(shape)) { ["channels"] = (int)shape["channels"] }, shape => Problem(shape) ?? (shape["channels"] is not (32 or 64) ? "channels is 32 or 64" : null),
                shape => BlockBackward(shape, TensorPrecision<T, P>(GateActivation), ResidentCut(shape))) { Name = name };
            KernelVersion Streamed<T, P>(string name, params int[] chosen) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(ResidualBlockBackward),
                "fp16 or bf16 on tensor cores: weights stream through a ring in shared memory, where dy, dskip and h of a tile wait to be multiplied",
                Method(typeof(ResidualBlockBackward), nameof(ResidualBlockBackward.BackwardV3), typeof(T), typeof(P)), [.. chosen.Select(index => streamed[index])],
                shape => new Dictionary<string, object>(Constants(shape)) { ["channels"] = (int)shape["channels"], ["tileRows"] = StreamedTileRows(shape) },
                shape => Unfit(shape, "hasY", "gateFirst", "stepInResidual", "half") ?? (shape["channels"] is not (128 or 256) ? "channels is 128 or 256" : null),
                shape => BlockBackward(shape, TensorPrecision<T, P>(GateActivation), StreamedCut(shape))) { Name = name };
            return
            [
                new(nameof(ResidualBlockBackward), "float32 without rounded operands, a block a row: dh of the rows its taps read into shared memory, then the taps; the row is its tile",
                    Method(typeof(ResidualBlockBackward), nameof(ResidualBlockBackward.BackwardV1)), [shapes[0], Shape(3, 1, 16, 1, 1, 1, 1, 1), Shape(1, 5, 24, 8, 0, 1, 0, 1), Shape(2, 29, 5, 2, 1, 0, 1, 1)],
                    Constants, Problem, shape => BlockBackward(shape, float32, null)) { Name = "residual_block_backward_v1" },
                Tensor<Half, F16>("residual_block_backward_v2"), Tensor<BFloat16, BF16>("residual_block_backward_v2_bf16"),
                Streamed<Half, F16>("residual_block_backward_v3", 0, 2, 4, 5, 6), Streamed<Half, F16>("residual_block_backward_v3_c256", 1, 3, 7, 8),
                Streamed<BFloat16, BF16>("residual_block_backward_v3_bf16", 0, 2, 5), Streamed<BFloat16, BF16>("residual_block_backward_v3_c256_bf16", 1, 8),
            ];
        }
    }

    // How a version on tensor cores cuts an item into tiles.
    private sealed record BlockBackwardCut(int TileRows, int Neighbours, int Threads, int SharedBytes);

    private static BlockBackwardCut ResidentCut(KernelShape shape)
    {
        int neighbours = ResidualBlockBackward.NeighboursV2((int)shape["rows"], (int)shape["dilation"]);
        return new(ResidualBlockBackward.TileRowsV2, neighbours, ResidualBlockBackward.ThreadsV2, ResidualBlockBackward.SharedBytesV2((int)shape["channels"], neighbours));
    }

    // Half of the rows as on devices with 163 KiB of shared memory a block.
    private static int StreamedTileRows(KernelShape shape) => ResidualBlockBackward.TileRowsV3((int)shape["channels"], shape["half"] == 1 ? 163 << 10 : BlockShared);

    private static BlockBackwardCut StreamedCut(KernelShape shape)
    {
        int channels = (int)shape["channels"], tileRows = StreamedTileRows(shape);
        return new(tileRows, ResidualBlockBackward.NeighboursV3((int)shape["rows"], (int)shape["dilation"], channels, tileRows), ResidualBlockBackward.ThreadsV3, ResidualBlockBackward.SharedBytesV3(channels, tileRows));
    }

    // The gate's exponentials and quotients, and the roundings between them: relative to a factor of at most 1.
    private const double GateActivation = 1.0 / (1 << 19);

    // Rows around those of an item are NaN where they are read and must stay as they are where something is written. A tile of version 1 is a row.
    private static KernelTrial BlockBackward<T>(KernelShape shape, BlockPrecision<T> precision, BlockBackwardCut? cut) where T : unmanaged
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], dilation = (int)shape["dilation"], values = rows * channels, itemRows = rows + 2 * Margin;
        bool hasY = shape["hasY"] == 1, gateFirst = shape["gateFirst"] == 1, stepInResidual = shape["stepInResidual"] == 1;
        int tileRows = cut?.TileRows ?? 1, tiles = cut is null ? rows : TimeTile.Count(rows, dilation, cut.Neighbours, tileRows);
        float[] Stored(int seed, long length, float scale) => [.. Random(seed, length, scale).Select(precision.Operand)];
        float[] dilated = Random(72, 6L * channels * channels, 2 / MathF.Sqrt(6 * channels)), output = Random(73, 2L * channels * channels, 2 / MathF.Sqrt(2 * channels)); // gradients are of the order of 1
        float[] dY = hasY ? Stored(74, (long)batch * values, 1) : [], dSkips = Stored(75, (long)batch * values, 1);
        float[] h = [.. Random(76, 2L * batch * values, 4).Select((value, i) => precision.Operand(i % 41 == 7 ? 10000 * value : value))]; // some far out, where exponentials leave float32
        float[] w = [.. dilated.Select(precision.Operand)], o = [.. output.Select((value, i) => precision.Operand(i < channels * channels ? value * 0.70710678f : value))];

        IEnumerable<int> RowsOfTile(int index)
        {
            if (cut is null) return [index];
            var tile = new TimeTile(index, rows, dilation, cut.Neighbours, tileRows);
            return Enumerable.Range(0, tileRows).Select(tile.Time).Where(row => row < rows);
        }
        RowsOf<T> Read(float[] all, int width) => new(Placed([.. all.Select(precision.Round)], rows, width, itemRows, Margin, precision.Round(float.NaN)), itemRows, Margin, width);
        RowsOf<T> Written(int width)
        {
            T[] unwritten = new T[batch * rows * width];
            Array.Fill(unwritten, precision.Round(float.NaN));
            return new(Placed(unwritten, rows, width, itemRows, Margin, precision.Round(Kept)), itemRows, Margin, width);
        }
        KernelOutput Result(string name, RowsOf<T> rowsOf, double[] expected, double bound, string reason) => new(name, rowsOf.Array, Placed(expected, rows, rowsOf.Channels, itemRows, Margin, precision.Operand(Kept)), bound, reason);
        RowsOf<T> toH = Written(2 * channels), toZ = Written(channels), toX = Written(channels);
        float[] stepPartial = Unwritten((long)batch * tiles * channels);
        string sums = $"a {(cut is not null ? "unit cut off every eight products" : "rounding a product")}, the gate's exponentials and quotients";
        object gradient = hasY ? Read(dY, channels) : new Rows<T>();
        KernelLaunch launch;
        if (cut is not null)
        {
            T[] packed = new T[BlockWeightsBackward.Size(channels)];
            BlockWeightsBackward.Reference(dilated, output, packed.AsSpan(), channels, precision.Round);
            launch = new(new((int)shape["blocks"], 1, 1), new(cut.Threads, 1, 1), cut.SharedBytes, gradient, Read(dSkips, channels), Read(h, 2 * channels),
                packed, toH, toZ, toX, stepPartial, batch * tiles, rows, dilation, cut.Neighbours);
        }
        else
            launch = new(new(rows, 1, batch), new(128, 1, 1), 6 * sizeof(float) * channels, Misaligned(dilated), Misaligned(output), gradient, Read(dSkips, channels), Read(h, 2 * channels), toH, toZ, toX, stepPartial, rows, dilation);
        return new KernelTrial([launch], ResidualBlockBackward.BackwardCost(batch, rows, channels, dilation, tiles, hasY, System.Runtime.CompilerServices.Unsafe.SizeOf<T>()), () =>
        {
            double[] z = new double[batch * values], dH = new double[2 * z.Length], dX = new double[z.Length], step = new double[batch * tiles * channels];
            double zBound = 0, dHBound = 0, dXBound = 0, stepBound = 0;
            for (int item = 0; item < batch; item++)
            {
                float[] Of(float[] all, int width) => all.Length == 0 ? all : all.AsSpan(item * rows * width, rows * width).ToArray();
                ResidualBlockBackward.Gradients<double> Reference(Func<float[], float[]> map) => ResidualBlockBackward.Reference<double>(map(Of(dY, channels)), map(Of(dSkips, channels)), Of(h, 2 * channels),
                    map(w), map(o), channels, dilation, gateFirst, stepInResidual);
                ResidualBlockBackward.Gradients<double> exact = Reference(Same), magnitude = Reference(Absolute);
                exact.Z.CopyTo(z, item * values);
                exact.DH.CopyTo(dH, item * 2 * values);
                exact.DX.CopyTo(dX, item * values);
                var bounds = new BackwardBounds(exact, magnitude, w, rows, channels, dilation, precision.OperandBits, precision.SumsAtOnce);
                (zBound, dHBound, dXBound) = (Math.Max(zBound, bounds.Z), Math.Max(dHBound, bounds.DH.Max()), Math.Max(dXBound, bounds.DX.Max()));
                for (int index = 0; index < tiles; index++)
                    for (int c = 0; c < channels; c++)
                    {
                        double bound = 0;
                        foreach (int row in RowsOfTile(index))
                        {
                            int at = row * channels + c;
                            step[(item * tiles + index) * channels + c] += exact.Step[at];
                            bound += bounds.Sums[at] + magnitude.Step[at] * (1 + tileRows) / (1 << 24);
                        }
                        stepBound = Math.Max(stepBound, bound);
                    }
            }
            return
            [
                Result("dH", toH, dH, dHBound, $"{sums}, one rounding"), Result("z", toZ, z, zBound, "the gate's exponentials and quotients, one rounding"),
                Result("dX", toX, dX, dXBound, $"{sums}, a rounding of dh times its weights, one rounding"), new("stepPartial", stepPartial, step, stepBound, $"{sums}, a rounding of dh times its weights, of all rows of a tile"),
            ];
        });
    }

    // Largest errors, element by element. Stored values and operands have as many bits; sumsAtOnce products are added to a sum with one rounding, or with one unit cut off.
    private sealed class BackwardBounds
    {
        private readonly int sumsAtOnce;

        public BackwardBounds(ResidualBlockBackward.Gradients<double> exact, ResidualBlockBackward.Gradients<double> magnitude, float[] w, int rows, int channels, int dilation, int bits, int sumsAtOnce)
        {
            this.sumsAtOnce = sumsAtOnce;
            double unit = Math.Pow(2, -bits), least = bits == 11 ? Math.Pow(2, -25) : 0, gate = GateActivation; // least: half of fp16's smallest number
            Z = gate + unit;
            DH = new double[exact.DH.Length];
            for (int index = 0; index < DH.Length; index++)
            {
                int at = index / (2 * channels) * channels + index % channels;
                double before = Cut(2 * channels) * magnitude.DZ[at] + gate * magnitude.DZ[at];
                DH[index] = before + unit * (Math.Abs(exact.DH[index]) + before) + least;
            }
            (Sums, DX) = (new double[exact.DX.Length], new double[exact.DX.Length]);
            for (int index = 0; index < DX.Length; index++)
            {
                int row = index / channels, i = index % channels;
                for (int k = 0; k < 3; k++)
                {
                    int from = row - (k - 1) * dilation;
                    if (from < 0 || from >= rows) continue;
                    for (int o = 0; o < 2 * channels; o++)
                        Sums[index] += Math.Abs(w[(o * channels + i) * 3 + k]) * (DH[from * 2 * channels + o] + Cut(6 * channels) * (Math.Abs(exact.DH[from * 2 * channels + o]) + DH[from * 2 * channels + o]));
                }
                DX[index] = Sums[index] + unit * (Math.Abs(exact.DX[index]) + Sums[index]) + 2 * magnitude.DX[index] / (1 << 24) + least;
            }
        }

        public double Z { get; }

        public double[] DH { get; }

        // Of the product of the taps alone.
        public double[] Sums { get; }

        public double[] DX { get; }

        private double Cut(int products) => (products / sumsAtOnce + 1.0) / (1 << 23);
    }

    // Version 3 of PointwiseConvBackward: the conditioner's gradient, added, and the skips', written.
    private static IReadOnlyList<KernelVersion> PointwiseOnTensorCores
    {
        get
        {
            KernelShape Shape(long batch, long rows, long outputs, long inputs, long layers, long blocks) =>
                new(("batch", batch), ("rows", rows), ("outputs", outputs), ("inputs", inputs), ("layers", layers), ("blocks", blocks));
            KernelShape[] shapes = [Shape(1, 128, 128, 80, 1, 1), Shape(3, 130, 16, 80, 2, 4), Shape(1, 1, 16, 16, 4, 3), Shape(2, 63, 48, 84, 3, 1), Shape(1, 65, 24, 24, 1, 1), Shape(1, 300, 256, 256, 2, 2), Shape(1, 129, 128, 80, 4, 1)];
            string? Problem(KernelShape shape) => Unfit(shape) ?? (shape["layers"] > PointwiseConvBackward.MostLayersV3 ? $"layers are at most {PointwiseConvBackward.MostLayersV3}" : null) ?? (shape["outputs"] % 8 != 0 || shape["inputs"] % 4 != 0 ? "outputs is a multiple of 8, inputs of 4" : null);
            KernelVersion Version<T, P, U, G>(string name, Func<float, U> store, Func<U, float> widen) where T : unmanaged where P : struct, IMatrixPair<T> where U : unmanaged where G : struct, IGradientTarget<U> =>
                new(nameof(PointwiseConvBackward), "fp16 or bf16 on tensor cores: weights stay in shared memory in the order of fragments, rows go from global memory straight to the operands, the products of several layers are summed",
                    Method(typeof(PointwiseConvBackward), nameof(PointwiseConvBackward.BackwardV3), typeof(T), typeof(P), typeof(U), typeof(G)), shapes, NoConstants, Problem,
                    shape => PointwiseBackward<T, P, U>(shape, store, widen)) { Name = name };
            return
            [
                Version<Half, F16, float, AddedTo>("pointwise_conv_backward_v3", value => value, value => value), Version<Half, F16, Half, Written<Half, F16>>("pointwise_conv_backward_v3_written", F16.Round, F16.Widen),
                Version<BFloat16, BF16, float, AddedTo>("pointwise_conv_backward_v3_bf16", value => value, value => value),
                Version<BFloat16, BF16, BFloat16, Written<BFloat16, BF16>>("pointwise_conv_backward_v3_written_bf16", BF16.Round, BF16.Widen),
            ];
        }
    }

    private static KernelTrial PointwiseBackward<T, P, U>(KernelShape shape, Func<float, U> store, Func<U, float> widen) where T : unmanaged where P : struct, IMatrixPair<T> where U : unmanaged
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], outputs = (int)shape["outputs"], inputs = (int)shape["inputs"], layers = (int)shape["layers"], itemRows = rows + 2 * Margin, stride = outputs * inputs + 5;
        bool accumulate = typeof(U) == typeof(float);
        const float scale = 0.18257419f;
        float[] Operand(float[] values) => [.. values.Select(value => P.Widen(P.Round(value)))];
        float[] weights = Random(1, (long)layers * stride, 1), w = Operand(weights), before = Random(3, (long)batch * rows * inputs, 1);
        float[][] dY = [.. Enumerable.Range(0, layers).Select(layer => Operand(Random(20 + layer, (long)batch * rows * outputs, 1)))];
        double[] Expected(Func<float[], float[]> map)
        {
            double[] result = [.. map(before).Select(value => (double)value)];
            for (int layer = 0; layer < layers; layer++)
                PointwiseConvBackward.Reference(map(w).AsSpan(layer * stride, outputs * inputs), map(dY[layer]), result.AsSpan(), outputs, inputs, scale, accumulate || layer > 0);
            return result;
        }
        U[] dX = [.. before.Select(value => store(accumulate ? value : float.NaN))];
        RowsOf<U> target = new(Placed(dX, rows, inputs, itemRows, Margin, store(Kept)), itemRows, Margin, inputs);
        T[] Source(int layer) => layer < layers ? Placed([.. dY[layer].Select(P.Round)], rows, outputs, itemRows, Margin, P.Round(float.NaN)) : [];
        RowsOf<T> source = new(Source(0), itemRows, Margin, outputs);
        return new KernelTrial([new(new((int)shape["blocks"], Blocks(inputs, PointwiseConvBackward.InputsV3), 1), new(PointwiseConvBackward.ThreadsV3, 1, 1), PointwiseConvBackward.SharedBytesV3(outputs, layers), Misaligned(weights),
                stride, source, Source(1), Source(2), Source(3), layers, target, PointwiseConvBackward.TilesV3(batch, rows), rows, scale)],
            PointwiseConvBackward.BackwardCost((long)batch * rows, layers * outputs, inputs, accumulate, 2, System.Runtime.CompilerServices.Unsafe.SizeOf<U>()), () =>
            {
                double[] exact = Expected(Same);
                double magnitude = Largest(Expected(Absolute)), unit = accumulate ? Math.Pow(2, -24) : Math.Pow(2, -P.Precision);
                double cut = (layers * outputs / 8 + 2.0) * magnitude / (1 << 23);
                return [new("dX", target.Array, Placed(exact, rows, inputs, itemRows, Margin, widen(store(Kept))), cut + unit * (Largest(exact) + cut), "a unit cut off every eight products, one for the scale, and a rounding of the result")];
            });
    }
}
