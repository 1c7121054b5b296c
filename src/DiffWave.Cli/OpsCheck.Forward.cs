using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Cli;

// Forward operations, on windows of buffers and stretches of the signal.
internal sealed partial class OpsCheck
{
    private const int Signal = 0; // channels of a signal's buffer, see TwinDevices
    private const string ByLinear = "rounding of a sum of ";

    private void Forward()
    {
        int channels = _config.Channels;
        Try(nameof(IOps.Normals), Normals);
        Try(nameof(IOps.Copy), CopyAndClear);
        Try(nameof(IOps.StepEmbedding), StepEmbedding);
        if (_config.HasLabel) Try(nameof(IOps.LabelBias), LabelBias);
        Try(nameof(IOps.InputProjection), () =>
        {
            TimeRange range = Stretch();
            TwinBuffer audio = _twins.Input(_batch, range, Signal), x = _twins.Output(_batch, range.Count, channels);
            _twins.Both(side => side.Ops.InputProjection(range, side.Window(audio), side.Window(x)));
            Compare(nameof(IOps.InputProjection), "x", Existing(x, range), Linear("input_projection", audio.Exact), "two roundings", At(range));
        });
        if (_config.HasMel)
        {
            Try(nameof(IOps.UpsampleMel), UpsampleMel);
            Try(nameof(IOps.ConditionerProjection), ConditionerProjection);
        }
        foreach (int layer in Enumerable.Range(0, _config.Layers)) Try(nameof(IOps.ResidualBlock), () => ResidualBlock(layer));
        Try(nameof(IOps.Head), () =>
        {
            TimeRange range = Stretch();
            TwinBuffer skips = _twins.Input(_batch, range, channels), eps = _twins.Output(_batch, range.Count, Signal);
            _twins.Both(side => side.Ops.Head(range, side.Window(skips), side.Window(eps)));
            ErrorEstimate hidden = Linear("skip_projection", skips.Exact.Times(1 / Math.Sqrt(_config.Layers)));
            Compare(nameof(IOps.Head), "eps", Existing(eps, range), Linear("output_projection", hidden), $"{ByLinear}C = {channels} products, twice", At(range));
        });
        Try(nameof(IOps.ReverseStep), ReverseStep);
    }

    private void Normals()
    {
        ulong seed = (ulong)_twins.Random.NextInt64();
        var draw = new NoiseDraw((uint)_twins.Random.Next(5), 1, (uint)_twins.Random.Next(7), _twins.Random.Next(1000), _twins.Random.Next(50));
        TwinBuffer direct = _twins.Output(_batch, _length, Signal), recorded = _twins.Output(_batch, _length, Signal);
        const int runs = 3; // a device may do the first one or two otherwise
        _twins.Both(side =>
        {
            using IRecording recording = side.Ops.Record(() => side.Ops.Normals(draw, _length, side.Window(recorded)));
            for (int run = runs; run > 0; run--)
            {
                side.Ops.SetSeed(seed + (ulong)run, 5L * run); // of what was recorded before, too
                side.Ops.Normals(draw, _length, side.Window(direct));
                recording.Run();
            }
        });
        Same(nameof(IOps.Normals), "normals", _twins.Read(direct, 0, _length));
        Same(nameof(IOps.Record), "normals drawn by a recording", _twins.Read(recorded, 0, _length));
    }

    private void CopyAndClear()
    {
        int channels = _config.Channels, rows = _length + 2, count = _twins.Random.Next(1, rows), from = _twins.Random.Next(rows - count + 1), to = _twins.Random.Next(rows - count + 1);
        TwinBuffer moved = _twins.Input(_batch, rows, channels), source = _twins.Input(_batch, rows, channels), target = _twins.Input(_batch, rows, channels), cleared = _twins.Input(_batch, rows, channels);
        _twins.Both(side =>
        {
            side.Ops.Copy(new Window(side.Of(moved), from), new Window(side.Of(moved), to), count); // the windows may overlap
            side.Ops.Copy(new Window(side.Of(source), from), new Window(side.Of(target), to), count);
            side.Ops.Clear(side.Of(cleared));
        });
        Same(nameof(IOps.Copy), "within a buffer", _twins.Read(moved, 0, rows));
        Same(nameof(IOps.Copy), "between buffers", _twins.Read(target, 0, rows));
        Same(nameof(IOps.Clear), "zeros", _twins.Read(cleared, 0, rows));
    }

    private const string First = "diffusion_embedding.projection1", Second = "diffusion_embedding.projection2";

    private void StepEmbedding()
    {
        TwinBuffer table = _twins.Input(_batch, 1, ModelConfig.StepTableWidth), embedding = _twins.Output(_batch, 1, ModelConfig.StepWidth), bias = _twins.Output(_batch, _config.Layers, _config.Channels);
        _twins.Both(side => side.Ops.StepEmbedding(side.Of(table), side.Of(embedding), side.Of(bias)));
        ErrorEstimate result = Embedding(table).Result;
        Compare(nameof(IOps.StepEmbedding), "embedding", _twins.Read(embedding, 0, 1), result, $"{ByLinear}{ModelConfig.StepTableWidth} and one of {ModelConfig.StepWidth} products, each through silu");
        ErrorEstimate worst = Layers.Select(layer => Linear($"residual_layers.{layer}.diffusion_projection", result)).MaxBy(estimate => estimate.Bound);
        Compare(nameof(IOps.StepEmbedding), "step bias", _twins.Read(bias, 0, _config.Layers), worst, $"the same and a sum of {ModelConfig.StepWidth} products");
    }

    // The step's two linear layers, before and after silu.
    private (ErrorEstimate Pre1, ErrorEstimate Hidden, ErrorEstimate Pre2, ErrorEstimate Result) Embedding(TwinBuffer table)
    {
        ErrorEstimate pre1 = Linear(First, table.Exact), hidden = pre1.Silu(), pre2 = Linear(Second, hidden);
        return (pre1, hidden, pre2, pre2.Silu());
    }

    private void LabelBias()
    {
        TwinBuffer labels = Labels(), bias = _twins.Output(_batch, _config.Layers, 2 * _config.Channels);
        _twins.Both(side => side.Ops.LabelBias(side.Of(labels), side.Of(bias)));
        var embedding = new ErrorEstimate(_weights["label_embedding.weight"].ToArray().Max(Math.Abs));
        ErrorEstimate worst = Layers.Select(layer => Linear($"residual_layers.{layer}.label_projection", embedding)).MaxBy(estimate => estimate.Bound);
        Compare(nameof(IOps.LabelBias), "label bias", _twins.Read(bias, 0, _config.Layers), worst, $"{ByLinear}{ModelConfig.LabelWidth} products");
    }

    private void UpsampleMel()
    {
        int layer = _twins.Random.Next(_config.Layers);
        TimeRange range = Stretch();
        TwinBuffer mel = PositiveMel(), upsampled = _twins.Output(_batch, range.Count, _config.Bands);
        _twins.Both(side => side.Ops.UpsampleMel(layer, range, side.Window(mel), 0, _frames, side.Window(upsampled)));
        ErrorEstimate result = Upsampled(layer, mel.Exact).Result;
        Compare(nameof(IOps.UpsampleMel), "upsampled", Existing(upsampled, range), result, $"rounding of {_config.UpsampleFactors.Count} sums of 6 products and a slope", At(range));
    }

    private TwinBuffer PositiveMel() => _twins.Input(_batch, _frames, _config.Bands, _twins.Values((long)_batch * _frames * _config.Bands, 0.1f, 1));

    // What every stage of the upsampler reads, and its result.
    private (ErrorEstimate[] Inputs, ErrorEstimate Result) Upsampled(int layer, ErrorEstimate mel)
    {
        var inputs = new ErrorEstimate[_config.UpsampleFactors.Count];
        ErrorEstimate value = mel;
        for (int stage = 0; stage < inputs.Length; stage++)
        {
            inputs[stage] = value;
            string name = Parameters.UpsamplerName(_config, layer, stage);
            value = value.Weighted(6, 6 * Largest($"{name}.weight"), Bias(name)).Rounded(1); // an output meets two taps of three bands
        }
        return (inputs, value);
    }

    private void ConditionerProjection()
    {
        int layer = _twins.Random.Next(_config.Layers), rows = 2 * _config.Channels;
        TimeRange range = Stretch();
        TwinBuffer upsampled = _twins.Input(_batch, range, _config.Bands), ring = _twins.Output(_batch, range.Count + 3, rows);
        int row = _twins.Random.Next(range.Count + 3); // rows past the end continue at the start
        _twins.Both(side => side.Ops.ConditionerProjection(layer, range, side.Window(upsampled), new Window(side.Of(ring), row)));
        Compare(nameof(IOps.ConditionerProjection), "conditioner", Existing(ring, range, row), Linear($"residual_layers.{layer}.conditioner_projection", upsampled.Exact), $"{ByLinear}M = {_config.Bands} products", At(range));
    }

    private void ResidualBlock(int layer)
    {
        int channels = _config.Channels, d = _config.Dilation(layer);
        string name = $"residual_layers.{layer}";
        TimeRange range = Stretch();
        TwinBuffer x = _twins.Input(_batch, range, channels, around: d), step = _twins.Input(_batch, _config.Layers, channels), y = _twins.Output(_batch, range.Count, channels);
        TwinBuffer? label = _config.HasLabel ? _twins.Input(_batch, _config.Layers, 2 * channels) : null;
        int ring = range.Count + 3, row = _twins.Random.Next(ring);
        TwinBuffer? conditioner = _config.HasMel ? _twins.Input(_batch, ring, 2 * channels) : null;
        TwinBuffer skips = layer == 0 ? _twins.Output(_batch, range.Count, channels) : _twins.Input(_batch, range, channels);
        TwinBuffer preGate = _twins.Output(_batch, range.Count, 2 * channels), gated = _twins.Output(_batch, range.Count, channels);
        _twins.Both(side => side.Ops.ResidualBlock(layer, range, side.Window(x), side.Of(step), label is null ? null : side.Of(label),
            conditioner is null ? null : new Window(side.Of(conditioner), row), side.Window(y), side.Window(skips), new BlockTape(side.Window(preGate), side.Window(gated))));

        ErrorEstimate input = x.Exact + step.Exact;
        ErrorEstimate pre = input.Convolved(channels, RowSum($"{name}.dilated_conv"), Bias($"{name}.dilated_conv") + (label?.Max ?? 0) + (conditioner?.Max ?? 0)).Rounded(3);
        ErrorEstimate z = pre.Gated(), output = Linear($"{name}.output_projection", z);
        string shape = $"{At(range)},d={d},layer={layer}", reason = $"{ByLinear}3C = {3 * channels} products";
        const string op = nameof(IOps.ResidualBlock);
        Compare(op, "pre-gate", Existing(preGate, range), pre, $"{reason}, on the CPU through a minimal filter", shape);
        Compare(op, "gated", Existing(gated, range), z, "the pre-gate's, and the gate's own", shape);
        Compare(op, "skips", Existing(skips, range), layer == 0 ? output : skips.Exact + output, $"the gate's, and a sum of C = {channels} products", shape);
        if (layer + 1 < _config.Layers)
            Compare(op, "y", Existing(y, range), ((_config.ResidualIncludesStepEmbedding ? input : x.Exact) + output).Times(Math.Sqrt(0.5)).Rounded(1), $"the gate's, and a sum of C = {channels} products", shape);
    }

    private void ReverseStep()
    {
        bool clamp = _twins.Random.Next(2) == 0;
        float sigma = _twins.Random.Next(3) == 0 ? 0 : _twins.Random.NextSingle(), scale = 1 + _twins.Random.NextSingle(), weight = _twins.Random.NextSingle();
        TimeRange range = Stretch();
        TwinBuffer x = _twins.Input(_batch, range, Signal), eps = _twins.Input(_batch, range, Signal), noise = _twins.Input(_batch, range, Signal), y = _twins.Output(_batch, range.Count, Signal);
        _twins.Both(side => side.Ops.ReverseStep(range, side.Window(x), side.Window(eps), side.Window(noise), scale, weight, sigma, clamp, side.Window(y)));
        Same(nameof(IOps.ReverseStep), clamp ? "y, clamped" : "y", Existing(y, range), At(range));
    }

    private IEnumerable<int> Layers => Enumerable.Range(0, _config.Layers);

    private double Largest(string name) => _weights[name].ToArray().Max(Math.Abs);

    private TwinBuffer Labels() => _twins.Input(_batch, 1, 1, [.. Enumerable.Range(0, _batch).Select(_ => (float)_twins.Random.Next(_config.Labels))]);

    // The whole signal, or a stretch of it that may reach over its ends.
    private TimeRange Stretch()
    {
        if (_twins.Random.Next(2) == 0) return new TimeRange(0, _length, _length);
        int first = _twins.Random.Next(-4, _length), end = _twins.Random.Next(Math.Max(first, 0) + 1, _length + 4);
        return new TimeRange(first, end - first, _length);
    }

    private string At(TimeRange range) => range.First == 0 && range.Count == _length ? _shape : string.Create(CultureInfo.InvariantCulture, $"{_shape},rows={range.First}..{range.First + range.Count - 1}");

    // The rows of a range that exist; of a ring, from a row on.
    private (float[] Cpu, float[] Device) Existing(TwinBuffer twin, TimeRange range, int ringRow = -1)
    {
        int first = (int)Math.Max(0, -range.First), end = (int)Math.Min(range.Count, range.Length - range.First);
        if (ringRow < 0) return _twins.Read(twin, first, end - first);
        var rows = Enumerable.Range(first, end - first).Select(row => _twins.Read(twin, (ringRow + row) % twin.Cpu.Rows, 1)).ToArray();
        return ([.. rows.SelectMany(row => row.Cpu)], [.. rows.SelectMany(row => row.Device)]);
    }
}
