namespace DiffWave.Engine;

/// <summary>One step of the reverse chain, in order of execution.</summary>
/// <param name="Index">n, from N-1 down to 0.</param>
/// <param name="Step">Diffusion step passed to the network; fractional when aligned to a longer training schedule.</param>
/// <param name="AlphaBar">Product of (1 - beta) up to and including this step.</param>
/// <param name="PreviousAlphaBar">The same product without this step; 1 at n = 0.</param>
/// <param name="Beta">The step's beta.</param>
public readonly record struct ReverseStepInfo(int Index, float Step, double AlphaBar, double PreviousAlphaBar, double Beta);

/// <summary>
/// A list of betas with its alpha_bar products (Kong et al., section 2), and the reverse chain it defines for a network trained on another list.
/// All in float64.
/// </summary>
public sealed class NoiseSchedule
{
    /// <summary>beta_0 .. beta_{N-1}.</summary>
    public IReadOnlyList<double> Betas { get; }

    /// <summary>alpha_bar_n = product over i &lt;= n of (1 - beta_i).</summary>
    public IReadOnlyList<double> AlphaBars { get; }

    /// <exception cref="ArgumentException">No betas, or one outside (0, 1).</exception>
    public NoiseSchedule(IReadOnlyList<double> betas)
    {
        if (BetasProblem("betas", betas) is { } problem) throw new ArgumentException(problem);
        Betas = [.. betas];
        var alphaBars = new double[betas.Count];
        double product = 1;
        for (int n = 0; n < betas.Count; n++) alphaBars[n] = product *= 1 - betas[n];
        AlphaBars = alphaBars;
    }

    /// <summary>Evenly spaced betas from first to last, both included, as numpy.linspace computes them.</summary>
    public static double[] LinearBetas(double first, double last, int count)
    {
        var betas = new double[count];
        double spacing = count > 1 ? (last - first) / (count - 1) : 0;
        for (int n = 0; n < count; n++) betas[n] = first + n * spacing;
        if (count > 1) betas[^1] = last;
        return betas;
    }

    /// <summary>
    /// Betas whose noise levels sigma = sqrt(1 - alpha_bar) are evenly spaced on a logarithmic scale, so that training meets every octave of noise equally often. A linear schedule of 50 steps
    /// spends 3 of them below sigma = 0.06, where hiss is decided; small models trained briefly are much cleaner with this one.
    /// </summary>
    /// <param name="first">sigma_0, above 0.</param>
    /// <param name="last">sigma of the last step, below 1.</param>
    /// <param name="count">T, at least 2.</param>
    public static double[] LogSpacedBetas(double first, double last, int count)
    {
        double[] alphaBars = [.. Enumerable.Range(0, count).Select(t => 1 - Math.Pow(first * Math.Pow(last / first, (double)t / (count - 1)), 2))];
        return BetasOf(alphaBars);
    }

    /// <summary>The betas that run through some of a schedule's noise levels.</summary>
    /// <param name="betas">The schedule.</param>
    /// <param name="steps">The steps whose levels to keep, rising.</param>
    public static double[] Thinned(IReadOnlyList<double> betas, params ReadOnlySpan<int> steps)
    {
        IReadOnlyList<double> alphaBars = new NoiseSchedule(betas).AlphaBars;
        double[] kept = new double[steps.Length];
        for (int n = 0; n < kept.Length; n++) kept[n] = alphaBars[steps[n]];
        return BetasOf(kept);
    }

    private static double[] BetasOf(double[] alphaBars) => [.. alphaBars.Select((level, n) => n == 0 ? 1 - level : 1 - level / alphaBars[n - 1])];

    /// <summary>Checks a list of betas: what is wrong with it, or null.</summary>
    public static string? BetasProblem(string field, IReadOnlyList<double>? betas)
    {
        if (betas is null || betas.Count is < 1 or > 10_000) return $"{field} has {betas?.Count ?? 0} entries, expected 1 to 10000";
        for (int n = 0; n < betas.Count; n++)
            if (!(betas[n] > 0 && betas[n] < 1)) return $"{field}[{n}] is {betas[n]}, expected 0 < beta < 1";
        return null;
    }

    /// <summary>
    /// The reverse chain of this schedule for a network trained on <paramref name="training"/>. With the training list itself the steps are 0 .. T-1; otherwise each
    /// alpha_bar is aligned to a fractional training step: sqrt(alpha_bar) interpolated linearly between neighbouring steps (paper, appendix B).
    /// </summary>
    /// <exception cref="ArgumentException">A step's alpha_bar lies outside the training schedule; the message says which and by how much.</exception>
    public IReadOnlyList<ReverseStepInfo> ReverseChain(NoiseSchedule training)
    {
        bool same = Betas.SequenceEqual(training.Betas);
        var chain = new List<ReverseStepInfo>(Betas.Count);
        for (int n = Betas.Count - 1; n >= 0; n--)
            chain.Add(new ReverseStepInfo(n, same ? n : (float)training.Align(AlphaBars[n], n), AlphaBars[n], n > 0 ? AlphaBars[n - 1] : 1, Betas[n]));
        return chain;
    }

    // The fractional step of this (training) schedule whose noise level is alphaBar; n names the fast step in the error.
    private double Align(double alphaBar, int n)
    {
        // A level of this schedule reached through other betas differs from it by rounding.
        const double rounding = 1e-12;
        for (int t = 0; t < AlphaBars.Count; t++)
            if (Math.Abs(AlphaBars[t] - alphaBar) <= rounding) return t;
        for (int t = 0; t + 1 < AlphaBars.Count; t++)
        {
            if (AlphaBars[t + 1] <= alphaBar && alphaBar <= AlphaBars[t])
            {
                double here = Math.Sqrt(AlphaBars[t]), next = Math.Sqrt(AlphaBars[t + 1]);
                return t + (here - Math.Sqrt(alphaBar)) / (here - next);
            }
        }
        throw new ArgumentException(
            $"step {n} of the schedule has alpha_bar {alphaBar:g6}, outside the training schedule's {AlphaBars[^1]:g6} to {AlphaBars[0]:g6} (T={AlphaBars.Count}): " +
            (alphaBar < AlphaBars[^1] ? "use smaller betas, or a model trained to more noise" : "its first beta must be at least the training schedule's first"));
    }
}
