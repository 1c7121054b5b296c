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
}
