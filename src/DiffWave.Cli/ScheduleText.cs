using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Noise schedules as command lines give them.</summary>
internal static class ScheduleText
{
    /// <summary>The betas of a list such as <c>1e-4,1e-3,0.01,0.05,0.2,0.5</c>.</summary>
    /// <param name="option">Where it was given.</param>
    /// <param name="text">The list.</param>
    /// <param name="words">What else may stand there, for the message: <c>fast, full or </c>.</param>
    /// <exception cref="UsageException">Not such a list, or a beta outside (0, 1).</exception>
    public static double[] Parse(string option, string text, string words = "")
    {
        string[] parts = text.Split(',');
        var betas = new double[parts.Length];
        for (int n = 0; n < parts.Length; n++)
            if (!double.TryParse(parts[n], NumberStyles.Float, CultureInfo.InvariantCulture, out betas[n]))
                throw new UsageException($"{option} is '{text}', expected {words}betas such as 1e-4,1e-3,0.01,0.05,0.2,0.5");
        return NoiseSchedule.BetasProblem(option, betas) is { } problem ? throw new UsageException(problem) : betas;
    }
}
