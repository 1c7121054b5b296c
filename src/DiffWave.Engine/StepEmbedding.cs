namespace DiffWave.Engine;

/// <summary>
/// The sinusoidal embedding of a diffusion step (Kong et al., section 3.2): 64 sines, then 64 cosines, of step times a geometric row of frequencies. Trained weights depend on
/// its float32 rounding: at frequency 10^4 one unit in the last place of the argument moves a sine by up to 0.03, so each rounding below is part of the model.
/// </summary>
public static class StepEmbedding
{
    private const int Frequencies = ModelConfig.StepTableWidth / 2;

    /// <summary>The row [128] of one step.</summary>
    /// <param name="exponent">
    /// <see cref="StepExponent.Positive"/>: rows exist for whole steps 0 .. tableSteps - 1 and a fractional step t takes row(floor t) + (row(ceil t) - row(floor t)) (t - floor t), in float32.
    /// <see cref="StepExponent.Negative"/>: the sines and cosines of the step itself, fractional or not.
    /// </param>
    /// <param name="step">The step, zero-based; 0 to tableSteps - 1.</param>
    /// <param name="tableSteps">T, the number of training steps.</param>
    /// <param name="row">Receives the 128 values.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is outside 0 .. tableSteps - 1, or not a number.</exception>
    /// <exception cref="ArgumentException">The row does not hold 128 values.</exception>
    public static void Row(StepExponent exponent, float step, int tableSteps, Span<float> row)
    {
        if (row.Length != ModelConfig.StepTableWidth) throw new ArgumentException($"row holds {row.Length} values, expected {ModelConfig.StepTableWidth}", nameof(row));
        if (!(step >= 0 && step <= tableSteps - 1)) throw new ArgumentOutOfRangeException(nameof(step), $"step is {step}, expected 0 to {tableSteps - 1}");
        float low = MathF.Floor(step);
        if (exponent == StepExponent.Negative || step == low)
        {
            WaveRow(exponent, step, row);
            return;
        }
        Span<float> high = stackalloc float[ModelConfig.StepTableWidth];
        WaveRow(exponent, low, row);
        WaveRow(exponent, low + 1, high);
        for (int j = 0; j < row.Length; j++) row[j] += (high[j] - row[j]) * (step - low);
    }

    /// <summary>
    /// Frequency j of 64 in float32. Positive: 10^e with e = 4j/63 rounded to float32 first. Negative: exp(-j s) with s = ln(10000)/63 and the exponent rounded to float32, as PyTorch's
    /// float32 arithmetic does. The power is taken in double and rounded once: a float32 power misses 17 % of the 64 values by a unit in the last place.
    /// </summary>
    /// <param name="exponent">Sign of the exponent.</param>
    /// <param name="j">0 to 63.</param>
    public static float Frequency(StepExponent exponent, int j)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)j, (uint)Frequencies, nameof(j));
        if (exponent == StepExponent.Positive) return (float)Math.Pow(10, j * 4f / 63f);
        float spacing = (float)(Math.Log(10000) / (Frequencies - 1));
        return (float)Math.Exp(j * -spacing);
    }

    private static void WaveRow(StepExponent exponent, float step, Span<float> row)
    {
        for (int j = 0; j < Frequencies; j++)
        {
            float argument = step * Frequency(exponent, j);
            row[j] = (float)Math.Sin(argument);
            row[Frequencies + j] = (float)Math.Cos(argument);
        }
    }
}
