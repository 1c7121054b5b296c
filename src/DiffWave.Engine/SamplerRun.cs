namespace DiffWave.Engine;

/// <summary>A request being carried out.</summary>
/// <param name="Request">What to sample.</param>
/// <param name="Write">Called with (item, first time, samples) as audio is finished.</param>
/// <param name="Progress">Told the finished fraction.</param>
/// <param name="Cancel">Stops it.</param>
internal sealed record SamplerRun(SamplerRequest Request, Action<int, long, ReadOnlySpan<float>> Write, IProgress<double>? Progress, CancellationToken Cancel)
{
    private readonly double _all = Request.Lengths.Sum(length => (double)length);
    private double _told;

    /// <summary>Tells how far some items are; those before them are finished, or nearly so. What has been told is not taken back.</summary>
    public void Report(int first, int count, double fraction)
    {
        if (Progress is null) return;
        double before = 0, rows = 0;
        for (int item = 0; item < first; item++) before += Request.Lengths[item];
        for (int item = first; item < first + count; item++) rows += Request.Lengths[item];
        Progress.Report(_told = Math.Max(_told, (before + fraction * rows) / _all));
    }
}
