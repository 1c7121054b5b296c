using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The network with activations and products in less than float32, on the emulator.</summary>
public class CudaPrecisionTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    public static TheoryData<Precision> Precisions => [Precision.Fp16, Precision.Bf16, Precision.Tf32];

    // Every number of channels there are kernels for; a row, rows that are no whole tiles, more rows than a tile; both flavours of the graph.
    private static NetworkCase[] Cases =>
    [
        new(Setup.Config(32, Both, 8, [5, 4]), 150, 3), new(Setup.Config(32, philsyn: true), 1, 1), new(Setup.Config(64, Conditioner.Mel, 80, [16, 4], philsyn: true), 131, 2),
        new(Setup.Config(64, Conditioner.Label), 7, 2), new(Setup.Config(128, Conditioner.Mel, 24, [6], layers: 3), 37, 1), new(Setup.Config(256, layers: 2), 21, 1),
    ];

    /// <summary>
    /// The rule of the float32 tests, one precision further down: the error against float64 is at most twice that of a float64 evaluation which rounds wherever the precision must, plus a floor of four units
    /// in the last place of the largest value. That evaluation rounds at the same places but not alike: a sum on the other side of a tie rounds the other way.
    /// </summary>
    [Theory]
    [MemberData(nameof(Precisions))]
    public void AsAccurateAsItsRoundings(Precision precision)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision });
        foreach (NetworkCase c in Cases)
        {
            device.Ops.Load(c.Config, c.Parameters);
            float[][] eps = Network.Evaluate(device.Ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
            float[][]? mels = c.Config.HasMel ? Setup.Mels(c.Config, c.Batch, c.Frames).Rows : null;
            for (int item = 0; item < c.Batch; item++)
            {
                int label = c.Labels.Length > 0 ? c.Labels[item] : 0;
                double[] audio = Reference<double>.Of(c.Audio[item]);
                double[]? mel = mels is null ? null : Reference<double>.Of(mels[item]);
                double[] truth = Reference<double>.Network(c.Config, c.Parameters, audio, c.Steps[item], mel, label);
                float[] rounded = [.. RoundedNetwork.Evaluate(precision, c.Config, c.Parameters, audio, c.Steps[item], mel, label).Select(value => (float)value)];
                double error = Setup.MaxError(truth, eps[item]), naive = Setup.MaxError(truth, rounded), floor = 4 * RoundedNetwork.Unit(precision) * truth.Max(Math.Abs);
                TestContext.Current.TestOutputHelper?.WriteLine($"{precision} {c}, item {item}: error {error:g3}, its roundings alone {naive:g3}, largest {truth.Max(Math.Abs):g3}");
                Assert.True(error <= 2 * naive + floor, $"{precision}, {c}, item {item}: error {error:g3}, allowed {2 * naive + floor:g3} (twice {naive:g3}, which its roundings come to, plus {floor:g3})");
            }
        }
    }
}
