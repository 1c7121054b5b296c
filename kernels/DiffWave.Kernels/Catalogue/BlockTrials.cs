namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    // What goes before the fused residual blocks: packed weights and folded biases.
    private static IReadOnlyList<KernelVersion> BlockWeightsVersions
    {
        get
        {
            KernelShape Shape(long layers, long channels, long bands, long gateFirst) => new(("layers", layers), ("channels", channels), ("bands", bands), ("gateFirst", gateFirst));
            KernelShape[] shapes = [Shape(2, 64, 80, 1), Shape(1, 32, 0, 0), Shape(3, 32, 5, 1), Shape(1, 96, 16, 0), Shape(2, 128, 33, 0)];
            string? Problem(KernelShape shape) => shape["layers"] < 1 || shape["channels"] < 1 ? "layers and channels are at least 1" : NotThirtyTwos(shape) ?? NoFlag(shape, "gateFirst");
            IReadOnlyDictionary<string, object> Constants(KernelShape shape) => Flags(shape, "gateFirst");
            KernelVersion Fast<T, P>(string name) where T : unmanaged where P : struct, IMatrixOperand<T> => new(nameof(BlockWeights), "any precision, one thread the 16 bytes of a lane in one store",
                Method(typeof(BlockWeights), nameof(BlockWeights.PackV2), typeof(T), typeof(P)), shapes, Constants, Problem, shape => Packing<T, P>(shape, P.Depth / 2)) { Name = name };
            return
            [
                new(nameof(BlockWeights), "tf32, one thread a value", Method(typeof(BlockWeights), nameof(BlockWeights.PackV1)), shapes, Constants, Problem, shape => Packing<float, TF32>(shape, 1))
                    { Name = "block_weights_v1" },
                Fast<Half, F16>("block_weights_v2"), Fast<BFloat16, BF16>("block_weights_v2_bf16"), Fast<float, TF32>("block_weights_v2_tf32"),
            ];
        }
    }

    private static string? NotThirtyTwos(KernelShape shape) => shape["channels"] % 32 != 0 ? "channels is a multiple of 32" : null;

    // An arena of several layers, with something else before each tensor and behind it. Among the weights are some too large for fp16, too small for it, between two numbers, and none at all.
    private static KernelTrial Packing<T, P>(KernelShape shape, int valuesOfThread) where T : unmanaged where P : struct, IMatrixOperand<T>
    {
        const int gap = 3;
        int layers = (int)shape["layers"], channels = (int)shape["channels"], bands = (int)shape["bands"], size = BlockWeights.Size(channels, bands);
        bool gateFirst = shape["gateFirst"] != 0;
        int conditionerAt = gap + 6 * channels * channels, outputAt = conditionerAt + gap + 2 * channels * bands, stride = outputAt + gap + 2 * channels * channels;
        float[] arena = Random(51, (long)layers * stride, 1);
        float[] odd = [7e4f, -float.MaxValue, 3e-6f, 1e-9f, 1 + 1f / 2048, 1 + 1f / 256, 1 + 1f / 2048 + 1f / (1 << 20), float.NaN];
        for (int i = 0; i < odd.Length; i++) (arena[gap + 41 * i], arena[outputAt + 41 * i]) = (odd[i], odd[^(i + 1)]);
        T[] packed = new T[layers * size], expected = new T[packed.Length];
        Array.Fill(packed, P.Round(Kept));
        for (int layer = 0; layer < layers; layer++)
        {
            float[] Tensor(int at, int count) => arena.AsSpan(layer * stride + at, count).ToArray();
            var weights = new ResidualBlock.Weights(Tensor(gap, 6 * channels * channels), Tensor(conditionerAt, 2 * channels * bands), Tensor(outputAt, 2 * channels * channels));
            BlockWeights.Reference(weights, expected.AsSpan(layer * size, size), channels, bands, P.Depth, gateFirst, P.Round);
        }
        return new KernelTrial([new(new(Blocks(size / valuesOfThread, Threads), 1, layers), new(Threads, 1, 1), 0, new PartOf(arena, gap), bands > 0 ? new PartOf(arena, conditionerAt) : new ArrayView<float>(),
            new PartOf(arena, outputAt), packed, channels, bands, stride)], BlockWeights.PackCost(layers, channels, bands, System.Runtime.CompilerServices.Unsafe.SizeOf<T>()),
            [KernelOutput.Exact("packed", packed, [.. expected.Select(value => (double)P.Widen(value))])]);
    }

    private static IReadOnlyList<KernelVersion> BlockBiases
    {
        get
        {
            KernelShape Shape(long batch, long layers, long channels, long label, long conditioner, long stepInResidual) => new(("batch", batch), ("layers", layers), ("channels", channels),
                ("hasLabel", label), ("hasConditioner", conditioner), ("stepInResidual", stepInResidual));
            KernelShape[] shapes = [Shape(2, 3, 64, 0, 1, 0), Shape(1, 1, 1, 1, 0, 1), Shape(3, 2, 7, 1, 1, 1), Shape(1, 2, 33, 0, 0, 0), Shape(2, 1, 256, 1, 1, 0)];
            string? Problem(KernelShape shape) => shape["batch"] < 1 || shape["layers"] < 1 || shape["channels"] < 1 ? "batch, layers and channels are at least 1"
                : NoFlag(shape, "hasLabel", "hasConditioner", "stepInResidual");
            return
            [
                new(nameof(BlockBias), "a warp an output: its lanes sum a stride of the inputs for all three taps, shuffles join them", Method(typeof(BlockBias), nameof(BlockBias.FoldV1)), shapes,
                    shape => Flags(shape, "hasLabel", "hasConditioner", "stepInResidual"), Problem, Folding) { Name = "block_bias_v1" },
            ];
        }
    }

    private static KernelTrial Folding(KernelShape shape)
    {
        const int gap = 3;
        int batch = (int)shape["batch"], layers = (int)shape["layers"], channels = (int)shape["channels"], outputs = 2 * channels;
        bool hasLabel = shape["hasLabel"] != 0, hasConditioner = shape["hasConditioner"] != 0, stepInResidual = shape["stepInResidual"] != 0;
        int weightAt = gap, biasAt = weightAt + 3 * outputs * channels, conditionerAt = biasAt + outputs + gap, projectionAt = conditionerAt + outputs + gap, stride = projectionAt + outputs;
        float[] arena = Random(52, (long)layers * stride, 1), step = Random(53, (long)batch * layers * channels, 1), label = Random(54, (long)batch * layers * outputs, 1);
        (T[] Bias, T[] Edges, T[] Output) Folded<T>(Func<float[], float[]> values) where T : System.Numerics.IFloatingPointIeee754<T>
        {
            T[] bias = new T[batch * layers * outputs], edges = new T[2 * bias.Length], output = new T[bias.Length];
            float[] weights = values(arena), steps = values(step), labels = values(label);
            for (int row = 0; row < batch * layers; row++)
            {
                ReadOnlySpan<float> Tensor(int at, int count) => weights.AsSpan(row % layers * stride + at, count);
                BlockBias.Reference(steps.AsSpan(row * channels, channels), hasLabel ? labels.AsSpan(row * outputs, outputs) : [], Tensor(weightAt, 3 * outputs * channels), Tensor(biasAt, outputs),
                    hasConditioner ? Tensor(conditionerAt, outputs) : [], Tensor(projectionAt, outputs), bias.AsSpan(row * outputs, outputs), edges.AsSpan(2 * row * outputs, 2 * outputs),
                    output.AsSpan(row * outputs, outputs), stepInResidual);
            }
            return (bias, edges, output);
        }
        float[] biasArray = Unwritten((long)batch * layers * outputs), edgesArray = Unwritten(2L * biasArray.Length), outputArray = Unwritten(biasArray.Length);
        var (bias, edges, output) = Folded<double>(Same);
        var (biasNaive, edgesNaive, outputNaive) = Folded<float>(Same);
        var (biasMagnitude, edgesMagnitude, outputMagnitude) = Folded<double>(Absolute);
        return new KernelTrial([new(new(Blocks((long)layers * outputs, BlockBias.OutputsV1), 1, batch), new(Threads, 1, 1), 0, step, hasLabel ? label : new ArrayView<float>(), new PartOf(arena, weightAt),
            new PartOf(arena, biasAt), hasConditioner ? new PartOf(arena, conditionerAt) : new ArrayView<float>(), new PartOf(arena, projectionAt), biasArray, edgesArray, outputArray, channels, layers, stride)],
            BlockBias.FoldCost(batch, layers, channels, hasLabel, hasConditioner, stepInResidual),
            [KernelOutput.Float32("bias", biasArray, bias, biasNaive, Largest(biasMagnitude)), KernelOutput.Float32("edges", edgesArray, edges, edgesNaive, Largest(edgesMagnitude)),
                KernelOutput.Float32("outputBias", outputArray, output, outputNaive, Largest(outputMagnitude))]);
    }
}
