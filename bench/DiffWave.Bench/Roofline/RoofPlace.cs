namespace DiffWave.Bench;

/// <summary>Where an operation or a kernel stands under its roof, on any device.</summary>
/// <param name="Bound"><c>compute</c> or <c>memory</c>: the lower roof at its intensity; <c>neither</c> where it reaches less than a quarter of it.</param>
/// <param name="Roof">FLOP/s of that roof, or bytes a second for an operation without FLOP.</param>
/// <param name="Share">How much of it is reached.</param>
internal readonly record struct RoofPlace(string Bound, double Roof, double Share)
{
    private const double Least = 0.25;

    /// <param name="flops">FLOP executed.</param>
    /// <param name="bytes">Bytes read and written.</param>
    /// <param name="seconds">Time it took.</param>
    /// <param name="peakFlops">Compute roof, FLOP/s.</param>
    /// <param name="peakBytes">Memory roof, bytes a second.</param>
    public static RoofPlace Of(double flops, double bytes, double seconds, double peakFlops, double peakBytes)
    {
        double compute = flops / peakFlops, memory = bytes / peakBytes, longer = Math.Max(compute, memory);
        double share = longer / seconds;
        return new RoofPlace(share < Least ? "neither" : compute > memory ? "compute" : "memory", flops > 0 ? flops / longer : peakBytes, share);
    }
}
