using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>Every kernel the engine launches: version 2 where it takes any shape, both where it does not.</summary>
internal sealed class CudaKernels(KernelRunner runner)
{
    // Weights in the order of the faster kernels.
    public readonly KernelVariants WeightLayout = new(runner, Kernels.WeightLayout.ForwardV1);
    public readonly KernelVariants WeightLayoutBackward = new(runner, Kernels.WeightLayout.BackwardV1);

    // Forward, in the network's order.
    public readonly KernelVariants VectorLinear = new(runner, Kernels.VectorLinear.ForwardV1, "silu");
    public readonly KernelVariants LabelEmbedding = new(runner, Kernels.LabelEmbedding.ForwardV1);
    public readonly KernelVariants InputProjection = new(runner, Kernels.InputProjection.ForwardV2, "channels");
    public readonly KernelVariants MelUpsamplerV1 = new(runner, MelUpsampler.ForwardV1);
    public readonly KernelVariants MelUpsamplerV2 = new(runner, MelUpsampler.ForwardV2);
    public readonly KernelVariants PointwiseConvV1 = new(runner, PointwiseConv.ForwardV1, "relu");
    public readonly KernelVariants PointwiseConvV2 = new(runner, PointwiseConv.ForwardV2, "relu");
    public readonly KernelVariants DilatedConvV1 = new(runner, DilatedConv.ForwardV1, "hasLabel", "hasConditioner");
    public readonly KernelVariants DilatedConvV2 = new(runner, DilatedConv.ForwardV2, "hasLabel", "hasConditioner");
    public readonly KernelVariants GateV1 = new(runner, GatedActivation.ForwardV1, "gateFirst");
    public readonly KernelVariants GateV2 = new(runner, GatedActivation.ForwardV2, "channels", "gateFirst");
    public readonly KernelVariants ResidualOutputV1 = new(runner, ResidualOutput.ForwardV1, "includesStep");
    public readonly KernelVariants ResidualOutputV2 = new(runner, ResidualOutput.ForwardV2, "includesStep");
    public readonly KernelVariants HeadV1 = new(runner, Head.ForwardV1);
    public readonly KernelVariants HeadV2 = new(runner, Head.ForwardV2, "channels");

    // Signals.
    public readonly KernelVariants Normals = new(runner, PhiloxNormal.FillV2);
    public readonly KernelVariants ReverseStep = new(runner, Kernels.ReverseStep.StepV1, "clamp");
    public readonly KernelVariants CopyV1 = new(runner, CopyRows.CopyV1);
    public readonly KernelVariants CopyV2 = new(runner, CopyRows.CopyV2);
    public readonly KernelVariants Diffusion = new(runner, Kernels.Diffusion.DiffuseV1);
    public readonly KernelVariants Loss = new(runner, Kernels.Loss.LossV2, "squared");
    public readonly KernelVariants LossSum = new(runner, Kernels.Loss.SumV1);

    // Backward.
    public readonly KernelVariants HeadBackwardV1 = new(runner, HeadBackward.BackwardV1);
    public readonly KernelVariants HeadBackwardV2 = new(runner, HeadBackward.BackwardV2, "channels");
    public readonly KernelVariants PointwiseConvBackwardV1 = new(runner, PointwiseConvBackward.BackwardV1, "accumulate");
    public readonly KernelVariants PointwiseConvBackwardV2 = new(runner, PointwiseConvBackward.BackwardV2, "accumulate");
    public readonly KernelVariants ResidualOutputBackwardV1 = new(runner, ResidualOutputBackward.BackwardV1, "hasY");
    public readonly KernelVariants ResidualOutputBackwardV2 = new(runner, ResidualOutputBackward.BackwardV2, "hasY");
    public readonly KernelVariants GateBackwardV1 = new(runner, GatedActivation.BackwardV1, "gateFirst");
    public readonly KernelVariants GateBackwardV2 = new(runner, GatedActivation.BackwardV2, "channels", "gateFirst");
    public readonly KernelVariants DilatedConvBackwardV1 = new(runner, DilatedConvBackward.BackwardV1, "hasY", "stepInResidual");
    public readonly KernelVariants DilatedConvBackwardV2 = new(runner, DilatedConvBackward.BackwardV2, "hasY", "stepInResidual");
    public readonly KernelVariants WeightGradientV1 = new(runner, WeightGradient.GradientV1, "taps", "hasStep");
    public readonly KernelVariants WeightGradientV2 = new(runner, WeightGradient.GradientV2, "taps", "hasStep");
    public readonly KernelVariants ColumnSumV1 = new(runner, ColumnSum.SumV1, "weighted");
    public readonly KernelVariants ColumnSumV2 = new(runner, ColumnSum.SumV2, "weighted");
    public readonly KernelVariants SliceSum = new(runner, Kernels.SliceSum.SumV2, "accumulate");
    public readonly KernelVariants MelUpsamplerBackwardInputV1 = new(runner, MelUpsampler.BackwardInputV1);
    public readonly KernelVariants MelUpsamplerBackwardInputV2 = new(runner, MelUpsampler.BackwardInputV2);
    public readonly KernelVariants MelUpsamplerBackwardWeightsV1 = new(runner, MelUpsampler.BackwardWeightsV1);
    public readonly KernelVariants MelUpsamplerBackwardWeightsV2 = new(runner, MelUpsampler.BackwardWeightsV2);
    public readonly KernelVariants InputProjectionBackwardWeights = new(runner, InputProjectionBackward.WeightsV1);
    public readonly KernelVariants InputProjectionBackwardAudio = new(runner, InputProjectionBackward.AudioV1);
    public readonly KernelVariants VectorLinearBackwardWeights = new(runner, Kernels.VectorLinear.BackwardWeightsV1);
    public readonly KernelVariants VectorLinearBackwardInput = new(runner, Kernels.VectorLinear.BackwardInputV1, "silu");
    public readonly KernelVariants LabelEmbeddingBackward = new(runner, Kernels.LabelEmbedding.BackwardV1);

    // The optimiser.
    public readonly KernelVariants GradientNorm = new(runner, Kernels.GradientNorm.NormV2);
    public readonly KernelVariants Adam = new(runner, Kernels.Adam.UpdateV2, "averaged");
}
