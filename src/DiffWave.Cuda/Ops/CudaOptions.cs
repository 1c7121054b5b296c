using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Choices of <see cref="CudaOps"/>.</summary>
public sealed record CudaOptions
{
    /// <summary>Most bytes of device memory to reserve; null: what the device has.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>What the network computes with. Other precisions than <see cref="Precision.Fp32"/> take the models that <see cref="CudaOps.Problem(Precision, ModelConfig)"/> has nothing against.</summary>
    public Precision Precision { get; init; }

    /// <summary>Cuts of residual blocks that were found to be the fastest; null: by rule. Results do not depend on it.</summary>
    public TileTuning? Tuning { get; init; }

    /// <summary>Most bytes of the buffers of a training pass that keeps what it could compute again; null: four fifths of the memory. Results do not depend on it.</summary>
    internal long? TrainingBudget { get; init; }

    /// <summary>Most values of an activation that one launch counts: kernels index inside an item in 32 bits. Results do not depend on it.</summary>
    internal int LaunchValues { get; init; } = 1 << 30;

    /// <summary>Rows of a window of the layers over whole signals, see <see cref="CudaOps.WindowRows"/>; null: as suits the device. Results do not depend on it.</summary>
    internal int? WindowRows { get; init; }

    /// <summary>Most bytes of the partial sums of weight gradients, where one item at a time does not need more. Results do not depend on it.</summary>
    internal long PartialBytes { get; init; } = 256L << 20;

    /// <summary>Bytes of a segment of page-locked memory for copies.</summary>
    internal int StagingBytes { get; init; } = 4 << 20;
}
