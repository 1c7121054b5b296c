using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>A device that computes with one weight changed.</summary>
internal sealed class Tampered(IOps ops, string parameter, float change) : IOps
{
    public string Device => ops.Device;

    public void Load(ModelConfig config, Parameters parameters)
    {
        var copy = new Parameters(config);
        parameters.Arena.CopyTo(copy.Arena, 0);
        copy[parameter][0] += change;
        ops.Load(config, copy);
    }

    public IBuffer Allocate(int batch, int rows, int channels) => ops.Allocate(batch, rows, channels);
    public IBuffer AllocateSignal(int batch, int rows) => ops.AllocateSignal(batch, rows);
    public void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row) => ops.Upload(values, destination, item, row);
    public void Download(IBuffer source, int item, int row, Span<float> values) => ops.Download(source, item, row, values);
    public void Copy(Window source, Window destination, int rows) => ops.Copy(source, destination, rows);
    public void StepEmbedding(IBuffer table, IBuffer embedding, IBuffer stepBias) => ops.StepEmbedding(table, embedding, stepBias);
    public void LabelBias(ReadOnlySpan<int> labels, IBuffer labelBias) => ops.LabelBias(labels, labelBias);
    public void InputProjection(TimeRange range, Window audio, Window x) => ops.InputProjection(range, audio, x);
    public void UpsampleMel(int layer, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled) => ops.UpsampleMel(layer, range, mel, firstFrame, frames, upsampled);
    public void ConditionerProjection(int layer, TimeRange range, Window upsampled, Window conditioner) => ops.ConditionerProjection(layer, range, upsampled, conditioner);
    public void ResidualBlock(int layer, TimeRange range, Window x, IBuffer stepBias, IBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape = null) =>
        ops.ResidualBlock(layer, range, x, stepBias, labelBias, conditioner, y, skips, tape);
    public void Head(TimeRange range, Window skips, Window eps) => ops.Head(range, skips, eps);
    public void ReverseStep(TimeRange range, Window x, Window eps, Window noise, float scale, float epsWeight, float sigma, bool clamp, Window y) =>
        ops.ReverseStep(range, x, eps, noise, scale, epsWeight, sigma, clamp, y);
    public void Dispose() => ops.Dispose();
}
