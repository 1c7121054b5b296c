using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>Every kernel the engine launches.</summary>
internal sealed class CudaKernels(KernelRunner runner)
{
    // Forward, in the network's order.
    public readonly KernelVariants VectorLinear = new(runner, Kernels.VectorLinear.ForwardV1, "silu");
    public readonly KernelVariants LabelEmbedding = new(runner, Kernels.LabelEmbedding.ForwardV1);
    public readonly KernelVariants InputProjection = new(runner, Kernels.InputProjection.ForwardV1);
    public readonly KernelVariants MelUpsampler = new(runner, Kernels.MelUpsampler.ForwardV1);
    public readonly KernelVariants PointwiseConv = new(runner, Kernels.PointwiseConv.ForwardV1, "relu");
    public readonly KernelVariants DilatedConv = new(runner, Kernels.DilatedConv.ForwardV1, "hasLabel", "hasConditioner");
    public readonly KernelVariants Gate = new(runner, GatedActivation.ForwardV1, "gateFirst");
    public readonly KernelVariants GateFours = new(runner, GatedActivation.ForwardV2, "channels", "gateFirst");
    public readonly KernelVariants ResidualOutput = new(runner, Kernels.ResidualOutput.ForwardV1, "includesStep");
    public readonly KernelVariants Head = new(runner, Kernels.Head.ForwardV1);

    // Signals.
    public readonly KernelVariants Normals = new(runner, PhiloxNormal.FillV2);
    public readonly KernelVariants ReverseStep = new(runner, Kernels.ReverseStep.StepV1, "clamp");
    public readonly KernelVariants Copy = new(runner, CopyRows.CopyV1);
    public readonly KernelVariants CopyFours = new(runner, CopyRows.CopyV2);
    public readonly KernelVariants Diffusion = new(runner, Kernels.Diffusion.DiffuseV1);
    public readonly KernelVariants Loss = new(runner, Kernels.Loss.LossV2, "squared");
    public readonly KernelVariants LossSum = new(runner, Kernels.Loss.SumV1);

    // Backward.
    public readonly KernelVariants HeadBackward = new(runner, Kernels.HeadBackward.BackwardV1);
    public readonly KernelVariants PointwiseConvBackward = new(runner, Kernels.PointwiseConvBackward.BackwardV1, "accumulate");
    public readonly KernelVariants ResidualOutputBackward = new(runner, Kernels.ResidualOutputBackward.BackwardV1, "hasY");
    public readonly KernelVariants GateBackward = new(runner, GatedActivation.BackwardV1, "gateFirst");
    public readonly KernelVariants DilatedConvBackward = new(runner, Kernels.DilatedConvBackward.BackwardV1, "hasY", "stepInResidual");
    public readonly KernelVariants WeightGradient = new(runner, Kernels.WeightGradient.GradientV1, "taps", "hasStep");
    public readonly KernelVariants WeightGradientFours = new(runner, Kernels.WeightGradient.GradientV2, "taps", "hasStep");
    public readonly KernelVariants ColumnSum = new(runner, Kernels.ColumnSum.SumV1, "weighted");
    public readonly KernelVariants SliceSum = new(runner, Kernels.SliceSum.SumV1, "accumulate");
    public readonly KernelVariants MelUpsamplerBackwardInput = new(runner, Kernels.MelUpsampler.BackwardInputV1);
    public readonly KernelVariants MelUpsamplerBackwardWeights = new(runner, Kernels.MelUpsampler.BackwardWeightsV1);
    public readonly KernelVariants InputProjectionBackwardWeights = new(runner, InputProjectionBackward.WeightsV1);
    public readonly KernelVariants InputProjectionBackwardAudio = new(runner, InputProjectionBackward.AudioV1);
    public readonly KernelVariants VectorLinearBackwardWeights = new(runner, Kernels.VectorLinear.BackwardWeightsV1);
    public readonly KernelVariants VectorLinearBackwardInput = new(runner, Kernels.VectorLinear.BackwardInputV1, "silu");
    public readonly KernelVariants LabelEmbeddingBackward = new(runner, Kernels.LabelEmbedding.BackwardV1);

    // The optimiser.
    public readonly KernelVariants GradientSquares = new(runner, GradientNorm.SquaresV2);
    public readonly KernelVariants GradientNorms = new(runner, GradientNorm.NormV1);
    public readonly KernelVariants GradientScale = new(runner, GradientNorm.ScaleV1);
    public readonly KernelVariants Adam = new(runner, Kernels.Adam.UpdateV2, "averaged");
}
