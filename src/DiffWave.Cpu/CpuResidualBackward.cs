using DiffWave.Engine;

namespace DiffWave.Cpu;

// Backward of the residual blocks and their conditioners: nearly all of the arithmetic of training.
internal sealed unsafe partial class CpuOps<S, V>
{
    public void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias)
    {
        new ResidualBlockBackward<S, V>
        {
            Layer = Training.Layers[layer], Config = Training.Config, X = (CpuBuffer)x, StepBias = (CpuBuffer)stepBias, PreGate = (CpuBuffer)preGate, DSkips = (CpuBuffer)dSkips, DY = (CpuBuffer)dY,
            DX = (CpuBuffer)dX, DPreGate = (CpuBuffer)dPreGate, DStepBias = (CpuBuffer)dStepBias, DLabelBias = (CpuBuffer?)dLabelBias,
        }.Run(_team, Training);
    }

    public void ConditionerProjectionBackward(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled)
    {
        for (int i = 0; i < dConditioners.Count; i++)
            ConditionerProjectionBackward<S, V>.Run(_team, Training, Training.Layers[layer - i], (CpuBuffer)upsampled, (CpuBuffer)dConditioners[i], (CpuBuffer)dUpsampled);
    }
}
