// Adam (Kingma and Ba, 2015) and the moving average of the weights, over the whole arena in one launch
//
//   g = scale gradient,  m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
//   weight = weight - rate / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
//   average = decay average + (1 - decay) weight                    all: n values
//
// Operations and roundings are those of PyTorch's CPU kernels for float32, as the CPU backend has them: fused where it fuses, rounded elsewhere, so the bits are the same.
// The step's numbers and the scale are read from device memory, so that a recorded launch is another step when it is replayed. A scale of NaN means that nothing is updated, see GradientNorm.
//
// v1  one thread a value
// v2  a grid-stride loop over four values at a time: 128-bit loads and stores
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>The numbers of one Adam step, computed in float64 and rounded once.</summary>
/// <param name="step">Number of the step, from 1.</param>
/// <param name="learningRate">Learning rate.</param>
/// <param name="beta1">Decay of the first moment, 0 to 1.</param>
/// <param name="beta2">Decay of the second moment, 0 to 1.</param>
/// <param name="epsilon">Added to the root of the second moment.</param>
/// <param name="averageDecay">Decay of the average, 0 to 1.</param>
public readonly struct AdamFactors(long step, double learningRate, double beta1, double beta2, double epsilon, double averageDecay)
{
    /// <summary>1 - beta1.</summary>
    public readonly float Weight1 = (float)(1 - beta1);

    /// <summary>beta2.</summary>
    public readonly float Beta2 = (float)beta2;

    /// <summary>1 - beta2.</summary>
    public readonly float Weight2 = (float)(1 - beta2);

    /// <summary>sqrt(1 - beta2^step).</summary>
    public readonly float RootCorrection2 = (float)Math.Sqrt(1 - Math.Pow(beta2, step));

    /// <summary>epsilon.</summary>
    public readonly float Epsilon = (float)epsilon;

    /// <summary>-rate / (1 - beta1^step).</summary>
    public readonly float MinusRate = (float)-(learningRate / (1 - Math.Pow(beta1, step)));

    /// <summary>Decay of the average.</summary>
    public readonly float Decay = (float)averageDecay;

    /// <summary>1 - decay of the average.</summary>
    public readonly float DecayRest = (float)(1 - averageDecay);
}

/// <summary>Adam and the moving average of the weights, bit for bit as the CPU backend computes them.</summary>
public static partial class Adam
{
    private const int Threads = 256;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="weights">n weights, in and out.</param>
    /// <param name="gradients">n gradients.</param>
    /// <param name="m">n first moments, in and out.</param>
    /// <param name="v">n second moments, in and out.</param>
    /// <param name="average">n averages, in and out; empty when none is kept.</param>
    /// <param name="scale">Factor of the gradients.</param>
    /// <param name="factors">The numbers of the step.</param>
    public static void Reference<T>(Span<T> weights, ReadOnlySpan<float> gradients, Span<T> m, Span<T> v, Span<T> average, float scale, AdamFactors factors) where T : IFloatingPointIeee754<T>
    {
        T weight1 = T.CreateChecked(factors.Weight1), beta2 = T.CreateChecked(factors.Beta2), weight2 = T.CreateChecked(factors.Weight2);
        for (int i = 0; i < weights.Length; i++)
        {
            T g = T.CreateChecked(scale) * T.CreateChecked(gradients[i]);
            m[i] += weight1 * (g - m[i]);
            v[i] = beta2 * v[i] + weight2 * g * g;
            weights[i] += T.CreateChecked(factors.MinusRate) * m[i] / (T.Sqrt(v[i]) / T.CreateChecked(factors.RootCorrection2) + T.CreateChecked(factors.Epsilon));
            if (average.Length > 0) average[i] = T.CreateChecked(factors.Decay) * average[i] + T.CreateChecked(factors.DecayRest) * weights[i];
        }
    }

    /// <summary>Version 1. Threads: at least one a value, along x.</summary>
    /// <param name="weights">n weights, in and out; n is at most 2^30.</param>
    /// <param name="gradients">n gradients.</param>
    /// <param name="m">n first moments, in and out.</param>
    /// <param name="v">n second moments, in and out.</param>
    /// <param name="average">n averages of the weights, in and out; not touched unless <paramref name="averaged"/>.</param>
    /// <param name="scale">Factor of the gradients in the first element; NaN: nothing is updated.</param>
    /// <param name="factors">The numbers of the step, one element.</param>
    /// <param name="averaged">Whether an average is kept.</param>
    [Kernel("adam_v1", BlockX = Threads, Contract = false)]
    public static void UpdateV1(ArrayView<float> weights, ArrayView<float> gradients, ArrayView<float> m, ArrayView<float> v, ArrayView<float> average, ArrayView<float> scale, ArrayView<AdamFactors> factors,
        [Const] bool averaged)
    {
        int i = Grid.GlobalIndex.X;
        float factor = scale[0];
        if (i < weights.IntLength && !XMath.IsNaN(factor)) Update(weights, gradients, m, v, average, i, factor, factors[0], averaged);
    }

    private static void Update(ArrayView<float> weights, ArrayView<float> gradients, ArrayView<float> m, ArrayView<float> v, ArrayView<float> average, int i, float scale, AdamFactors factors, bool averaged)
    {
        float weight = weights[i], first = m[i], second = v[i];
        Update(ref weight, scale * gradients[i], ref first, ref second, factors);
        weights[i] = weight;
        m[i] = first;
        v[i] = second;
        if (averaged) average[i] = Averaged(average[i], weight, factors);
    }

    private static void Update(ref float weight, float g, ref float m, ref float v, AdamFactors factors)
    {
        // Taken from the nearer end.
        float change = g - m;
        m = factors.Weight1 < 0.5f ? MathF.FusedMultiplyAdd(factors.Weight1, change, m) : MathF.FusedMultiplyAdd(factors.Weight1 - 1, change, g);
        v = MathF.FusedMultiplyAdd(factors.Weight2 * g, g, v * factors.Beta2);
        weight += factors.MinusRate * m / (XMath.Sqrt(v) / factors.RootCorrection2 + factors.Epsilon);
    }

    private static float Averaged(float average, float weight, AdamFactors factors) => factors.Decay * average + factors.DecayRest * weight;

    /// <summary>Weights, moments and average are read and written, gradients are read; 14 operations a value, three more with an average.</summary>
    /// <param name="n">Values.</param>
    /// <param name="averaged">Whether an average is kept.</param>
    public static Cost UpdateCost(long n, bool averaged) => new((averaged ? 17 : 14) * n, sizeof(float) * ((averaged ? 9 : 7) * n + 1));
}
