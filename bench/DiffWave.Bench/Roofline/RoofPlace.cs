namespace DiffWave.Bench;

/// <summary>Where an operation or a kernel stands under its roof, on any device.</summary>
/// <param name="Bound"><c>compute</c> or <c>memory</c>: the lower roof at its intensity; <c>neither</c> where it reaches less than a quarter of it, so that something else takes the time.</param>
/// <param name="Share">How much of that roof is reached.</param>
internal readonly record struct RoofPlace(string Bound, double Share)
{
    private const double Least = 0.25;

    /// <param name="compute">Seconds its arithmetic alone would take at the compute roof.</param>
    /// <param name="memory">Seconds its bytes alone would take at the memory roof.</param>
    /// <param name="seconds">Seconds it took.</param>
    public static RoofPlace Of(double compute, double memory, double seconds)
    {
        double share = Math.Max(compute, memory) / seconds;
        return new RoofPlace(share < Least ? "neither" : compute > memory ? "compute" : "memory", share);
    }
}
