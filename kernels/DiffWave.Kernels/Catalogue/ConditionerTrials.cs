using System.Runtime.CompilerServices;

namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> MelUpsamplers
    {
        get
        {
            KernelShape Window(long batch, long bands, long factor, long inputs, long first, long outputs) =>
                new(("batch", batch), ("bands", bands), ("factor", factor), ("inputs", inputs), ("first", first), ("outputs", outputs));
            KernelShape Whole(long batch, long bands, long factor, long inputs) => new(("batch", batch), ("bands", bands), ("factor", factor), ("inputs", inputs));
            // The whole of a signal; one row; inside a longer one; its end; odd factors; no widening at all; one band.
            KernelShape[] windows = [Window(2, 80, 16, 20, 0, 320), Window(1, 80, 16, 1, 0, 16), Window(3, 5, 3, 9, 7, 11), Window(1, 1, 1, 6, 2, 3), Window(1, 80, 5, 7, 34, 1), Window(2, 12, 255, 3, 200, 400),
                Window(1, 4, 2, 40, 33, 47), Window(1, 8, 17, 5, 0, 85)];
            KernelShape[] wholes = [Whole(2, 80, 16, 20), Whole(1, 80, 16, 1), Whole(3, 5, 3, 90), Whole(1, 1, 1, 300), Whole(1, 33, 300, 2), Whole(2, 12, 17, 31)];
            KernelShape[] fourWindows = [.. windows.Where(shape => Fours(shape) is null), Window(1, 4, 37, 3, 20, 60)], fourWholes = [.. wholes.Where(shape => Fours(shape) is null), Whole(1, 132, 2, 40), Whole(1, 4, 300, 2)];
            string? Fours(KernelShape shape) => shape["bands"] % 4 != 0 || shape["bands"] > 1024 ? "bands is a multiple of 4 up to 1024" : null;
            string? Inside(KernelShape shape) => Positive(shape) ?? (shape["factor"] > 4096 ? "factor is at most 4096" : null)
                ?? (shape["first"] + shape["outputs"] > shape["inputs"] * shape["factor"] ? "first + outputs is at most inputs times factor" : null);
            string? Positive(KernelShape shape) => shape.Sizes.Any(size => size.Size < 1 && size.Name != "first") ? "every size but first is at least 1" : null;
            Type op = typeof(MelUpsampler);
            KernelVersion Stored<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(MelUpsampler), "version 2 with y in 16 bits, for the last stage",
                Method(op, nameof(MelUpsampler.ForwardV3), typeof(T), typeof(P)), fourWindows, NoConstants, shape => Inside(shape) ?? Fours(shape), shape => UpsampleForward(shape, MelUpsampler.GridV2, InType<T>)) { Name = name };
            KernelVersion StoredInput<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(MelUpsampler), "input: version 2 with y in 16 bits, for the last stage",
                Method(op, nameof(MelUpsampler.BackwardInputV3), typeof(T), typeof(P)), fourWholes, NoConstants, shape => Positive(shape) ?? Fours(shape),
                shape => UpsampleBackwardInput<T>(shape, (inputs, bands) => Blocks(inputs, MelUpsampler.InputRowsV2(bands)))) { Name = name };
            KernelVersion StoredWeights<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(MelUpsampler), "weights: version 2 with y in 16 bits, for the last stage",
                Method(op, nameof(MelUpsampler.BackwardWeightsV3), typeof(T), typeof(P)), fourWholes, NoConstants, shape => Positive(shape) ?? Fours(shape), UpsampleBackwardWeights<T>) { Name = name };
            return
            [
                new(nameof(MelUpsampler), "one thread an output, as the formula reads", Method(op, nameof(MelUpsampler.ForwardV1)), windows, NoConstants, Inside,
                    shape => UpsampleForward(shape, (batch, outputs, bands, factor, shift) => (Blocks((long)outputs * bands, Threads), 1, batch))) { Name = "mel_upsampler_v1" },
                new(nameof(MelUpsampler), "a thread four bands of the outputs between two inputs: six products an output, all from registers and a table of weights in shared memory",
                    Method(op, nameof(MelUpsampler.ForwardV2)), fourWindows, NoConstants, shape => Inside(shape) ?? Fours(shape), shape => UpsampleForward(shape, MelUpsampler.GridV2)) { Name = "mel_upsampler_v2" },
                Stored<Half, F16>("mel_upsampler_v3_half"), Stored<BFloat16, BF16>("mel_upsampler_v3_bf16"),
                new(nameof(MelUpsampler), "input: one thread an element of dx, as the formula reads", Method(op, nameof(MelUpsampler.BackwardInputV1)), wholes, NoConstants, Positive,
                    shape => UpsampleBackwardInput<float>(shape, (inputs, bands) => Blocks((long)inputs * bands, Threads))) { Name = "mel_upsampler_backward_input_v1" },
                new(nameof(MelUpsampler), "input: a thread four bands of an input: y and dy are read once a tap for all three rows of w, which meet their neighbours in shared memory",
                    Method(op, nameof(MelUpsampler.BackwardInputV2)), fourWholes, NoConstants, shape => Positive(shape) ?? Fours(shape),
                    shape => UpsampleBackwardInput<float>(shape, (inputs, bands) => Blocks(inputs, MelUpsampler.InputRowsV2(bands)))) { Name = "mel_upsampler_backward_input_v2" },
                new(nameof(MelUpsampler), "weights: a block a slice, a warp a value of it, its lanes along the bands", Method(op, nameof(MelUpsampler.BackwardWeightsV1)), wholes, NoConstants, Positive,
                    UpsampleBackwardWeights<float>) { Name = "mel_upsampler_backward_weights_v1" },
                new(nameof(MelUpsampler), "weights: a block a slice, a warp a phase: an output row is read once for all six weights that meet it, by four bands at a time",
                    Method(op, nameof(MelUpsampler.BackwardWeightsV2)), fourWholes, NoConstants, shape => Positive(shape) ?? Fours(shape), UpsampleBackwardWeights<float>) { Name = "mel_upsampler_backward_weights_v2" },
                StoredInput<Half, F16>("mel_upsampler_backward_input_v3_half"), StoredInput<BFloat16, BF16>("mel_upsampler_backward_input_v3_bf16"),
                StoredWeights<Half, F16>("mel_upsampler_backward_weights_v3_half"), StoredWeights<BFloat16, BF16>("mel_upsampler_backward_weights_v3_bf16"),
            ];
        }
    }

    private delegate (int X, int Y, int Z) UpsampleGrid(int batch, int outputs, int bands, int factor, int shift);

    // The buffers hold more rows than the window, of NaN before and after those that are to be read, and of sevens around those that are to be written.
    private static KernelTrial UpsampleForward(KernelShape shape, UpsampleGrid grid, Storage? storage = null)
    {
        const int before = 2, after = 1;
        int batch = (int)shape["batch"], bands = (int)shape["bands"], factor = (int)shape["factor"], inputs = (int)shape["inputs"], first = (int)shape["first"], outputs = (int)shape["outputs"];
        float[] x = Random(11, (long)batch * inputs * bands, 1), weight = Random(12, 3 * MelUpsampler.Taps(factor), 1), bias = Random(13, 1, 1), naive = new float[x.Length * factor];
        double[] expected = new double[naive.Length], magnitude = new double[naive.Length];
        MelUpsampler.Reference(x, weight, bias[0], expected.AsSpan(), inputs, bands, factor);
        MelUpsampler.Reference(x, weight, bias[0], naive.AsSpan(), inputs, bands, factor);
        MelUpsampler.Reference(Absolute(x), Absolute(weight), Math.Abs(bias[0]), magnitude.AsSpan(), inputs, bands, factor);
        (long low, int count, int shift) = MelUpsampler.Inputs(first, outputs, inputs, factor);
        var grids = grid(batch, outputs, bands, factor, shift);
        float[] window = WindowOf(x, batch, inputs, (int)low, count, float.NaN), y = WindowOf(Unwritten(naive.Length), batch, inputs * factor, first, outputs, Kept);
        KernelOutput output = KernelOutput.Float32("y", y, WindowOf(expected, batch, inputs * factor, first, outputs, Kept), WindowOf(naive, batch, inputs * factor, first, outputs, Kept), Largest(magnitude));
        object target = new RowsOf<float>(y, before + outputs + after, before, bands);
        if (storage is not null) (target, output) = storage(y, before + outputs + after, before, bands, output);
        return new KernelTrial([new(new(grids.X, grids.Y, grids.Z), new(Threads, 1, 1), 0, new RowsOf<float>(window, before + count + after, before, bands), target,
            weight, bias, count, outputs, factor, shift)], MelUpsampler.ForwardCost(batch, count, outputs, bands, factor), [output]);

        T[] WindowOf<T>(T[] rows, int items, int itemRows, int from, int held, T around)
        {
            T[] result = new T[items * (before + held + after) * bands];
            Array.Fill(result, around);
            for (int item = 0; item < items; item++) Array.Copy(rows, (item * itemRows + from) * bands, result, (item * (before + held + after) + before) * bands, held * bands);
            return result;
        }
    }

    private static (int Batch, int Bands, int Factor, int Inputs, float[] X, float[] Y, float[] Dy, float[] Weight) UpsampleTape(KernelShape shape)
    {
        int batch = (int)shape["batch"], bands = (int)shape["bands"], factor = (int)shape["factor"], inputs = (int)shape["inputs"];
        long elements = (long)batch * inputs * bands;
        return (batch, bands, factor, inputs, Random(11, elements, 1), Random(14, elements * factor, 1), Random(15, elements * factor, 1), Random(12, 3 * MelUpsampler.Taps(factor), 1));
    }

    private static KernelTrial UpsampleBackwardInput<T>(KernelShape shape, Func<int, int, int> blocks) where T : unmanaged
    {
        var (batch, bands, factor, inputs, x, y, dy, weight) = UpsampleTape(shape);
        var result = new RowsOf<T>((T[])Rounded<T>(y, out y), inputs * factor, 0, bands);
        float[] dx = Unwritten(x.Length), naive = new float[x.Length];
        double[] expected = new double[x.Length], magnitude = new double[x.Length];
        MelUpsampler.ReferenceBackwardInput(y, dy, weight, expected.AsSpan(), inputs, bands, factor);
        MelUpsampler.ReferenceBackwardInput(y, dy, weight, naive.AsSpan(), inputs, bands, factor);
        MelUpsampler.ReferenceBackwardInput(y, Absolute(dy), Absolute(weight), magnitude.AsSpan(), inputs, bands, factor);
        return new KernelTrial([new(new(blocks(inputs, bands), 1, batch), new(Threads, 1, 1), 0, result, new RowsOf<float>(dy, inputs * factor, 0, bands), weight, new RowsOf<float>(dx, inputs, 0, bands), inputs, factor)],
            MelUpsampler.BackwardInputCost(batch, inputs, bands, factor, Unsafe.SizeOf<T>()), [KernelOutput.Float32("dx", dx, expected, naive, Largest(magnitude))]);
    }

    private static KernelTrial UpsampleBackwardWeights<T>(KernelShape shape) where T : unmanaged
    {
        var (batch, bands, factor, inputs, x, y, dy, _) = UpsampleTape(shape);
        var result = new RowsOf<T>((T[])Rounded<T>(y, out y), inputs * factor, 0, bands);
        int slices = MelUpsampler.Slices(inputs, factor), values = 3 * MelUpsampler.Taps(factor) + 1;
        float[] partial = Unwritten((long)batch * slices * values), naive = new float[partial.Length];
        double[] expected = new double[partial.Length], magnitude = new double[partial.Length];
        MelUpsampler.ReferenceBackwardWeights(x, y, dy, expected.AsSpan(), inputs, bands, factor);
        MelUpsampler.ReferenceBackwardWeights(x, y, dy, naive.AsSpan(), inputs, bands, factor);
        MelUpsampler.ReferenceBackwardWeights(Absolute(x), y, Absolute(dy), magnitude.AsSpan(), inputs, bands, factor);
        return new KernelTrial([new(new(slices, 1, batch), new(Threads, 1, 1), 0, new RowsOf<float>(x, inputs, 0, bands), result, new RowsOf<float>(dy, inputs * factor, 0, bands), partial, inputs, factor)],
            MelUpsampler.BackwardWeightsCost(batch, inputs, bands, factor, Unsafe.SizeOf<T>()), [KernelOutput.Float32("partial", partial, expected, naive, Largest(magnitude))]);
    }

    private static IReadOnlyList<KernelVersion> InputProjectionBackwards
    {
        get
        {
            KernelShape Shape(long batch, long rows, long channels) => new(("batch", batch), ("rows", rows), ("channels", channels));
            KernelShape[] shapes = [Shape(2, 1100, 64), Shape(40, 1, 5), Shape(1, 9, 1), Shape(3, 7, 16), Shape(1, 513, 24), Shape(1, 20, 129)];
            Type op = typeof(InputProjectionBackward);
            return
            [
                new(nameof(InputProjectionBackward), "weights: a block 32 channels of a slice, eight warps share its rows and meet in shared memory", Method(op, nameof(InputProjectionBackward.WeightsV1)),
                    shapes, NoConstants, shape => Unfit(shape), InputProjectionWeights<float>) { Name = "input_projection_backward_weights_v1" },
                Stored<Half, F16>("input_projection_backward_weights_v2"), Stored<BFloat16, BF16>("input_projection_backward_weights_v2_bf16"),
                new(nameof(InputProjectionBackward), "audio: a warp a row, its lanes sum a stride of the channels, shuffles join them", Method(op, nameof(InputProjectionBackward.AudioV1)), shapes,
                    NoConstants, shape => Unfit(shape), InputProjectionAudio) { Name = "input_projection_backward_audio_v1" },
            ];

            KernelVersion Stored<T, P>(string name) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(InputProjectionBackward),
                "weights from activations in 16 bits: eight channels a thread with 128-bit loads, four rows on their way at once, the threads of a slice meet in shared memory",
                Method(op, nameof(InputProjectionBackward.WeightsV2), typeof(T), typeof(P)), [shapes[0], Shape(3, 1, 32), Shape(1, 513, 24), Shape(2, 37, 256), Shape(1, 9, 2048)], ProjectedChannels,
                shape => Unfit(shape) ?? (shape["channels"] % 8 != 0 || shape["channels"] > 2048 ? "channels is a multiple of 8 up to 2048" : null), InputProjectionWeights<T>) { Name = name };
        }
    }

    // Rows around those of an item are NaN. A sixteenth of x is exactly zero, as ReLU leaves it.
    private static KernelTrial InputProjectionWeights<T>(KernelShape shape) where T : unmanaged
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"], slices = SliceSum.Slices(rows), itemRows = rows + 2 * Margin;
        float[] audio = Random(21, (long)batch * rows, 1), partial = Unwritten((long)batch * slices * 2 * channels);
        Rounded<T>([.. Random(22, (long)batch * rows * channels, 1).Select((value, i) => i % 16 == 5 ? 0 : value)], out float[] x);
        Rounded<T>(Random(23, x.Length, 1), out float[] dx);
        F[] Expected<F>(Func<float[], float[]> map) where F : System.Numerics.IFloatingPointIeee754<F>
        {
            var result = new F[partial.Length];
            InputProjectionBackward.ReferenceWeights(map(audio), x, map(dx), result.AsSpan(), rows, channels);
            return result;
        }
        RowsOf<T> In(float[] values) => new((T[])Rounded<T>(Placed(values, rows, channels, itemRows, Margin, float.NaN), out _), itemRows, Margin, channels);
        bool stored = typeof(T) != typeof(float);
        return new KernelTrial([new(new(slices, stored ? 1 : Blocks(channels, 32), batch), stored ? new(Threads, 1, 1) : new(32, Threads / 32, 1), 0, new RowsOf<float>(Placed(audio, rows, 1, itemRows, Margin, float.NaN), itemRows, Margin, 1),
                In(x), In(dx), partial, rows)],
            InputProjectionBackward.WeightsCost(batch, rows, channels, System.Runtime.CompilerServices.Unsafe.SizeOf<T>()),
            [KernelOutput.Float32("partial", partial, Expected<double>(Same), Expected<float>(Same), Largest(Expected<double>(Absolute)))]);
    }

    private static KernelTrial InputProjectionAudio(KernelShape shape)
    {
        int batch = (int)shape["batch"], rows = (int)shape["rows"], channels = (int)shape["channels"];
        float[] weight = Random(21, channels, 1), x = Random(22, (long)batch * rows * channels, 1), dx = Random(23, x.Length, 1), dAudio = Unwritten((long)batch * rows), naive = new float[dAudio.Length];
        double[] expected = new double[dAudio.Length], magnitude = new double[dAudio.Length];
        InputProjectionBackward.ReferenceAudio(weight, x, dx, expected.AsSpan());
        InputProjectionBackward.ReferenceAudio(weight, x, dx, naive.AsSpan());
        InputProjectionBackward.ReferenceAudio(Absolute(weight), x, Absolute(dx), magnitude.AsSpan());
        return new KernelTrial([new(new(Blocks(rows, Threads / 32), 1, batch), new(Threads, 1, 1), 0, weight, new RowsOf<float>(x, rows, 0, channels), new RowsOf<float>(dx, rows, 0, channels),
            new RowsOf<float>(dAudio, rows, 0, 1), rows)], InputProjectionBackward.AudioCost(batch, rows, channels), [KernelOutput.Float32("dAudio", dAudio, expected, naive, Largest(magnitude))]);
    }
}
