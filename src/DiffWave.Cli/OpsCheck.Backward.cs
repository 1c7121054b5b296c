using DiffWave.Engine;

namespace DiffWave.Cli;

// Backward operations, on whole crops. Gradients of weights are sums over B T rows; tensors an operation has no business with must stay 0.
internal sealed partial class OpsCheck
{
    private void Backward()
    {
        foreach (LossKind kind in Enum.GetValues<LossKind>()) Try(nameof(IOps.Loss), () => Loss(kind));
        Try(nameof(IOps.HeadBackward), HeadBackward);
        foreach (int layer in Layers) Try(nameof(IOps.ResidualBlockBackward), () => ResidualBlockBackward(layer));
        if (_config.HasMel)
        {
            Try(nameof(IOps.ConditionerProjectionBackward), ConditionerProjectionBackward);
            Try(nameof(IOps.UpsampleMelBackward), UpsampleMelBackward);
        }
        Try(nameof(IOps.InputProjectionBackward), InputProjectionBackward);
        Try(nameof(IOps.StepEmbeddingBackward), StepEmbeddingBackward);
        if (_config.HasLabel) Try(nameof(IOps.LabelBiasBackward), LabelBiasBackward);
    }

    private int AllRows => _batch * _length;

    private TwinBuffer Crops(int channels) => _twins.Input(_batch, _length, channels);

    private void Loss(LossKind kind)
    {
        const string op = nameof(IOps.Loss);
        float factor = _twins.Random.NextSingle();
        var step = new AdamStep(1, 0, 0.9, 0.999, 1e-8, ClipNorm: 0, AverageDecay: 0, LossScale: 1 << _twins.Random.Next(3));
        double scale = step.LossScale * factor;
        TwinBuffer valid = _twins.Input(_batch, 1, 1, [.. Enumerable.Range(0, _batch).Select(_ => (float)_twins.Random.Next(_length + 1))]), eps = Crops(Signal), noise = Crops(Signal), gradient = _twins.Output(_batch, _length, Signal);
        double[][] sums = [new double[2 * _batch], new double[2 * _batch]];
        _twins.Both(side =>
        {
            side.Ops.BeginStep(step, factor);
            side.Ops.Loss(kind, side.Of(noise), side.Of(eps), side.Of(valid), 0, side.Of(gradient)); // two calls of one optimiser step
            side.Ops.Loss(kind, side.Of(eps), side.Of(noise), side.Of(valid), _batch, side.Of(gradient));
            side.Ops.ReadLosses(sums[side.IsCpu ? 0 : 1]);
        });
        string name = $"{op}({kind})";
        Compare(name, "gradient", _twins.Read(gradient, 0, _length), new ErrorEstimate(kind == LossKind.L1 ? scale : 4 * scale).Rounded(kind == LossKind.L1 ? 0 : 3), kind == LossKind.L1 ? "a sign" : "three roundings");
        double largest = kind == LossKind.L1 ? 2 : 4, worst = sums[0].Zip(sums[1], (a, b) => double.IsNaN(a - b) ? double.PositiveInfinity : Math.Abs(a - b)).Max();
        _lines.Add(new DeviceCheckLine(name, _shape, "sums", worst, 2 * _length * largest * ErrorEstimate.Unit, "a rounding of each term, summed in float64"));
    }

    private void HeadBackward()
    {
        int channels = _config.Channels;
        TwinBuffer skips = _twins.Input(_batch, _length, channels, _twins.Values((long)AllRows * channels, 0.1f, 1)), dEps = Crops(Signal), dSkips = _twins.Output(_batch, _length, channels);
        var gradients = Gradients(side => side.Ops.HeadBackward(side.Of(skips), side.Of(dEps), side.Of(dSkips)));
        double root = 1 / Math.Sqrt(_config.Layers);
        ErrorEstimate scaled = skips.Exact.Times(root), hidden = Linear("skip_projection", scaled), dHidden = dEps.Exact.Weighted(1, Largest("output_projection.weight"));
        const string op = nameof(IOps.HeadBackward);
        Compare(op, "d skips", _twins.Read(dSkips, 0, _length), dHidden.Weighted(channels, ColumnSum("skip_projection")).Times(root).Rounded(1), $"{ByLinear}C = {channels} products");
        Compare(op, gradients,
            ("output_projection.weight", dEps.Exact.SumOfProducts(AllRows, hidden)), ("output_projection.bias", dEps.Exact.Summed(AllRows)),
            ("skip_projection.weight", dHidden.SumOfProducts(AllRows, scaled)), ("skip_projection.bias", dHidden.Summed(AllRows)));
    }

    private void ResidualBlockBackward(int layer)
    {
        int channels = _config.Channels;
        bool last = layer == _config.Layers - 1;
        string convolution = $"residual_layers.{layer}.dilated_conv", projection = $"residual_layers.{layer}.output_projection", shape = $"{_shape},d={_config.Dilation(layer)},layer={layer}";
        TwinBuffer x = Crops(channels), step = _twins.Input(_batch, _config.Layers, channels), preGate = Crops(2 * channels), dSkips = Crops(channels);
        TwinBuffer dY = last ? _twins.Output(_batch, _length, channels) : Crops(channels), dX = _twins.Output(_batch, _length, channels), dPreGate = _twins.Output(_batch, _length, 2 * channels), dStep = _twins.Output(_batch, _config.Layers, channels);
        TwinBuffer? dLabel = _config.HasLabel ? _twins.Output(_batch, _config.Layers, 2 * channels) : null;
        var gradients = Gradients(side => side.Ops.ResidualBlockBackward(layer, side.Of(x), side.Of(step), side.Of(preGate), side.Of(dSkips), side.Of(dY), side.Of(dX), side.Of(dPreGate), side.Of(dStep), dLabel is null ? null : side.Of(dLabel)));

        ErrorEstimate h = x.Exact + step.Exact, z = preGate.Exact.Gated(), residual = dY.Exact.Times(Math.Sqrt(0.5)).Rounded(1), dOutput = Larger(residual, dSkips.Exact);
        ErrorEstimate dGate = dOutput.Weighted(2 * channels, ColumnSum(projection)).Through(1, 16); // times derivatives of at most 1, made of tanh and sigmoid known to 4 units
        double taps = TapSum($"{convolution}.weight");
        ErrorEstimate dInput = dGate.Convolved(2 * channels, taps) + residual;
        const string op = nameof(IOps.ResidualBlockBackward);
        string reason = $"{ByLinear}2C = {2 * channels} products";
        Compare(op, "d pre-gate", _twins.Read(dPreGate, 0, _length), dGate, $"{reason}, and the gate's slopes", shape);
        Compare(op, "d x", _twins.Read(dX, 0, _length), dInput, $"that of d pre-gate, and a sum of 6C = {6 * channels} products, on the CPU through a minimal filter", shape);
        Compare(op, "d step bias", _twins.Read(dStep, layer, 1), dInput.Summed(_length), "that of d x, summed over T", shape);
        if (dLabel is not null) Compare(op, "d label bias", _twins.Read(dLabel, layer, 1), dGate.Summed(_length), "that of d pre-gate, summed over T", shape);
        Compare(op, gradients,
            ($"{convolution}.weight", dGate.SumOfProducts(AllRows, h)), ($"{convolution}.bias", dGate.Summed(AllRows)),
            ($"{projection}.weight", dOutput.SumOfProducts(AllRows, z)), ($"{projection}.bias", dOutput.Summed(AllRows)));
    }

    private void ConditionerProjectionBackward()
    {
        int layer = _twins.Random.Next(_config.Layers), layers = 1 + _twins.Random.Next(layer + 1);
        string[] names = [.. Enumerable.Range(0, layers).Select(i => $"residual_layers.{layer - i}.conditioner_projection")];
        TwinBuffer upsampled = Crops(_config.Bands), sum = Crops(_config.Bands);
        TwinBuffer[] d = [.. names.Select(_ => Crops(2 * _config.Channels))];
        var gradients = Gradients(side => side.Ops.ConditionerProjectionBackward(layer, side.Of(upsampled), [.. d.Select(side.Of)], side.Of(sum)));
        ErrorEstimate total = names.Zip(d).Aggregate(sum.Exact, (before, one) => before + one.Second.Exact.Weighted(2 * _config.Channels, ColumnSum(one.First)));
        const string op = nameof(IOps.ConditionerProjectionBackward);
        Compare(op, "d upsampled", _twins.Read(sum, 0, _length), total, $"{ByLinear}2C = {2 * _config.Channels} products, for each of {layers} layers");
        Compare(op, gradients, [.. names.Zip(d).SelectMany(one => new[] { ($"{one.First}.weight", one.Second.Exact.SumOfProducts(AllRows, upsampled.Exact)), ($"{one.First}.bias", one.Second.Exact.Summed(AllRows)) })]);
    }

    private void UpsampleMelBackward()
    {
        int layer = _twins.Random.Next(_config.Layers), bands = _config.Bands;
        TwinBuffer mel = PositiveMel(), forward = _twins.Output(_batch, _length, bands), gradient = Crops(bands);
        _twins.Both(side => side.Ops.UpsampleMel(layer, new TimeRange(0, _length, _length), side.Window(mel), 0, _frames, side.Window(forward)));
        TwinBuffer upsampled = _twins.Input(_batch, _length, bands, _twins.Read(forward, 0, _length).Cpu); // the same signs on both
        var gradients = Gradients(side => side.Ops.UpsampleMelBackward(layer, side.Of(mel), side.Of(upsampled), side.Of(gradient)));
        ErrorEstimate[] inputs = Upsampled(layer, mel.Exact).Inputs;
        var expected = new List<(string, ErrorEstimate)>();
        ErrorEstimate d = gradient.Exact;
        int rows = _length;
        for (int stage = inputs.Length - 1; stage >= 0; stage--)
        {
            string name = Parameters.UpsamplerName(_config, layer, stage);
            d = d.Rounded(1); // the slope
            expected.Add(($"{name}.bias", d.Summed((double)_batch * rows * bands)));
            rows /= _config.UpsampleFactors[stage];
            expected.Add(($"{name}.weight", d.SumOfProducts((double)_batch * rows * bands, inputs[stage])));
            double[] kernel = [.. _weights[$"{name}.weight"].ToArray().Select(value => (double)Math.Abs(value))];
            d = d.Weighted(kernel.Length, kernel.Sum());
        }
        Compare(nameof(IOps.UpsampleMelBackward), gradients, [.. expected]);
    }

    private void InputProjectionBackward()
    {
        int channels = _config.Channels;
        TwinBuffer audio = Crops(Signal), x = Crops(channels), gradient = Crops(channels), dAudio = _twins.Output(_batch, _length, Signal);
        var gradients = Gradients(side => side.Ops.InputProjectionBackward(side.Of(audio), side.Of(x), side.Of(gradient), side.Of(dAudio)));
        const string op = nameof(IOps.InputProjectionBackward);
        Compare(op, "d audio", _twins.Read(dAudio, 0, _length), gradient.Exact.Weighted(channels, ColumnSum("input_projection")), $"{ByLinear}C = {channels} products");
        Compare(op, gradients, ("input_projection.weight", gradient.Exact.SumOfProducts(AllRows, audio.Exact)), ("input_projection.bias", gradient.Exact.Summed(AllRows)));
    }

    private void StepEmbeddingBackward()
    {
        TwinBuffer table = _twins.Input(_batch, 1, ModelConfig.StepTableWidth), forward = _twins.Output(_batch, 1, ModelConfig.StepWidth), bias = _twins.Output(_batch, _config.Layers, _config.Channels);
        _twins.Both(side => side.Ops.StepEmbedding(side.Of(table), side.Of(forward), side.Of(bias)));
        TwinBuffer embedding = _twins.Input(_batch, 1, ModelConfig.StepWidth, _twins.Read(forward, 0, 1).Cpu), gradient = _twins.Input(_batch, _config.Layers, _config.Channels);
        var gradients = Gradients(side => side.Ops.StepEmbeddingBackward(side.Of(table), side.Of(embedding), side.Of(gradient)));

        string[] projections = [.. Layers.Select(layer => $"residual_layers.{layer}.diffusion_projection")];
        var (pre1, hidden, pre2, _) = Embedding(table);
        ErrorEstimate d2 = gradient.Exact.Weighted(_config.Layers * _config.Channels, projections.Sum(ColumnSum)) * SiluSlope(pre2);
        ErrorEstimate d1 = d2.Weighted(ModelConfig.StepWidth, ColumnSum(Second)) * SiluSlope(pre1);
        Compare(nameof(IOps.StepEmbeddingBackward), gradients,
            [.. projections.SelectMany(name => ((string, ErrorEstimate)[])[($"{name}.weight", gradient.Exact.SumOfProducts(_batch, embedding.Exact)), ($"{name}.bias", gradient.Exact.Summed(_batch))]),
            ($"{Second}.weight", d2.SumOfProducts(_batch, hidden)), ($"{Second}.bias", d2.Summed(_batch)), ($"{First}.weight", d1.SumOfProducts(_batch, table.Exact)), ($"{First}.bias", d1.Summed(_batch))]);

        // sigmoid(x) (1 + x (1 - sigmoid(x))): at most 1.1, its own slope at most 1/2, eight roundings.
        static ErrorEstimate SiluSlope(ErrorEstimate x) => new ErrorEstimate(1.1, 0.5 * x.Cpu, 0.5 * x.Device).Rounded(8);
    }

    private void LabelBiasBackward()
    {
        TwinBuffer labels = Labels(), gradient = _twins.Input(_batch, _config.Layers, 2 * _config.Channels);
        var gradients = Gradients(side => side.Ops.LabelBiasBackward(side.Of(labels), side.Of(gradient)));
        string[] projections = [.. Layers.Select(layer => $"residual_layers.{layer}.label_projection")];
        var embedding = new ErrorEstimate(Largest("label_embedding.weight"));
        Compare(nameof(IOps.LabelBiasBackward), gradients,
            [.. projections.SelectMany(name => ((string, ErrorEstimate)[])[($"{name}.weight", gradient.Exact.SumOfProducts(_batch, embedding)), ($"{name}.bias", gradient.Exact.Summed(_batch))]),
            ("label_embedding.weight", gradient.Exact.Weighted(_batch * _config.Layers * 2 * _config.Channels, _batch * projections.Sum(ColumnSum)))]);
    }

    private (float[] Cpu, float[] Device) Gradients(Action<TwinSide> operation)
    {
        float[][] gradients = [new float[_weights.Arena.Length], new float[_weights.Arena.Length]];
        _twins.Both(side =>
        {
            side.Ops.ZeroGradients();
            operation(side);
            side.Ops.ReadGradients(gradients[side.IsCpu ? 0 : 1]);
        });
        return (gradients[0], gradients[1]);
    }

    private void Compare(string op, (float[] Cpu, float[] Device) gradients, params IReadOnlyList<(string Name, ErrorEstimate Estimate)> tensors)
    {
        foreach ((string name, ErrorEstimate estimate) in tensors)
        {
            ParameterInfo info = _weights.Info(name);
            Compare(op, $"gradient of {name}", (gradients.Cpu[info.Offset..(info.Offset + info.Count)], gradients.Device[info.Offset..(info.Offset + info.Count)]), estimate, "errors of the factors, and rounding of a sum over B and T");
        }
        ParameterInfo[] others = [.. _weights.Infos.Where(info => tensors.All(tensor => tensor.Name != info.Name))];
        Same(op, "other gradients, all 0", ([.. others.SelectMany(info => new float[info.Count])], [.. others.SelectMany(info => gradients.Device[info.Offset..(info.Offset + info.Count)])]));
    }

    private static ErrorEstimate Larger(ErrorEstimate a, ErrorEstimate b) => new(Math.Max(a.Max, b.Max), Math.Max(a.Cpu, b.Cpu), Math.Max(a.Device, b.Device));

    // Of a filter [O, I, 3]: the largest sum over outputs and taps of the magnitudes of an input's weights.
    private double TapSum(string name)
    {
        float[][] rows = Rows(name);
        return Enumerable.Range(0, rows[0].Length / 3).Max(input => rows.Sum(row => (double)Math.Abs(row[3 * input]) + Math.Abs(row[3 * input + 1]) + Math.Abs(row[3 * input + 2])));
    }

    private Parameters Copy(Parameters weights)
    {
        var copy = new Parameters(_config);
        weights.Arena.CopyTo(copy.Arena, 0);
        return copy;
    }
}
