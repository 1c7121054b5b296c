using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Training with activations and products in less than float32, on the emulator.</summary>
public class MixedPrecisionTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    public static TheoryData<Precision> Precisions => [Precision.Tf32, Precision.Fp16, Precision.Bf16];

    private static PassCase[] Cases =>
        [new(32, Both, true, [3, 2], 150, bands: 8), new(32, Conditioner.None, false, [2], 1), new(64, Conditioner.Mel, false, [16], 144, bands: 80), new(64, Conditioner.Label, true, [2], 37)];

    /// <summary>
    /// The rule of the forward tests, tensor by tensor and by Euclidean length: the error against float64 is at most twice that of a float64 evaluation which rounds wherever the precision must, plus a floor
    /// of two units in the last place of the tensor's length. The floor counts where a tensor is a single sum, whose roundings may happen to cancel in one evaluation and not in the other.
    /// </summary>
    [Theory]
    [MemberData(nameof(Precisions))]
    public void GradientsAreAsAccurateAsTheirRoundings(Precision precision)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision });
        foreach (PassCase c in Cases)
        {
            const float Scale = 1;
            Parameters actual = c.Run(device.Ops, recompute: false, Scale).Gradients;
            Gradients<double> truth = Of(Precision.Fp32), rounded = Of(precision);
            foreach (ParameterInfo tensor in c.Weights.Infos)
            {
                double[] exact = truth.ByName[tensor.Name], device64 = Reference<double>.Of(actual[tensor.Name]);
                double error = Distance(exact, device64), naive = Distance(exact, rounded.ByName[tensor.Name]), length = Distance(exact, new double[exact.Length]), floor = 2 * RoundedNetwork.Unit(precision) * length;
                TestContext.Current.TestOutputHelper?.WriteLine($"{precision} C={c.Config.Channels} {tensor.Name}: {error / length:g3} of {length:g3}, its roundings alone {naive / length:g3}");
                Assert.True(error <= 2 * naive + floor, $"{precision}, C={c.Config.Channels}, {tensor.Name}: {error:g3} apart, allowed {2 * naive + floor:g3} (twice {naive:g3}, which its roundings come to, plus {floor:g3})");
            }

            Gradients<double> Of(Precision which)
            {
                var gradients = new Gradients<double>();
                for (int i = 0; i < 2; i++) RoundedTraining.AddGradients(which, c.Config, c.Weights, c.Items[i], c.Noise[i], c.Steps[i], c.Levels[i], Scale, gradients);
                return gradients;
            }
        }
    }

    private static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
}
