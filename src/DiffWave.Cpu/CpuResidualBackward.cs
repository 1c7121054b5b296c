using DiffWave.Engine;

namespace DiffWave.Cpu;

// Backward of the residual block and of what feeds it: nearly all the work of training.
internal sealed unsafe partial class CpuOps<S, V>
{
    public void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dX, IBuffer dStepBias, IBuffer? dLabelBias) => throw new NotImplementedException();
    public void ConditionerProjectionBackward(int layer, IBuffer upsampled, IBuffer dConditioner, IBuffer dUpsampled) => throw new NotImplementedException();
}
