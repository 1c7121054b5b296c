using DiffWave.Cpu.Tests;
using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>
/// The network in float64 with a rounding wherever a precision asks for one: what is stored (x, the upsampled mel, every block's y and sum of skips), what is multiplied in the blocks and, for 16 bits, in
/// the head, and both factors of the gate where they come from tanh.approx. It knows nothing of tiles, and rounds nowhere else: what it is off by is what the precision costs at least.
/// </summary>
internal static class RoundedNetwork
{
    internal sealed record Roundings(Func<double, double> Stored, Func<double, double> Operand, Func<double, double> Gate, bool HeadToo);

    /// <summary>What forward has computed: inputs, step biases, pre-gates and upsampled mels of the blocks, the sum of skips and the result.</summary>
    internal sealed record Tape(double[][] X, double[][] StepBias, double[][] PreGate, double[][]? Upsampled, double[] Skips, double[] Eps);

    // tf32 has the bits of fp16 and the range of float32; tanh.approx is off by up to 2^-11 of its value, half a unit of 11 bits.
    internal static Roundings Of(Precision precision) => precision switch
    {
        Precision.Fp16 => new(value => (double)(Half)value, value => (double)(Half)value, value => Bits(value, 11), true),
        Precision.Bf16 => new(value => (float)(BFloat16)(float)value, value => (float)(BFloat16)(float)value, value => Bits(value, 11), true),
        Precision.Tf32 => new(value => value, value => Bits(value, 11), value => value, false),
        _ => new(value => value, value => value, value => value, false),
    };

    /// <summary>One unit in the last place of 1.</summary>
    public static double Unit(Precision precision) => precision == Precision.Bf16 ? 1.0 / (1 << 7) : 1.0 / (1 << 10);

    /// <summary>eps of a whole signal; mel [frames, M] or null.</summary>
    public static double[] Evaluate(Precision precision, ModelConfig config, Parameters parameters, double[] audio, float step, double[]? mel, int label) =>
        Forward(precision, config, parameters, audio, step, mel, label).Eps;

    /// <summary>The same with everything in between.</summary>
    public static Tape Forward(Precision precision, ModelConfig config, Parameters parameters, double[] audio, float step, double[]? mel, int label)
    {
        Roundings round = Of(precision);
        float[] table = new float[ModelConfig.StepTableWidth];
        StepEmbedding.Row(config.StepExponent, step, config.TrainingBetas.Count, table);
        int c = config.Channels, rows = audio.Length;
        double[] embedding = Reference<double>.Embedding(parameters, Reference<double>.Of(table)), none = new double[2 * c];
        double[] x = Map(Reference<double>.InputProjection(parameters, audio), round.Stored), skips = new double[x.Length];
        double[][] xs = new double[config.Layers][], steps = new double[config.Layers][], preGates = new double[config.Layers][], mels = new double[config.Layers][];
        for (int layer = 0; layer < config.Layers; layer++)
        {
            double[] Weights(string name) => Reference<double>.Of(parameters[$"residual_layers.{layer}.{name}"]);
            xs[layer] = [.. x];
            double[] W = Weights("dilated_conv.weight"), stepBias = Reference<double>.StepBias(parameters, layer, embedding);
            steps[layer] = stepBias;
            // The step and its edges are added in float32, so its products are not rounded.
            double[] h = Sum(Reference<double>.Conv3(x, c, Map(W, round.Operand), none, config.Dilation(layer)),
                Reference<double>.Conv3([.. Enumerable.Range(0, x.Length).Select(i => stepBias[i % c])], c, W, Weights("dilated_conv.bias"), config.Dilation(layer)));
            if (config.HasLabel)
            {
                double[] labelBias = Reference<double>.LabelBias(parameters, layer, label);
                for (int i = 0; i < h.Length; i++) h[i] += labelBias[i % (2 * c)];
            }
            if (mel is not null)
            {
                double[] upsampled = mels[layer] = Map(Reference<double>.Upsample(config, parameters, layer, mel)[..(rows * config.Bands)], round.Stored);
                h = Sum(h, Reference<double>.Linear(Map(upsampled, round.Operand), config.Bands, Map(Weights("conditioner_projection.weight"), round.Operand), Weights("conditioner_projection.bias")));
            }
            preGates[layer] = Map(h, round.Stored);
            double[] z = new double[x.Length];
            var (filter, gate) = config.GateOrder == GateOrder.FilterFirst ? (0, c) : (c, 0);
            for (int i = 0; i < z.Length; i++)
            {
                int at = i / c * 2 * c + i % c;
                z[i] = round.Operand(round.Gate(Math.Tanh(h[at + filter])) * (0.5 + 0.5 * round.Gate(Math.Tanh(0.5 * h[at + gate]))));
            }
            double[] output = Reference<double>.Linear(z, c, Map(Weights("output_projection.weight"), round.Operand), Weights("output_projection.bias"));
            for (int i = 0; i < x.Length; i++)
            {
                int at = i / c * 2 * c + i % c;
                x[i] = round.Stored((x[i] + (config.ResidualIncludesStepEmbedding ? stepBias[i % c] : 0) + output[at]) * Math.Sqrt(0.5));
                skips[i] = round.Stored(skips[i] + output[at + c]);
            }
        }
        Func<double, double> inHead = round.HeadToo ? round.Operand : value => value;
        double[] hidden = Reference<double>.Linear(skips, c, Map(Reference<double>.Of(parameters["skip_projection.weight"]), inHead), new double[c]), bias = Reference<double>.Of(parameters["skip_projection.bias"]);
        for (int i = 0; i < hidden.Length; i++) hidden[i] = Math.Max(0, hidden[i] / Math.Sqrt(config.Layers) + bias[i % c]);
        double[] eps = Reference<double>.Linear(hidden, c, Reference<double>.Of(parameters["output_projection.weight"]), Reference<double>.Of(parameters["output_projection.bias"]));
        return new Tape(xs, steps, preGates, mel is null ? null : mels, skips, eps);
    }

    internal static double[] Map(double[] values, Func<double, double> function) => [.. values.Select(function)];

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (first, second) => first + second)];

    // The nearest number of so many significant bits.
    private static double Bits(double value, int bits)
    {
        if (value == 0) return 0;
        double unit = Math.ScaleB(1, Math.ILogB(value) + 1 - bits);
        return Math.Round(value / unit) * unit;
    }
}
