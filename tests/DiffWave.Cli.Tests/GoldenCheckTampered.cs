using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>A device that computes with one weight changed.</summary>
internal sealed class Tampered(IOps ops, string parameter, float change) : IOps
{
    public string Device => ops.Device;
    public Precision Precision => ops.Precision;
    public bool PrefersWholeSignals => ops.PrefersWholeSignals;
    public long SamplingBudget => ops.SamplingBudget;
    public long TrainingBudget => ops.TrainingBudget;
    public int ActivationBytes => ops.ActivationBytes;
    public bool BlocksProjectMel => ops.BlocksProjectMel;
    public int ConditionersAtOnce(ModelConfig config) => ops.ConditionersAtOnce(config);
    public int WindowRows(ModelConfig config, int batch, int rows) => ops.WindowRows(config, batch, rows);
    public long WorkingRowBytes(ModelConfig config) => ops.WorkingRowBytes(config);
    public IRecording Record(Action operations) => ops.Record(operations);
    public void SetSeed(ulong seed, long first) => ops.SetSeed(seed, first);
    public void Normals(NoiseDraw draw, int rows, Window normals) => ops.Normals(draw, rows, normals);

    public void Load(ModelConfig config, Parameters parameters) => ops.Load(config, Changed(config, parameters));

    public void LoadTraining(ModelConfig config, TrainingState state) => ops.LoadTraining(config, new TrainingState(config, Changed(config, state.Weights), state.Average is not null));

    private Parameters Changed(ModelConfig config, Parameters parameters)
    {
        var copy = new Parameters(config);
        parameters.Arena.CopyTo(copy.Arena, 0);
        copy[parameter][0] += change;
        return copy;
    }

    public IBuffer Allocate(int batch, int rows, int channels) => ops.Allocate(batch, rows, channels);
    public IBuffer AllocateActivation(int batch, int rows, int channels) => ops.AllocateActivation(batch, rows, channels);
    public IBuffer AllocateSignal(int batch, int rows) => ops.AllocateSignal(batch, rows);
    public void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row) => ops.Upload(values, destination, item, row);
    public void Download(IBuffer source, int item, int row, Span<float> values) => ops.Download(source, item, row, values);
    public IDownload BeginDownload(IBuffer signal) => ops.BeginDownload(signal);
    public void Clear(IBuffer buffer) => ops.Clear(buffer);
    public void Copy(Window source, Window destination, int rows) => ops.Copy(source, destination, rows);
    public void StepEmbedding(IBuffer table, IBuffer embedding, IBuffer stepBias) => ops.StepEmbedding(table, embedding, stepBias);
    public void LabelBias(IBuffer labels, IBuffer labelBias) => ops.LabelBias(labels, labelBias);
    public void FoldBiases(IBuffer stepBias, IBuffer? labelBias) => ops.FoldBiases(stepBias, labelBias);
    public void InputProjection(TimeRange range, Window audio, Window x) => ops.InputProjection(range, audio, x);
    public void UpsampleMel(int layer, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled) => ops.UpsampleMel(layer, range, mel, firstFrame, frames, upsampled);
    public void ConditionerProjection(int layer, TimeRange range, Window upsampled, Window conditioner) => ops.ConditionerProjection(layer, range, upsampled, conditioner);
    public void ResidualBlock(int layer, TimeRange range, Window x, IBuffer stepBias, IBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape = null) =>
        ops.ResidualBlock(layer, range, x, stepBias, labelBias, conditioner, y, skips, tape);
    public void Head(TimeRange range, Window skips, Window eps) => ops.Head(range, skips, eps);
    public void ReverseStep(TimeRange range, Window x, Window eps, Window noise, float scale, float epsWeight, float sigma, bool clamp, Window y) =>
        ops.ReverseStep(range, x, eps, noise, scale, epsWeight, sigma, clamp, y);
    public void ReadTraining(TrainingState state) => ops.ReadTraining(state);
    public void ZeroGradients() => ops.ZeroGradients();
    public void ReadGradients(Span<float> gradients) => ops.ReadGradients(gradients);
    public void BeginStep(AdamStep step, float lossFactor) => ops.BeginStep(step, lossFactor);
    public double GradientNorm() => ops.GradientNorm();
    public void UpdateWeights() => ops.UpdateWeights();
    public double UpdateNorm() => ops.UpdateNorm();
    public void Diffuse(IBuffer audio, IBuffer noise, IBuffer alphaBars, IBuffer noisy) => ops.Diffuse(audio, noise, alphaBars, noisy);
    public void Loss(LossKind kind, IBuffer eps, IBuffer noise, IBuffer validSamples, int firstItem, IBuffer dEps) =>
        ops.Loss(kind, eps, noise, validSamples, firstItem, dEps);
    public void ReadLosses(Span<double> sums) => ops.ReadLosses(sums);
    public void HeadBackward(IBuffer skips, IBuffer dEps, IBuffer dSkips) => ops.HeadBackward(skips, dEps, dSkips);
    public void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias) =>
        ops.ResidualBlockBackward(layer, x, stepBias, preGate, dSkips, dY, dX, dPreGate, dStepBias, dLabelBias);
    public void ConditionerProjectionBackward(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled) => ops.ConditionerProjectionBackward(layer, upsampled, dConditioners, dUpsampled);
    public void UpsampleMelBackward(int layer, IBuffer mel, IBuffer upsampled, IBuffer dUpsampled) => ops.UpsampleMelBackward(layer, mel, upsampled, dUpsampled);
    public void InputProjectionBackward(IBuffer audio, IBuffer x, IBuffer dX, IBuffer? dAudio) => ops.InputProjectionBackward(audio, x, dX, dAudio);
    public void StepEmbeddingBackward(IBuffer table, IBuffer embedding, IBuffer dStepBias) => ops.StepEmbeddingBackward(table, embedding, dStepBias);
    public void LabelBiasBackward(IBuffer labels, IBuffer dLabelBias) => ops.LabelBiasBackward(labels, dLabelBias);
    public void Dispose() => ops.Dispose();
}
