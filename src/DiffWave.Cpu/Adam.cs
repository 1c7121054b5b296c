using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// Adam for a run of weights, in the order of operations and with the roundings of PyTorch's CPU kernels for float32: lerp, mul, addcmul (both with a
/// fused multiply-add), sqrt, div, add, addcdiv. The scalars are computed in float64 and rounded once.
/// </summary>
internal readonly unsafe struct Adam<S, V> where S : struct, ISimd<V> where V : struct
{
    private readonly float _gradientScale, _weight1, _beta2, _weight2, _rootCorrection2, _epsilon, _minusRate, _decay, _decayRest;

    public Adam(AdamStep step, double norm)
    {
        double correction1 = 1 - Math.Pow(step.Beta1, step.Step), correction2 = 1 - Math.Pow(step.Beta2, step.Step);
        (_gradientScale, _weight1) = ((float)(step.GradientScale(norm) / step.LossScale), (float)(1 - step.Beta1));
        (_beta2, _weight2) = ((float)step.Beta2, (float)(1 - step.Beta2));
        (_rootCorrection2, _epsilon, _minusRate) = ((float)Math.Sqrt(correction2), (float)step.Epsilon, (float)-(step.LearningRate / correction1));
        (_decay, _decayRest) = ((float)step.AverageDecay, (float)(1 - step.AverageDecay));
    }

    /// <summary>Updates <paramref name="count"/> values; <paramref name="average"/> may be null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Update(float* weights, float* gradients, float* m, float* v, float* average, int count)
    {
        int i = 0;
        for (; i + S.Width <= count; i += S.Width) One(weights + i, gradients + i, m + i, v + i, average == null ? null : average + i);
        if (i == count) return;
        // The last values, in a whole vector's place.
        int bytes = (count - i) * sizeof(float), parts = average == null ? 4 : 5;
        float* place = stackalloc float[5 * S.Width];
        float** part = stackalloc float*[] { weights + i, gradients + i, m + i, v + i, average + i };
        new Span<float>(place, 5 * S.Width).Clear();
        for (int p = 0; p < parts; p++) Buffer.MemoryCopy(part[p], place + p * S.Width, bytes, bytes);
        One(place, place + S.Width, place + 2 * S.Width, place + 3 * S.Width, average == null ? null : place + 4 * S.Width);
        for (int p = 0; p < parts; p++) Buffer.MemoryCopy(place + p * S.Width, part[p], bytes, bytes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void One(float* weights, float* gradients, float* m, float* v, float* average)
    {
        V g = S.Mul(S.Load(gradients), S.Broadcast(_gradientScale)), first = S.Load(m), change = S.Sub(g, first);
        // lerp takes its start from the nearer end.
        first = _weight1 < 0.5f ? S.Fma(S.Broadcast(_weight1), change, first) : S.Fma(S.Broadcast(_weight1 - 1f), change, g);
        V second = S.Fma(S.Mul(S.Broadcast(_weight2), g), g, S.Mul(S.Load(v), S.Broadcast(_beta2)));
        V denominator = S.Add(S.Div(S.Sqrt(second), S.Broadcast(_rootCorrection2)), S.Broadcast(_epsilon));
        V w = S.Add(S.Load(weights), S.Div(S.Mul(S.Broadcast(_minusRate), first), denominator));
        S.Store(m, first);
        S.Store(v, second);
        S.Store(weights, w);
        if (average != null) S.Store(average, S.Add(S.Mul(S.Broadcast(_decay), S.Load(average)), S.Mul(S.Broadcast(_decayRest), w)));
    }
}
