using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>
/// Gradients of the network in float64 with a rounding wherever a precision asks for one: forward as in <see cref="RoundedNetwork"/>; backward what is stored (in 16 bits the gradients of the hidden layer,
/// of skips, of each block's input and of its pre-gate, and the gated activation made again) and what is multiplied (weights in 16 bits; in tf32 both factors of the weights' gradients). With fp32 it rounds
/// nowhere: the truth.
/// </summary>
internal static class RoundedTraining
{
    /// <summary>Adds the gradients of scale times the sum of squared differences between eps and noise over the samples of a crop that count.</summary>
    public static void AddGradients(Precision precision, ModelConfig config, Parameters parameters, TrainingItem item, float[] noise, int step, float level, float scale, Gradients<double> gradients)
    {
        RoundedNetwork.Roundings round = RoundedNetwork.Of(precision);
        bool stores = precision is Precision.Fp16 or Precision.Bf16;
        Func<double, double> multiplied = round.Operand; // what is stored has been rounded already
        int c = config.Channels, rows = item.Audio.Length;
        double[] noisy = [.. item.Audio.Select((x, t) => (double)(float)(Math.Sqrt(level) * x + Math.Sqrt(1 - level) * noise[t]))];
        double[]? mel = item.Mel is null ? null : Reference<double>.Of(item.Mel);
        RoundedNetwork.Tape tape = RoundedNetwork.Forward(precision, config, parameters, noisy, step, mel, item.Label);
        double[] dEps = [.. tape.Eps.Select((eps, t) => t < item.ValidSamples ? 2 * scale * (eps - noise[t]) : 0)];
        var unused = new Gradients<double>();
        Parameters weights = stores ? Rounded(config, parameters, round.Operand) : parameters;

        double root = Math.Sqrt(config.Layers);
        double[] scaled = [.. tape.Skips.Select(value => value / root)];
        double[] hidden = [.. Reference<double>.Linear(scaled, c, Reference<double>.Of(weights["skip_projection.weight"]), Reference<double>.Of(parameters["skip_projection.bias"])).Select(Reference<double>.Relu)];
        double[] dHidden = ReferenceBackward<double>.Linear(parameters, "output_projection", hidden, c, dEps, gradients);
        for (int i = 0; i < dHidden.Length; i++) if (hidden[i] <= 0) dHidden[i] = 0;
        double[] storedHidden = Map(dHidden, round.Stored);
        AddProducts("skip_projection", scaled, c, storedHidden, dHidden);
        double[] dSkips = Map([.. ReferenceBackward<double>.Linear(weights, "skip_projection", scaled, c, storedHidden, unused).Select(value => value / root)], round.Stored);

        double[] dY = new double[rows * c], dSteps = new double[config.Layers * c], dLabels = new double[config.Layers * 2 * c], dUpsampled = new double[rows * config.Bands];
        for (int layer = config.Layers - 1; layer >= 0; layer--)
        {
            string name = $"residual_layers.{layer}";
            double[] preGate = tape.PreGate[layer], z = new double[rows * c], dOutput = new double[2 * z.Length], dPreGate = new double[2 * z.Length], dX = new double[z.Length];
            var (filter, gate) = config.GateOrder == GateOrder.FilterFirst ? (0, c) : (c, 0);
            double Tanh(int i) => Math.Tanh(preGate[i / c * 2 * c + filter + i % c]);
            double Sigmoid(int i) => Reference<double>.Sigmoid(preGate[i / c * 2 * c + gate + i % c]);
            for (int i = 0; i < z.Length; i++)
            {
                z[i] = round.Stored(Tanh(i) * Sigmoid(i));
                dOutput[i / c * 2 * c + i % c] = dY[i] * Math.Sqrt(0.5);
                dOutput[i / c * 2 * c + c + i % c] = dSkips[i];
            }
            AddProducts($"{name}.output_projection", z, c, dOutput);
            double[] dZ = ReferenceBackward<double>.Linear(weights, $"{name}.output_projection", z, c, dOutput, unused);
            for (int i = 0; i < z.Length; i++)
            {
                double tanh = Tanh(i), sigmoid = Sigmoid(i);
                dPreGate[i / c * 2 * c + filter + i % c] = round.Stored(dZ[i] * sigmoid * (1 - tanh * tanh));
                dPreGate[i / c * 2 * c + gate + i % c] = round.Stored(dZ[i] * tanh * sigmoid * (1 - sigmoid));
            }
            double[] input = [.. tape.X[layer].Select((x, i) => multiplied(x) + tape.StepBias[layer][i % c])];
            ReferenceBackward<double>.Conv3(parameters, $"{name}.dilated_conv", input, c, Map(dPreGate, multiplied), config.Dilation(layer), gradients);
            double[] dH = ReferenceBackward<double>.Conv3(weights, $"{name}.dilated_conv", input, c, dPreGate, config.Dilation(layer), unused);
            for (int i = 0; i < dX.Length; i++)
            {
                double total = dH[i] + dY[i] * Math.Sqrt(0.5);
                dSteps[layer * c + i % c] += config.ResidualIncludesStepEmbedding ? total : dH[i];
                dX[i] = round.Stored(total);
            }
            for (int i = 0; i < dPreGate.Length; i++) dLabels[layer * 2 * c + i % (2 * c)] += multiplied(dPreGate[i]);
            if (mel is not null)
            {
                AddProducts($"{name}.conditioner_projection", tape.Upsampled![layer], config.Bands, dPreGate);
                double[] added = ReferenceBackward<double>.Linear(weights, $"{name}.conditioner_projection", tape.Upsampled[layer], config.Bands, dPreGate, unused);
                for (int i = 0; i < added.Length; i++) dUpsampled[i] += added[i];
                if (config.Upsampler == Upsampler.PerLayer || layer == 0)
                {
                    ReferenceBackward<double>.Upsample(config, parameters, layer, mel, tape.Upsampled[layer], dUpsampled, gradients);
                    Array.Clear(dUpsampled);
                }
            }
            dY = dX;
        }
        ReferenceBackward<double>.InputProjection(parameters, noisy, tape.X[0], dY, gradients);
        float[] table = new float[ModelConfig.StepTableWidth];
        StepEmbedding.Row(config.StepExponent, step, config.TrainingBetas.Count, table);
        ReferenceBackward<double>.StepEmbedding(config, parameters, Reference<double>.Of(table), dSteps, gradients);
        if (config.HasLabel) ReferenceBackward<double>.LabelBias(config, parameters, item.Label, dLabels, gradients);

        // The gradients of a linear layer's weights and bias, its factors rounded as they are multiplied; the bias may sum something else.
        void AddProducts(string name, double[] x, int inputs, double[] dY, double[]? ofBias = null)
        {
            bool inHead = name == "skip_projection" && !round.HeadToo;
            Func<double, double> factor = inHead ? value => value : multiplied;
            var own = new Gradients<double>();
            ReferenceBackward<double>.Linear(parameters, name, inHead || !stores ? Map(x, factor) : x, inputs, Map(dY, stores ? value => value : factor), own);
            gradients.Add($"{name}.weight", own.ByName[$"{name}.weight"]);
            double[] bias = own.ByName[$"{name}.bias"];
            if (ofBias is not null)
            {
                Array.Clear(bias);
                for (int i = 0; i < ofBias.Length; i++) bias[i % bias.Length] += ofBias[i];
            }
            gradients.Add($"{name}.bias", bias);
        }
    }

    // The weights that are multiplied in 16 bits.
    private static Parameters Rounded(ModelConfig config, Parameters parameters, Func<double, double> operand)
    {
        var rounded = new Parameters(config);
        foreach (ParameterInfo info in parameters.Infos)
        {
            bool inBlock = info.Name.EndsWith("dilated_conv.weight", StringComparison.Ordinal) || info.Name.EndsWith("conditioner_projection.weight", StringComparison.Ordinal)
                || info.Name.StartsWith("residual_layers", StringComparison.Ordinal) && info.Name.EndsWith("output_projection.weight", StringComparison.Ordinal) || info.Name == "skip_projection.weight";
            for (int i = 0; i < info.Count; i++) rounded[info.Name][i] = inBlock ? (float)operand(parameters[info.Name][i]) : parameters[info.Name][i];
        }
        return rounded;
    }

    private static double[] Map(double[] values, Func<double, double> function) => RoundedNetwork.Map(values, function);
}
