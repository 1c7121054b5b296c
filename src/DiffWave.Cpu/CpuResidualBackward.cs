using DiffWave.Engine;

namespace DiffWave.Cpu;

// Backward of the residual blocks and their conditioners: nearly all of the arithmetic of training.
internal sealed unsafe partial class CpuOps<S, V>
{
    private readonly SliceSums<S, V> _sums = new();
    private BackwardLayer[] _backward = [];

    public void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dX, IBuffer dStepBias, IBuffer? dLabelBias)
    {
        new ResidualBlockBackward<S, V>
        {
            Layer = Backward(layer), Config = Weights.Config, X = (CpuBuffer)x, StepBias = (CpuBuffer)stepBias, PreGate = (CpuBuffer)preGate, DSkips = (CpuBuffer)dSkips, DX = (CpuBuffer)dX,
            DStepBias = (CpuBuffer)dStepBias, DLabelBias = (CpuBuffer?)dLabelBias,
        }.Run(_team, thread => _scratch[thread], _sums);
    }

    public void ConditionerProjectionBackward(int layer, IBuffer upsampled, IBuffer dConditioner, IBuffer dUpsampled) =>
        ConditionerProjectionBackward<S, V>.Run(_team, thread => _scratch[thread], _sums, Backward(layer), (CpuBuffer)upsampled, (CpuBuffer)dConditioner, (CpuBuffer)dUpsampled);

    private BackwardLayer Backward(int layer) => layer < _backward.Length ? _backward[layer] : throw new InvalidOperationException("no training state is loaded: call LoadTraining first");

    // Packs the weights for backward; to be called again when they change.
    private void PackBackward(ModelConfig config, Parameters weights, Parameters gradients)
    {
        FreeBackward();
        var layers = new BackwardLayer[config.Layers];
        _team.Run(layers.Length, (layer, _) => layers[layer] = new BackwardLayer(config, weights, gradients, layer, S.Width));
        _backward = layers;
        EnsureScratch(Math.Max(ResidualBlockBackward<S, V>.ScratchFloats(config.Channels), ConditionerProjectionBackward<S, V>.ScratchFloats(config.Channels, config.Bands)));
    }

    private void FreeBackward()
    {
        foreach (var layer in _backward) layer.Dispose();
        _backward = [];
    }
}
