namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private const int Threads = 256;
    private const float Saturating = 12; // beyond 9.1 tanh is 1 in float32

    private static IReadOnlyList<KernelVersion> GatedActivations
    {
        get
        {
            KernelShape Shape(long rows, long channels, long gateFirst) => new(("rows", rows), ("channels", channels), ("gateFirst", gateFirst));
            KernelShape[] any = [Shape(1000, 64, 0), Shape(1, 1, 1), Shape(3, 7, 0), Shape(37, 65, 1)], fours = [Shape(1000, 64, 0), Shape(1, 4, 0), Shape(37, 12, 1), Shape(5, 128, 1)];
            string? Positive(KernelShape shape) => shape["rows"] < 1 || shape["channels"] < 1 ? "rows and channels are at least 1" : NoFlag(shape, "gateFirst");
            string? MultipleOfFour(KernelShape shape) => Positive(shape) ?? (shape["channels"] % 4 != 0 ? "channels is a multiple of 4" : null);
            IReadOnlyDictionary<string, object> GateFirst(KernelShape shape) => Flags(shape, "gateFirst");
            IReadOnlyDictionary<string, object> Channels(KernelShape shape) => new Dictionary<string, object>(GateFirst(shape)) { ["channels"] = (int)shape["channels"] };
            Type op = typeof(GatedActivation);
            return
            [
                new(nameof(GatedActivation), "one thread an element, as the formula reads", Method(op, nameof(GatedActivation.ForwardV1)), any, GateFirst, Positive,
                    shape => GatedForward(shape, null, Threads, (int)shape["channels"])) { Name = "gated_activation_v1" },
                new(nameof(GatedActivation), "a grid-stride loop over four channels at a time: 128-bit loads and stores, the number of channels a constant",
                    Method(op, nameof(GatedActivation.ForwardV2)), fours, Channels, MultipleOfFour, shape => GatedForward(shape, null, 8 * Threads)) { Name = "gated_activation_v2" },
                new(nameof(GatedActivation), "as v2 with tanh.approx for both factors: absolute error up to 2^-11 + 2^-12 instead of float32 rounding",
                    Method(op, nameof(GatedActivation.ForwardV3)), fours, Channels, MultipleOfFour, shape => GatedForward(shape, 3.0 / 4096, 8 * Threads)) { Name = "gated_activation_v3" },
                new(nameof(GatedActivation), "one thread an element, tanh and sigmoid computed again instead of stored", Method(op, nameof(GatedActivation.BackwardV1)), any, GateFirst, Positive,
                    shape => GatedBackward(shape, false)) { Name = "gated_activation_backward_v1" },
                new(nameof(GatedActivation), "four channels at a time with 128-bit loads and stores; dy becomes y", Method(op, nameof(GatedActivation.BackwardV2)),
                    fours, Channels, MultipleOfFour, shape => GatedBackward(shape, true)) { Name = "gated_activation_backward_v2" },
            ];
        }
    }

    private static KernelTrial GatedForward(KernelShape shape, double? approximation, int perBlock, params object[] scalars)
    {
        long rows = shape["rows"], elements = rows * shape["channels"];
        int channels = (int)shape["channels"];
        bool gateFirst = shape["gateFirst"] != 0;
        float[] h = Random(1, 2 * elements, Saturating), y = Unwritten(elements);
        return new KernelTrial([new(new(Blocks(elements, perBlock), 1, 1), new(Threads, 1, 1), 0, [h, y, .. scalars])], GatedActivation.ForwardCost(rows, channels), () =>
        {
            double[] expected = new double[elements];
            float[] naive = new float[elements];
            GatedActivation.Reference(h, expected.AsSpan(), channels, gateFirst);
            GatedActivation.Reference(h, naive.AsSpan(), channels, gateFirst);
            return [approximation is { } bound ? new("y", y, expected, bound, "2^-11 for tanh and half of it for sigmoid") : KernelOutput.Float32("y", y, expected, naive, Largest(expected))];
        });
    }

    // Version 2 leaves y in the place of dy.
    private static KernelTrial GatedBackward(KernelShape shape, bool leavesY)
    {
        long rows = shape["rows"], elements = rows * shape["channels"];
        int channels = (int)shape["channels"];
        bool gateFirst = shape["gateFirst"] != 0;
        float[] h = Random(1, 2 * elements, Saturating), dy = Random(2, elements, 1), dh = Unwritten(2 * elements), naive = new float[2 * elements], naiveY = new float[elements];
        double[] expected = new double[2 * elements], y = new double[elements];
        GatedActivation.ReferenceBackward(h, dy, expected.AsSpan(), channels, gateFirst);
        GatedActivation.ReferenceBackward(h, dy, naive.AsSpan(), channels, gateFirst);
        GatedActivation.Reference(h, y.AsSpan(), channels, gateFirst);
        GatedActivation.Reference(h, naiveY.AsSpan(), channels, gateFirst);
        KernelOutput gradient = KernelOutput.Float32("dh", dh, expected, naive, Largest(expected));
        return leavesY
            ? new KernelTrial([new(new(Blocks(elements, 8 * Threads), 1, 1), new(Threads, 1, 1), 0, h, dy, dh)], GatedActivation.BackwardCost(rows, channels, leavesY), [gradient, KernelOutput.Float32("y", dy, y, naiveY, Largest(y))])
            : new KernelTrial([new(new(Blocks(elements, Threads), 1, 1), new(Threads, 1, 1), 0, h, dy, dh, channels)], GatedActivation.BackwardCost(rows, channels, leavesY), [gradient]);
    }

    private static double Largest(double[] values) => values.Max(Math.Abs);
}
