namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> Signals
    {
        get
        {
            KernelShape[] plain = [Signal(4, 5000), Signal(1, 1), Signal(3, 257), Signal(2, 1023)];
            KernelShape Step(long items, long rows, long noise, long clamp) => new(("items", items), ("rows", rows), ("noise", noise), ("clamp", clamp));
            string? StepProblem(KernelShape shape) => SignalProblem(shape) ?? (shape["noise"] > 1 || shape["clamp"] > 1 ? "noise and clamp are 0 or 1" : null);
            KernelShape Draw(long items, long rows, long first) => new(("items", items), ("rows", rows), ("first", first));
            KernelShape[] draws = [Draw(1, 10000, 0), Draw(1, 1, 3), Draw(2, 7, 2), Draw(3, 1001, 1), Draw(2, 64, 5_000_000_000)];
            return
            [
                new(nameof(Diffusion), "one thread a sample, items along y", Method(typeof(Diffusion), nameof(Diffusion.DiffuseV1)), plain, NoConstants, SignalProblem, Diffuse) { Name = "diffusion_v1" },
                new(nameof(ReverseStep), "one thread a sample, items along y", Method(typeof(ReverseStep), nameof(ReverseStep.StepV1)),
                    [Step(4, 5000, 1, 1), Step(1, 1, 1, 0), Step(3, 257, 0, 1), Step(2, 1023, 0, 0)], Flag("clamp"), StepProblem, Reverse) { Name = "reverse_step_v1" },
                new(nameof(PhiloxNormal), "one thread a block of four normals, four stores", Method(typeof(PhiloxNormal), nameof(PhiloxNormal.FillV1)), draws, NoConstants, SignalProblem,
                    shape => Philox(shape, Threads)) { Name = "philox_normal_v1" },
                new(nameof(PhiloxNormal), "a grid-stride loop, the four normals in one 128-bit store where an item of the buffer allows it",
                    Method(typeof(PhiloxNormal), nameof(PhiloxNormal.FillV2)), draws, NoConstants, SignalProblem, shape => Philox(shape, 2 * Threads)) { Name = "philox_normal_v2" },
            ];
        }
    }

    private static KernelShape Signal(long items, long rows) => new(("items", items), ("rows", rows));

    private static string? SignalProblem(KernelShape shape) => shape["items"] is < 1 or > 65535 || shape["rows"] is < 1 or > 1 << 30 ? "items is 1 to 65535 and rows 1 to 2^30" : null;

    // A parameter marked constant by the size of its name, 0 or 1.
    private static Func<KernelShape, IReadOnlyDictionary<string, object>> Flag(string name) => shape => new Dictionary<string, object> { [name] = shape[name] == 1 };

    private static KernelTrial Diffuse(KernelShape shape)
    {
        int items = (int)shape["items"], rows = (int)shape["rows"];
        RowsOf<float> audio = RandomRows(11, shape, 1, 0, 1), noise = RandomRows(12, shape, 1, 3, 2), noisy = RandomRows(13, shape, 1, 1, 1);
        float[] levels = [.. Enumerable.Range(0, items).Select(item => item == 0 ? 0.99f : 0.5f / item)];
        (double[] expected, float[] naive) = Expected(noisy);
        for (int item = 0; item < items; item++)
        {
            Diffusion.Reference(Run(audio, item, rows), Run(noise, item, rows), levels[item], Run(noisy, expected, item, rows));
            Diffusion.Reference(Run(audio, item, rows), Run(noise, item, rows), levels[item], Run(noisy, naive, item, rows));
        }
        return new KernelTrial([Launch(shape, rows, audio, noise, levels, noisy, rows)], Diffusion.DiffuseCost(items, rows), [KernelOutput.Float32("noisy", noisy.Array, expected, naive, Largest(expected))]);
    }

    private static KernelTrial Reverse(KernelShape shape)
    {
        const float scale = 1.01f, epsWeight = 0.3f;
        int items = (int)shape["items"], rows = (int)shape["rows"];
        float sigma = shape["noise"] == 1 ? 0.2f : 0;
        bool clamp = shape["clamp"] == 1;
        RowsOf<float> x = RandomRows(14, shape, 1, 2, 1), eps = RandomRows(15, shape, 1, 0, 2), noise = RandomRows(16, shape, 1, 1, 2), y = RandomRows(17, shape, 1, 3, 1);
        (double[] expected, float[] naive) = Expected(y);
        for (int item = 0; item < items; item++)
        {
            ReverseStep.Reference(Run(x, item, rows), Run(eps, item, rows), Run(noise, item, rows), Run(y, expected, item, rows), scale, epsWeight, sigma, clamp);
            ReverseStep.Reference(Run(x, item, rows), Run(eps, item, rows), Run(noise, item, rows), Run(y, naive, item, rows), scale, epsWeight, sigma, clamp);
        }
        return new KernelTrial([Launch(shape, rows, x, eps, noise, y, rows, scale, epsWeight, sigma)], ReverseStep.StepCost(items, rows, sigma != 0),
            [KernelOutput.Float32("y", y.Array, expected, naive, 3)]);
    }

    private static KernelTrial Philox(KernelShape shape, int perBlock)
    {
        const ulong seed = 0x0123456789ABCDEF;
        const uint stream = 7, streamStride = 1, step = 11;
        const long origin = 1000, firstStride = 6; // an item starts elsewhere within a block of four than the one before
        const double bound = 6.6e-7; // of the transform against exact arithmetic, see PhiloxNoise of the engine
        int items = (int)shape["items"], rows = (int)shape["rows"];
        long first = shape["first"];
        RowsOf<float> normals = RandomRows(18, shape, 1, shape["rows"] % 8 == 0 ? 1 : (int)(first % 4), 1);
        double[] expected = Expected(normals).Expected;
        for (int item = 0; item < items; item++) PhiloxNormal.Reference(seed, stream + (uint)item * streamStride, step, origin + first + item * firstStride, Run(normals, expected, item, rows));
        return new KernelTrial([new(new(Blocks((rows + 6) / 4, perBlock), items, 1), new(Threads, 1, 1), 0, normals, rows, new[] { seed, (ulong)origin }, stream, streamStride, step, first, firstStride)],
            PhiloxNormal.FillCost(items * rows), [new("normals", normals.Array, expected, bound, "the transform in float32 against exact arithmetic, largest of 4e7 draws")]);
    }

    private static IReadOnlyList<KernelVersion> Rearrangements
    {
        get
        {
            KernelShape Shape(long items, long rows, long channels) => new(("items", items), ("rows", rows), ("channels", channels));
            KernelShape[] any = [Shape(2, 100, 64), Shape(1, 1, 1), Shape(3, 7, 5), Shape(2, 1000, 1)], fours = [Shape(2, 100, 64), Shape(1, 1, 4), Shape(3, 7, 12), Shape(1, 3, 128)];
            string? Problem(KernelShape shape) => SignalProblem(shape) ?? (shape["channels"] < 1 ? "channels is at least 1" : null);
            string? MultipleOfFour(KernelShape shape) => Problem(shape) ?? (shape["channels"] % 4 != 0 ? "channels is a multiple of 4" : null);
            return
            [
                new(nameof(CopyRows), "one thread a value, items along y", Method(typeof(CopyRows), nameof(CopyRows.CopyV1)), any, NoConstants, Problem, shape => Copy(shape, 1)) { Name = "copy_rows_v1" },
                new(nameof(CopyRows), "four channels a thread by 128-bit loads and stores", Method(typeof(CopyRows), nameof(CopyRows.CopyV2)), fours, NoConstants, MultipleOfFour, shape => Copy(shape, 4))
                    { Name = "copy_rows_v2" },
            ];
        }
    }

    private static KernelTrial Copy(KernelShape shape, int perThread)
    {
        int items = (int)shape["items"], rows = (int)shape["rows"], channels = (int)shape["channels"];
        RowsOf<float> source = RandomRows(19, shape, channels, 2, 1), target = RandomRows(20, shape, channels, 1, 3);
        double[] expected = Expected(target).Expected;
        for (int item = 0; item < items; item++)
        {
            Span<float> from = Run(source, item, rows);
            Span<double> to = Run(target, expected, item, rows);
            for (int i = 0; i < from.Length; i++) to[i] = from[i];
        }
        return new KernelTrial([Launch(shape, rows * channels / perThread, source, target, rows)], CopyRows.CopyCost(items, rows, channels), [KernelOutput.Exact("target", target.Array, expected)]);
    }

    // One launch with a thread for each of the given number of elements of an item, items along y.
    private static KernelLaunch Launch(KernelShape shape, int elements, params object[] arguments) => new(new(Blocks(elements, Threads), (int)shape["items"], 1), new(Threads, 1, 1), 0, arguments);

    // An activation whose items hold rows before the first and behind the last that a launch works on. Where the launch's rows fill sectors of 32 bytes, all rows do.
    private static RowsOf<float> RandomRows(int seed, KernelShape shape, int channels, int before, int behind)
    {
        if (shape["rows"] % 8 == 0) (before, behind) = (8 * before, 8 * behind);
        int itemRows = before + (int)shape["rows"] + behind;
        return new RowsOf<float>(Random(seed, shape["items"] * itemRows * channels, 2), itemRows, before, channels);
    }

    // What the rows hold before a launch: rows that it does not work on keep it.
    private static (double[] Expected, float[] Naive) Expected(RowsOf<float> rows) => (Array.ConvertAll(rows.Array, value => (double)value), [.. rows.Array]);

    private static Span<float> Run(RowsOf<float> of, int item, int rows) => Run(of, of.Array, item, rows);

    // The same place in an array of the same layout.
    private static Span<T> Run<T>(RowsOf<float> of, T[] values, int item, int rows) => values.AsSpan((item * of.ItemRows + of.First) * of.Channels, rows * of.Channels);
}
