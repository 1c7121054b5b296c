using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>
/// The hand-written backward in float64 against the forward alone: the derivative of sum(cotangent * output) by every tried input and weight is a central difference of two forward
/// evaluations, Richardson-extrapolated. Where a step reaches over the kink of a (leaky) ReLU the difference is no derivative; those points, found by the signs of the forward's activations, are left out.
/// </summary>
public class FiniteDifferenceTests
{
    private const int PointsATensor = 50;
    private static readonly double[] NoSigns = [];

    // What an operation is here: outputs from inputs, gradients of the inputs from cotangents, and the values whose signs must not change.
    private sealed record Operation(string What, ModelConfig Config, double[][] Inputs, Func<Parameters, double[][], double[]> Forward, Func<Parameters, double[][], double[], Gradients<double>, double[]?[]> Backward,
        Func<Parameters, double[][], double[]>? Signs = null);

    private static double[] Normals(int count, uint stream) => Reference<double>.Of(Setup.Normals(count, stream));

    private static void Check(Operation operation)
    {
        var parameters = Setup.Weights(operation.Config);
        double[] cotangent = Normals(operation.Forward(parameters, operation.Inputs).Length, 900);
        var gradients = new Gradients<double>();
        double[]?[] inputGradients = operation.Backward(parameters, operation.Inputs, cotangent, gradients);

        double Value() => operation.Forward(parameters, operation.Inputs).Zip(cotangent, (value, weight) => value * weight).Sum();
        double[] Signs() => operation.Signs is { } signs ? [.. signs(parameters, operation.Inputs).Select(value => (double)Math.Sign(value))] : NoSigns;
        for (int i = 0; i < operation.Inputs.Length; i++)
            if (inputGradients[i] is { } gradient)
                Compare($"{operation.What}, input {i}", gradient, at => operation.Inputs[i][at], (at, value) => operation.Inputs[i][at] = value, Value, Signs);
        Assert.NotEmpty(gradients.ByName);
        foreach (var (name, gradient) in gradients.ByName)
            Compare($"{operation.What}, {name}", gradient, at => parameters[name][at], (at, value) => parameters[name][at] = (float)value, Value, Signs);
    }

    private static void Compare(string what, double[] gradient, Func<int, double> get, Action<int, double> set, Func<double> value, Func<double[]> signs)
    {
        double largest = gradient.Max(Math.Abs);
        var random = new Random(5);
        int[] points = gradient.Length <= PointsATensor ? [.. Enumerable.Range(0, gradient.Length)] : [.. Enumerable.Range(0, PointsATensor).Select(_ => random.Next(gradient.Length))];
        int kinks = 0;
        foreach (int at in points)
        {
            double here = get(at);
            const double Step = 1.0 / 65536;
            double[] pattern = signs();
            bool smooth = true;
            double Difference(double step)
            {
                // Weights are float32, so the step that was really made is read back.
                set(at, here + step);
                double above = value(), high = get(at);
                smooth &= signs().SequenceEqual(pattern);
                set(at, here - step);
                double below = value(), low = get(at);
                smooth &= signs().SequenceEqual(pattern);
                set(at, here);
                return (above - below) / (high - low);
            }
            double coarse = Difference(2 * Step), fine = Difference(Step), derivative = (4 * fine - coarse) / 3;
            if (!smooth) kinks++;
            else Assert.True(Math.Abs(derivative - gradient[at]) <= 1e-6 * largest + 1e-12, $"{what}[{at}]: backward {gradient[at]:g12}, difference quotient {derivative:g12}, largest {largest:g3}");
        }
        Assert.True(kinks <= points.Length / 2, $"{what}: {kinks} of {points.Length} points lie at a kink, too few are left");
    }

    [Fact]
    public void ResidualBlock()
    {
        foreach (var (channels, rows, layer, philsyn, label) in new[] { (5, 1, 0, false, true), (5, 3, 3, true, true), (16, 19, 2, true, false), (24, 13, 1, false, false), (5, 29, 6, true, true), (5, 17, 6, false, true), (16, 7, 3, false, true) })
        {
            var config = Setup.Config(channels, label ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
            bool last = layer == config.Layers - 1;
            // The cotangent is that of [y, skip], of which the last layer has no y.
            Check(new Operation($"residual block C={channels} T={rows} d={config.Dilation(layer)} philsyn={philsyn}", config, [Normals(rows * channels, 1), Normals(channels, 2), Normals(2 * channels, 3), Normals(rows * 2 * channels, 4)],
                (parameters, inputs) =>
                {
                    var block = Reference<double>.Block(config, parameters, layer, inputs[0], inputs[1], inputs[2], inputs[3]);
                    return last ? block.Skip : [.. block.Y, .. block.Skip];
                },
                (parameters, inputs, cotangent, gradients) =>
                {
                    double[] preGate = Reference<double>.Block(config, parameters, layer, inputs[0], inputs[1], inputs[2], inputs[3]).PreGate;
                    var d = ReferenceBackward<double>.Block(config, parameters, layer, inputs[0], inputs[1], preGate, last ? null : cotangent[..(rows * channels)], cotangent[^(rows * channels)..], gradients);
                    return [d.DX, d.DStep, d.DLabel, d.DPreGate];
                }));
        }
    }

    [Fact]
    public void MelUpsampler()
    {
        foreach (var (factors, bands, frames, philsyn) in new (int[], int, int, bool)[] { ([2], 5, 1, false), ([3], 1, 4, true), ([4, 4], 5, 3, false), ([5, 2], 7, 3, true), ([3, 1, 2], 4, 3, false), ([1], 3, 2, false) })
        {
            var config = Setup.Config(5, Conditioner.Mel, bands, factors, philsyn);
            int layer = philsyn ? 5 : 0;
            double[] Stages(Parameters parameters, double[][] inputs) =>
                [.. Enumerable.Range(1, factors.Length).SelectMany(count => Reference<double>.Upsample(config with { UpsampleFactors = [.. factors.Take(count)] }, parameters, layer, inputs[0]))];
            Check(new Operation($"upsampler [{string.Join(", ", factors)}] M={bands}", config, [Normals(frames * bands, 2)], (parameters, inputs) => Reference<double>.Upsample(config, parameters, layer, inputs[0]),
                (parameters, inputs, cotangent, gradients) =>
                    [ReferenceBackward<double>.Upsample(config, parameters, layer, inputs[0], Reference<double>.Upsample(config, parameters, layer, inputs[0]), cotangent, gradients)], Stages));
        }
    }

    [Fact]
    public void ConditionerProjection()
    {
        foreach (var (channels, bands, rows) in new[] { (5, 1, 3), (16, 7, 1) })
        {
            var config = Setup.Config(channels, Conditioner.Mel, bands);
            Check(new Operation($"conditioner projection C={channels} M={bands}", config, [Normals(rows * bands, 1)], (parameters, inputs) => Reference<double>.MelBias(config, parameters, 2, inputs[0]),
                (parameters, inputs, cotangent, gradients) => [ReferenceBackward<double>.MelBias(config, parameters, 2, inputs[0], cotangent, gradients)]));
        }
    }

    [Fact]
    public void InputProjection()
    {
        foreach (var (channels, rows) in new[] { (5, 1), (24, 31) })
            Check(new Operation($"input projection C={channels}", Setup.Config(channels), [Normals(rows, 1)], (parameters, inputs) => Reference<double>.InputProjection(parameters, inputs[0]),
                (parameters, inputs, cotangent, gradients) => [ReferenceBackward<double>.InputProjection(parameters, inputs[0], Reference<double>.InputProjection(parameters, inputs[0]), cotangent, gradients)],
                (parameters, inputs) => Reference<double>.Linear(inputs[0], 1, Reference<double>.Of(parameters["input_projection.weight"]), Reference<double>.Of(parameters["input_projection.bias"]))));
    }

    [Fact]
    public void Head()
    {
        foreach (var (channels, rows) in new[] { (5, 1), (16, 9), (24, 3) })
        {
            var config = Setup.Config(channels);
            Check(new Operation($"head C={channels}", config, [Normals(rows * channels, 1)], (parameters, inputs) => Reference<double>.Head(config, parameters, inputs[0]),
                (parameters, inputs, cotangent, gradients) => [ReferenceBackward<double>.Head(config, parameters, inputs[0], cotangent, gradients)],
                (parameters, inputs) => Reference<double>.Linear([.. inputs[0].Select(s => s / Math.Sqrt(config.Layers))], channels, Reference<double>.Of(parameters["skip_projection.weight"]), Reference<double>.Of(parameters["skip_projection.bias"]))));
        }
    }

    [Fact]
    public void StepEmbedding()
    {
        var config = Setup.Config(5, layers: 2);
        Check(new Operation("step embedding", config, [Normals(ModelConfig.StepTableWidth, 1)],
            (parameters, inputs) =>
            {
                double[] embedding = Reference<double>.Embedding(parameters, inputs[0]);
                return [.. Enumerable.Range(0, config.Layers).SelectMany(layer => Reference<double>.StepBias(parameters, layer, embedding))];
            },
            (parameters, inputs, cotangent, gradients) => [ReferenceBackward<double>.StepEmbedding(config, parameters, inputs[0], cotangent, gradients)]));
    }

    [Fact]
    public void LabelBias()
    {
        var config = Setup.Config(5, Conditioner.Label);
        Check(new Operation("label", config, [], (parameters, _) => [.. Enumerable.Range(0, config.Layers).SelectMany(layer => Reference<double>.LabelBias(parameters, layer, 4))],
            (parameters, _, cotangent, gradients) =>
            {
                ReferenceBackward<double>.LabelBias(config, parameters, 4, cotangent, gradients);
                return [];
            }));
    }
}
