namespace DiffWave.Engine;

/// <summary>Everything optimisation changes: the numbers a checkpoint must hold to go on bit for bit.</summary>
public sealed class TrainingState
{
    /// <summary>Optimiser steps taken.</summary>
    public long Step { get; set; }

    /// <summary>What gradients are scaled by; a trainer sets it before the first step.</summary>
    public LossScale LossScale { get; set; } = new(1, 0);

    /// <summary>The weights being optimised.</summary>
    public Parameters Weights { get; }

    /// <summary>Adam's first moment m, laid out like the weights.</summary>
    public float[] FirstMoment { get; }

    /// <summary>Adam's second moment v, laid out like the weights.</summary>
    public float[] SecondMoment { get; }

    /// <summary>Exponential moving average of the weights, the model to use; null when none is kept.</summary>
    public Parameters? Average { get; }

    /// <summary>The weights a user of the model takes: the average where there is one.</summary>
    public Parameters Best => Average ?? Weights;

    /// <summary>A fresh state: zero moments, and the average, if kept, equal to the weights.</summary>
    /// <param name="config">The model.</param>
    /// <param name="weights">Initial weights; they become the state's own.</param>
    /// <param name="keepAverage">Whether to keep an average.</param>
    public TrainingState(ModelConfig config, Parameters weights, bool keepAverage)
    {
        Weights = weights;
        FirstMoment = new float[weights.Arena.Length];
        SecondMoment = new float[weights.Arena.Length];
        if (!keepAverage) return;
        Average = new Parameters(config);
        weights.Arena.CopyTo(Average.Arena, 0);
    }
}

/// <summary>
/// One update of every weight (Kingma and Ba, 2015): m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// w -= rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon), in PyTorch's order of operations; then average = decay average + (1 - decay) w.
/// </summary>
/// <param name="Step">Number of this update, from 1.</param>
/// <param name="LearningRate">Rate of this update.</param>
/// <param name="Beta1">Decay of the first moment.</param>
/// <param name="Beta2">Decay of the second moment.</param>
/// <param name="Epsilon">Added to the denominator.</param>
/// <param name="ClipNorm">Gradients of a larger L2 norm are scaled down to it first; 0 for no limit.</param>
/// <param name="AverageDecay">Decay of the average; not used when the state keeps none.</param>
/// <param name="LossScale">What the gradients were multiplied by so that none is too small for the device's numbers: a power of two. The update divides them by it.</param>
public readonly record struct AdamStep(long Step, double LearningRate, double Beta1, double Beta2, double Epsilon, double ClipNorm, double AverageDecay, double LossScale = 1)
{
    /// <summary>What the gradients were multiplied by, a power of two.</summary>
    public double LossScale { get; init; } = double.IsPow2(LossScale) ? LossScale : throw new ArgumentOutOfRangeException(nameof(LossScale), LossScale, "a power of two is needed");

    /// <summary>Largest norm after clipping. No gradient is larger than their norm, so none has a square beyond float32: moments and weights stay finite.</summary>
    public static readonly double LargestNorm = Math.Sqrt(float.MaxValue) * 0.999;

    /// <summary>Factor on the true gradients for their norm.</summary>
    public double GradientScale(double norm) => ClipNorm > 0 && norm > ClipNorm ? ClipNorm / norm : 1;
}
