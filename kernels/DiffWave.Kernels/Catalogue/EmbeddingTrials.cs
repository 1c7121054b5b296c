namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private const float SteepSilu = 6; // pre-activations where silu bends

    private static IReadOnlyList<KernelVersion> VectorLinears
    {
        get
        {
            KernelShape Shape(long batch, long layers, long inputs, long outputs, long silu) => new(("batch", batch), ("layers", layers), ("inputs", inputs), ("outputs", outputs), ("silu", silu));
            // The layers of the step embedding, what the residual layers of a model add for a step and for a label, and odd sizes.
            KernelShape[] shapes = [Shape(2, 1, 128, 512, 1), Shape(1, 1, 512, 512, 1), Shape(3, 5, 512, 16, 0), Shape(1, 2, 128, 48, 0), Shape(1, 1, 1, 1, 1), Shape(3, 2, 33, 9, 1)];
            string? Problem(KernelShape shape) => shape["silu"] > 1 ? "silu is 0 or 1" : shape.Sizes.Any(size => size.Size < 1 && size.Name != "silu") ? "batch, layers, inputs and outputs are at least 1" : null;
            IReadOnlyDictionary<string, object> Silu(KernelShape shape) => new Dictionary<string, object> { ["silu"] = shape["silu"] == 1 };
            Type op = typeof(VectorLinear);
            return
            [
                new(nameof(VectorLinear), "a warp an output: its lanes sum a stride of the row, shuffles join them", Method(op, nameof(VectorLinear.ForwardV1)), shapes, Silu, Problem, VectorForward)
                    { Name = "vector_linear_v1" },
                new(nameof(VectorLinear), "weights: a block a row of W, one thread a weight goes over the items", Method(op, nameof(VectorLinear.BackwardWeightsV1)), shapes, NoConstants, Problem, VectorBackwardWeights)
                    { Name = "vector_linear_backward_weights_v1" },
                new(nameof(VectorLinear), "input: a block 32 inputs of an item, eight warps share the rows of all W and meet in shared memory", Method(op, nameof(VectorLinear.BackwardInputV1)), shapes, Silu,
                    Problem, VectorBackwardInput) { Name = "vector_linear_backward_input_v1" },
            ];
        }
    }

    // An arena: weights, biases and three values more a layer.
    private static (int Batch, int Layers, int Inputs, int Outputs, int Stride, bool Silu) VectorSizes(KernelShape shape)
    {
        int inputs = (int)shape["inputs"], outputs = (int)shape["outputs"];
        return ((int)shape["batch"], (int)shape["layers"], inputs, outputs, outputs * (inputs + 1) + 3, shape["silu"] == 1);
    }

    private static KernelTrial VectorForward(KernelShape shape)
    {
        var (batch, layers, inputs, outputs, stride, silu) = VectorSizes(shape);
        float[] x = Random(31, (long)batch * inputs, 1), arena = Random(32, (long)layers * stride, SteepSilu / MathF.Sqrt(inputs)), bias = arena[(outputs * inputs)..],
            y = Unwritten((long)batch * layers * outputs), naive = new float[y.Length];
        double[] expected = new double[y.Length], magnitude = new double[y.Length];
        VectorLinear.Reference(x, arena, bias, expected.AsSpan(), layers, inputs, outputs, stride, silu);
        VectorLinear.Reference(x, arena, bias, naive.AsSpan(), layers, inputs, outputs, stride, silu);
        VectorLinear.Reference(Absolute(x), Absolute(arena), Absolute(bias), magnitude.AsSpan(), layers, inputs, outputs, stride, silu: false);
        return new KernelTrial([new(new(Blocks(layers * outputs, Threads / 32), 1, batch), new(Threads, 1, 1), 0, x, arena, bias, y, layers, inputs, outputs, stride)],
            VectorLinear.ForwardCost(batch, layers, inputs, outputs), [KernelOutput.Float32("y", y, expected, naive, Largest(magnitude))]);
    }

    // The gradients are added to what is there.
    private static KernelTrial VectorBackwardWeights(KernelShape shape)
    {
        var (batch, layers, inputs, outputs, stride, _) = VectorSizes(shape);
        float[] d = Random(33, (long)batch * layers * outputs, 1), x = Random(31, (long)batch * inputs, 1), weight = Random(34, (long)layers * stride, 1), bias = Random(35, (long)layers * stride, 1);
        float[] naiveWeight = [.. weight], naiveBias = [.. bias];
        double[] expectedWeight = [.. weight], expectedBias = [.. bias], magnitudeWeight = [.. Absolute(weight)], magnitudeBias = [.. Absolute(bias)];
        VectorLinear.ReferenceBackwardWeights(d, x, expectedWeight.AsSpan(), expectedBias.AsSpan(), layers, inputs, outputs, stride);
        VectorLinear.ReferenceBackwardWeights(d, x, naiveWeight.AsSpan(), naiveBias.AsSpan(), layers, inputs, outputs, stride);
        VectorLinear.ReferenceBackwardWeights(Absolute(d), Absolute(x), magnitudeWeight.AsSpan(), magnitudeBias.AsSpan(), layers, inputs, outputs, stride);
        return new KernelTrial([new(new(layers * outputs, 1, 1), new(128, 1, 1), 0, d, x, weight, bias, batch, inputs, outputs, stride)],
            VectorLinear.BackwardWeightsCost(batch, layers, inputs, outputs),
            [KernelOutput.Float32("weightGradient", weight, expectedWeight, naiveWeight, Largest(magnitudeWeight)), KernelOutput.Float32("biasGradient", bias, expectedBias, naiveBias, Largest(magnitudeBias))]);
    }

    private static KernelTrial VectorBackwardInput(KernelShape shape)
    {
        var (batch, layers, inputs, outputs, stride, silu) = VectorSizes(shape);
        float[] d = Random(33, (long)batch * layers * outputs, 1), weight = Random(32, (long)layers * stride, 1), u = Random(36, (long)batch * inputs, SteepSilu), dx = Unwritten(u.Length), naive = new float[u.Length];
        double[] expected = new double[u.Length], magnitude = new double[u.Length];
        float[] pre = silu ? u : [];
        VectorLinear.ReferenceBackwardInput(d, weight, pre, expected.AsSpan(), layers, inputs, outputs, stride);
        VectorLinear.ReferenceBackwardInput(d, weight, pre, naive.AsSpan(), layers, inputs, outputs, stride);
        VectorLinear.ReferenceBackwardInput(Absolute(d), Absolute(weight), [], magnitude.AsSpan(), layers, inputs, outputs, stride);
        return new KernelTrial([new(new(Blocks(inputs, 32), 1, batch), new(32, Threads / 32, 1), 0, d, weight, u, dx, layers, inputs, outputs, stride)],
            VectorLinear.BackwardInputCost(batch, layers, inputs, outputs), [KernelOutput.Float32("dx", dx, expected, naive, Largest(magnitude))]);
    }

    private static IReadOnlyList<KernelVersion> LabelEmbeddings
    {
        get
        {
            KernelShape Shape(long batch, long labels, long width) => new(("batch", batch), ("labels", labels), ("width", width));
            KernelShape[] shapes = [Shape(16, 10, 128), Shape(1, 1, 1), Shape(3, 2, 130), Shape(5, 1, 7)]; // more items than labels: some share one
            return
            [
                new(nameof(LabelEmbedding), "one thread an element", Method(typeof(LabelEmbedding), nameof(LabelEmbedding.ForwardV1)), shapes, NoConstants, shape => Unfit(shape), LabelForward) { Name = "label_embedding_v1" },
                new(nameof(LabelEmbedding), "one thread a column goes over the items", Method(typeof(LabelEmbedding), nameof(LabelEmbedding.BackwardV1)), shapes, NoConstants, shape => Unfit(shape), LabelBackward)
                    { Name = "label_embedding_backward_v1" },
            ];
        }
    }

    private static int[] LabelsOf(int batch, int labels)
    {
        var random = new Random(41);
        return [.. Enumerable.Range(0, batch).Select(_ => random.Next(labels))];
    }

    private static KernelTrial LabelForward(KernelShape shape)
    {
        int batch = (int)shape["batch"], width = (int)shape["width"];
        int[] labels = LabelsOf(batch, (int)shape["labels"]);
        float[] table = Random(42, shape["labels"] * width, 1), x = Unwritten((long)batch * width);
        double[] expected = [.. labels.SelectMany(label => table.AsSpan(label * width, width).ToArray()).Select(value => (double)value)];
        return new KernelTrial([new(new(Blocks(x.Length, Threads), 1, 1), new(Threads, 1, 1), 0, table, Array.ConvertAll(labels, label => (float)label), x, width)], LabelEmbedding.ForwardCost(batch, width),
            [new("x", x, expected, float.Epsilon, "a copy")]);
    }

    private static KernelTrial LabelBackward(KernelShape shape)
    {
        int batch = (int)shape["batch"], width = (int)shape["width"];
        int[] labels = LabelsOf(batch, (int)shape["labels"]);
        float[] dx = Random(43, (long)batch * width, 1), gradient = Random(44, shape["labels"] * width, 1), naive = [.. gradient];
        double[] expected = [.. gradient], magnitude = [.. Absolute(gradient)];
        LabelEmbedding.ReferenceBackward(labels, dx, expected.AsSpan(), width);
        LabelEmbedding.ReferenceBackward(labels, dx, naive.AsSpan(), width);
        LabelEmbedding.ReferenceBackward(labels, Absolute(dx), magnitude.AsSpan(), width);
        return new KernelTrial([new(new(Blocks(width, 128), 1, 1), new(128, 1, 1), 0, Array.ConvertAll(labels, label => (float)label), dx, gradient, width)], LabelEmbedding.BackwardCost(batch, width),
            [KernelOutput.Float32("tableGradient", gradient, expected, naive, Largest(magnitude))]);
    }
}
