namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> Losses
    {
        get
        {
            KernelShape Shape(long items, long rows, long squared) => new(("items", items), ("rows", rows), ("squared", squared));
            KernelShape[] shapes = [Shape(4, 5000, 0), Shape(1, 1, 1), Shape(3, 1025, 1), Shape(2, 1023, 0), Shape(3, 4096, 1)];
            string? Problem(KernelShape shape) => SignalProblem(shape) ?? (shape["squared"] > 1 ? "squared is 0 or 1" : null);
            KernelShape Sums(long items, long slices) => new(("items", items), ("slices", slices));
            Type op = typeof(Loss);
            return
            [
                new(nameof(Loss), "a block a slice, one sample a thread at a time, a tree in shared memory", Method(op, nameof(Loss.LossV1)), shapes, Flag("squared"), Problem, LossOf) { Name = "loss_v1" },
                new(nameof(Loss), "four samples a thread by 128-bit loads and stores where an item allows it, sums by shuffles", Method(op, nameof(Loss.LossV2)), shapes, Flag("squared"), Problem, LossOf)
                    { Name = "loss_v2" },
                new(nameof(Loss), "one thread an item adds the slices in order", Method(op, nameof(Loss.SumV1)), [Sums(16, 16), Sums(1, 1), Sums(300, 7)], NoConstants,
                    shape => shape["items"] < 1 || shape["slices"] < 1 ? "items and slices are at least 1" : null, SumOfSlices) { Name = "loss_sum_v1" },
            ];
        }
    }

    // The first item of each signal starts at a multiple of four rows; those behind it do where rows is one too.
    private static KernelTrial LossOf(KernelShape shape)
    {
        const float factor = 1f / 3000;
        int items = (int)shape["items"], rows = (int)shape["rows"], slices = Loss.Slices(rows);
        bool squared = shape["squared"] == 1;
        RowsOf<float> eps = RandomRows(31, shape, 1, 4, 0), noise = RandomRows(32, shape, 1, 0, 4), dEps = RandomRows(33, shape, 1, 8, 4);
        int[] valid = [.. Enumerable.Range(0, items).Select(item => item == 0 ? rows : item == 1 ? rows / 2 : 0)];
        if (rows > 1) noise.Array[noise.First] = eps.Array[eps.First]; // no difference, no gradient
        (double[] gradient, float[] naive) = Expected(dEps);
        double[] partial = UnwrittenDoubles(items * slices), sums = new double[items * slices];
        for (int item = 0; item < items; item++)
        {
            Loss.Reference(Run(eps, item, rows), Run(noise, item, rows), valid[item], factor, squared, Run(dEps, gradient, item, rows));
            Loss.Reference(Run(eps, item, rows), Run(noise, item, rows), valid[item], factor, squared, Run(dEps, naive, item, rows));
            for (int slice = 0; slice < slices; slice++)
            {
                int first = slice * Loss.SliceRows, count = Math.Min(Loss.SliceRows, rows - first);
                sums[item * slices + slice] = Loss.Reference(Run(eps, item, rows).Slice(first, count), Run(noise, item, rows).Slice(first, count), Math.Clamp(valid[item] - first, 0, count), factor, squared,
                    new double[count].AsSpan());
            }
        }
        return new KernelTrial([new(new(slices, items, 1), new(Threads, 1, 1), 0, eps, noise, Array.ConvertAll(valid, count => (float)count), dEps, partial, rows, new[] { factor })], Loss.LossCost(items, rows),
            [KernelOutput.Float32("d_eps", dEps.Array, gradient, naive, squared ? 2 * factor * 4 : factor), KernelOutput.Float64("partial", partial, sums, Loss.SliceRows, Largest(sums))]);
    }

    private static KernelTrial SumOfSlices(KernelShape shape)
    {
        const int firstItem = 2;
        int items = (int)shape["items"], slices = (int)shape["slices"];
        double[] partial = [.. Random(34, items * slices, 100).Select(value => (double)value)], sums = new double[firstItem + items], expected = new double[firstItem + items];
        for (int i = 0; i < partial.Length; i++) expected[firstItem + i / slices] += partial[i];
        return new KernelTrial([new(new(Blocks(items, Threads), 1, 1), new(Threads, 1, 1), 0, partial, sums, slices, firstItem)], Loss.SumCost(items, slices), [KernelOutput.Exact("sums", sums, expected)]);
    }

    private static IReadOnlyList<KernelVersion> GradientNorms
    {
        get
        {
            KernelShape Shape(long n, long losses, long clip) => new(("n", n), ("losses", losses), ("clip", clip));
            KernelShape[] shapes = [Shape(100_000, 16, 1), Shape(1, 0, 0), Shape(4095, 300, 3), Shape(8193, 1, 0), Shape(1_100_000, 2, 1)]; // the last: more slices than threads
            string? Problem(KernelShape shape) => shape["n"] is < 1 or > 1 << 30 || shape["losses"] < 0 || shape["clip"] < 0 ? "n is 1 to 2^30, losses and clip are at least 0" : null;
            Type op = typeof(GradientNorm);
            return
            [
                new(nameof(GradientNorm), "a block a slice, one gradient a thread at a time, a tree in shared memory", Method(op, nameof(GradientNorm.NormV1)), shapes, NoConstants, Problem, Norm)
                    { Name = "gradient_norm_v1" },
                new(nameof(GradientNorm), "four gradients a thread by 128-bit loads, sums by shuffles", Method(op, nameof(GradientNorm.NormV2)), shapes, NoConstants, Problem, Norm)
                    { Name = "gradient_norm_v2" },
            ];
        }
    }

    private static KernelTrial Norm(KernelShape shape)
    {
        long n = shape["n"];
        int slices = GradientNorm.Slices(n);
        var limits = new UpdateLimits(shape["clip"], 1e10, lossScale: 8);
        float[] gradients = Random(35, n, 1), scale = Unwritten(1);
        double[] losses = [.. Random(37, shape["losses"], 5).Select(value => (double)value)], partial = UnwrittenDoubles(slices), norm = UnwrittenDoubles(1);
        double[] squares = [.. gradients.Chunk(GradientNorm.SliceValues).Select(slice => GradientNorm.Reference<double>(slice))];
        double expected = Math.Sqrt(squares.Sum()) / limits.LossScale;
        float factor = GradientNorm.ReferenceScale(expected, losses, limits);
        int[] finished = [0];
        return new KernelTrial([new(new(slices, 1, 1), new(Threads, 1, 1), 0, gradients, losses, new[] { limits }, partial, finished, norm, scale)], GradientNorm.NormCost(n, losses.Length),
            [KernelOutput.Float64("norm", norm, [expected], GradientNorm.SliceValues + slices + 2, expected), KernelOutput.Float64("partial", partial, squares, GradientNorm.SliceValues, Largest(squares)),
            KernelOutput.Float32("scale", scale, [factor], [factor], factor), KernelOutput.Exact("finished", finished, [0])]);
    }

    private static IReadOnlyList<KernelVersion> Adams
    {
        get
        {
            KernelShape Shape(long n, long averaged) => new(("n", n), ("averaged", averaged));
            KernelShape[] shapes = [Shape(10_000, 1), Shape(1, 0), Shape(3, 1), Shape(1027, 0), Shape(2049, 1)];
            string? Problem(KernelShape shape) => shape["n"] is < 1 or > 1 << 30 || shape["averaged"] > 1 ? "n is 1 to 2^30 and averaged 0 or 1" : null;
            return
            [
                new(nameof(Adam), "one thread a value", Method(typeof(Adam), nameof(Adam.UpdateV1)), shapes, Flag("averaged"), Problem, shape => Update(shape, Threads)) { Name = "adam_v1" },
                new(nameof(Adam), "a grid-stride loop over four values at a time: 128-bit loads and stores", Method(typeof(Adam), nameof(Adam.UpdateV2)), shapes, Flag("averaged"), Problem,
                    shape => Update(shape, 8 * Threads)) { Name = "adam_v2" },
            ];
        }
    }

    private static KernelTrial Update(KernelShape shape, int perBlock)
    {
        const float scale = 0.5f;
        long n = shape["n"];
        bool averaged = shape["averaged"] == 1;
        var factors = new AdamFactors(3, 1e-2, 0.9, 0.999, 1e-8, 0.99);
        float[] weights = Random(38, n, 1), gradients = Random(39, n, 1), m = Random(40, n, 0.1f), v = [.. Random(41, n, 0.1f).Select(MathF.Abs)], average = Random(42, n, 1);
        float[][] states = [weights, m, v, average], naive = [.. states.Select(values => (float[])[.. values])];
        double[][] expected = [.. states.Select(values => Array.ConvertAll(values, value => (double)value))];
        int kept = averaged ? (int)n : 0;
        Adam.Reference(expected[0].AsSpan(), gradients, expected[1], expected[2], expected[3].AsSpan(0, kept), scale, factors);
        Adam.Reference(naive[0].AsSpan(), gradients, naive[1], naive[2], naive[3].AsSpan(0, kept), scale, factors);
        string[] names = ["weights", "m", "v", "average"];
        return new KernelTrial([new(new(Blocks(n, perBlock), 1, 1), new(Threads, 1, 1), 0, weights, gradients, m, v, average, new[] { scale }, new[] { factors })], Adam.UpdateCost(n, averaged),
            [.. names.Select((name, i) => KernelOutput.Float32(name, states[i], expected[i], naive[i], Largest(expected[i])))]);
    }

    private static double[] UnwrittenDoubles(long length)
    {
        double[] values = new double[length];
        Array.Fill(values, double.NaN);
        return values;
    }
}
