using System.Globalization;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>
/// Every operation of a device against the CPU's, on a random model and random signals, forward and backward. Both get the same float32 inputs, so what separates them is rounding alone:
/// each bound is derived from the operation's formula by <see cref="ErrorEstimate"/>.
/// </summary>
internal sealed partial class OpsCheck
{
    private readonly TwinDevices _twins;
    private readonly ModelConfig _config;
    private readonly Parameters _weights;
    private readonly int _batch, _frames, _length; // B, frames of the mel, T
    private readonly string _shape;
    private readonly List<DeviceCheckLine> _lines = [];

    private OpsCheck(TwinDevices twins)
    {
        _twins = twins;
        Random random = twins.Random;
        _config = RandomConfig(random);
        _weights = RandomWeights(_config, twins);
        _batch = random.Next(1, 4);
        _frames = Math.Max(1, random.Next(1, 97) / _config.Hop);
        _length = _frames * _config.Hop;
        _shape = string.Create(CultureInfo.InvariantCulture, $"C={_config.Channels},L={_config.Layers},B={_batch},T={_length}{(_config.HasMel ? $",M={_config.Bands},hop={_config.Hop}" : "")}");
    }

    /// <summary>Tries every operation once.</summary>
    /// <param name="cpu">What to compare with; loaded with random weights.</param>
    /// <param name="device">The device to check; loaded with the same.</param>
    /// <param name="random">Draws the model, the shapes and the values.</param>
    public static IReadOnlyList<DeviceCheckLine> Run(IOps cpu, IOps device, Random random)
    {
        using var twins = new TwinDevices(cpu, device, random);
        var check = new OpsCheck(twins);
        check.Try(nameof(IOps.Load), () => twins.Both(side => side.Ops.Load(check._config, check._weights)));
        check.Forward();
        check.Backward();
        check.Training();
        return check._lines;
    }

    // A model with every choice the engine knows, small enough to be quick on an emulator.
    private static ModelConfig RandomConfig(Random random)
    {
        var conditioner = (Conditioner)random.Next(4);
        bool mel = (conditioner & Conditioner.Mel) != 0, label = (conditioner & Conditioner.Label) != 0;
        int[][] factors = [[4], [3], [2, 2], [5, 2], [4, 4]];
        int[] chosen = factors[random.Next(factors.Length)];
        int hop = chosen.Aggregate(1, (product, factor) => product * factor), layers = random.Next(2, 5);
        return new ModelConfig
        {
            Channels = random.Next(2) == 0 ? random.Next(1, 49) : 16 * random.Next(1, 5), Layers = layers, DilationCycle = random.Next(1, 6),
            Conditioner = conditioner, Labels = label ? random.Next(1, 9) : 0,
            Mel = mel ? MelRecipeOf(hop, random.Next(2, 25)) : null, UpsampleFactors = mel ? chosen : [],
            TrainingBetas = NoiseSchedule.LinearBetas(1e-4, 0.05, 50), FastBetas = [1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5],
            GateOrder = (GateOrder)random.Next(2), ResidualIncludesStepEmbedding = random.Next(2) == 0, StepExponent = (StepExponent)random.Next(2), Upsampler = (Upsampler)random.Next(2),
        };
    }

    private static Audio.MelRecipe MelRecipeOf(int hop, int bands) => Audio.MelRecipe.Lmnt(22050, hop, bands);

    // Weights of a size that keeps activations near 1. Where backward looks at the sign of a value that is computed again, the values of a channel have the same sign and a distance from
    // 0, so that rounding cannot turn it: the layer before the head's ReLU, and the mel's first stage.
    private static Parameters RandomWeights(ModelConfig config, TwinDevices twins)
    {
        var weights = new Parameters(config);
        bool melsAreNegative = twins.Random.Next(2) == 0;
        foreach (ParameterInfo info in weights.Infos)
        {
            bool upsampler = info.Name.Contains("spectrogram_upsampler", StringComparison.Ordinal), signed = upsampler || info.Name.StartsWith("skip_projection", StringComparison.Ordinal);
            int inputs = upsampler ? 6 : info.Shape.Skip(1).Aggregate(1, (product, size) => product * size), outputs = upsampler ? 1 : info.Shape[0];
            float scale = 1 / MathF.Sqrt(inputs);
            for (int output = 0; output < outputs; output++)
            {
                float[] values = signed ? twins.Values(info.Count / outputs, 0.1f * scale, scale) : twins.Values(info.Count / outputs, -scale, scale);
                if (upsampler ? melsAreNegative : signed && output % 2 == 1) values = Array.ConvertAll(values, value => -value);
                values.CopyTo(weights.Arena, info.Offset + output * values.Length);
            }
        }
        return weights;
    }

    // Runs one operation; what the device, its compiler or a check of the emulator refuses is the operation's failure, and the others go on.
    private void Try(string name, Action check)
    {
        try { check(); }
        catch (Exception e) when (e is CudaException or KernelCompileException) { _lines.Add(new DeviceCheckLine(name, _shape, "", double.NaN, 0, "", e.Message.ReplaceLineEndings(" "))); }
    }

    private void Compare(string name, string result, (float[] Cpu, float[] Device) values, ErrorEstimate estimate, string reason, string? shape = null)
    {
        double worst = 0;
        for (int i = 0; i < values.Cpu.Length; i++)
        {
            double error = Math.Abs((double)values.Cpu[i] - values.Device[i]);
            if (double.IsNaN(error)) error = double.PositiveInfinity;
            worst = Math.Max(worst, error);
        }
        _lines.Add(new DeviceCheckLine(name, shape ?? _shape, result, worst, estimate.Bound, reason));
    }

    // Bit for bit, where both promise the same roundings.
    private void Same(string name, string result, (float[] Cpu, float[] Device) values, string? shape = null)
    {
        double worst = 0;
        for (int i = 0; i < values.Cpu.Length; i++)
            if (BitConverter.SingleToInt32Bits(values.Cpu[i]) != BitConverter.SingleToInt32Bits(values.Device[i]))
                worst = Math.Max(worst, Math.Abs((double)values.Cpu[i] - values.Device[i]) is > 0 and var error ? error : double.PositiveInfinity);
        _lines.Add(new DeviceCheckLine(name, shape ?? _shape, result, worst, 0, "the same bits"));
    }

    // A matrix or filter of the model: the sum of the magnitudes of a row's weights (or a column's, for the way back), and the bias.
    private double RowSum(string name) => Rows($"{name}.weight").Max(row => row.Sum(value => (double)Math.Abs(value)));

    private double ColumnSum(string name)
    {
        float[][] rows = Rows($"{name}.weight");
        return Enumerable.Range(0, rows[0].Length).Max(column => rows.Sum(row => (double)Math.Abs(row[column])));
    }

    private double Bias(string name) => _weights[$"{name}.bias"].ToArray().Max(Math.Abs);

    private float[][] Rows(string name)
    {
        ParameterInfo info = _weights.Info(name);
        float[] values = _weights[name].ToArray();
        int columns = info.Count / info.Shape[0];
        return [.. Enumerable.Range(0, info.Shape[0]).Select(row => values[(row * columns)..((row + 1) * columns)])];
    }

    private int Inputs(string name) => _weights.Info($"{name}.weight").Shape[1];

    private ErrorEstimate Linear(string name, ErrorEstimate input) => input.Weighted(Inputs(name), RowSum(name), Bias(name));
}
