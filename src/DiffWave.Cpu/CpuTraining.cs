using DiffWave.Engine;

namespace DiffWave.Cpu;

// The training half of the CPU backend: backward of every operation, and the optimiser.
internal sealed unsafe partial class CpuOps<S, V>
{
    public void LoadTraining(ModelConfig config, TrainingState state)
    {
        Load(config, state.Weights);
        _grad = new Parameters(config);
        PackBackward(config, state.Weights, _grad);
    }
    private Parameters _grad = null!;
    public void ReadTraining(TrainingState state) => throw new NotImplementedException();
    public void ZeroGradients() => throw new NotImplementedException();
    public void ReadGradients(Span<float> gradients) => _grad.Arena.CopyTo(gradients);
    public double GradientNorm() => throw new NotImplementedException();
    public void UpdateWeights(AdamStep step) => throw new NotImplementedException();
    public void Diffuse(IBuffer audio, IBuffer noise, ReadOnlySpan<float> alphaBars, IBuffer noisy) => throw new NotImplementedException();
    public void Loss(LossKind kind, IBuffer eps, IBuffer noise, ReadOnlySpan<int> validSamples, float scale, Span<double> sums, IBuffer dEps) => throw new NotImplementedException();
    public void HeadBackward(IBuffer skips, IBuffer dEps, IBuffer dSkips) => throw new NotImplementedException();
    public void UpsampleMelBackward(int layer, IBuffer mel, IBuffer upsampled, IBuffer dUpsampled) => throw new NotImplementedException();
    public void InputProjectionBackward(IBuffer audio, IBuffer x, IBuffer dX, IBuffer? dAudio) => throw new NotImplementedException();
    public void StepEmbeddingBackward(IBuffer table, IBuffer embedding, IBuffer dStepBias) => throw new NotImplementedException();
    public void LabelBiasBackward(ReadOnlySpan<int> labels, IBuffer dLabelBias) => throw new NotImplementedException();
}
