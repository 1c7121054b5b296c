namespace DiffWave.Bench;

/// <summary>One measured case.</summary>
/// <param name="Case">Its name, parts apart by slashes: <c>synthesis/base/fast/1x5s</c>.</param>
/// <param name="Seconds">What was measured; null where there is no clock.</param>
internal sealed record Row(string Case, Sample? Seconds)
{
    /// <summary>Float32 multiply-adds the CPU managed just before each measurement, in FLOP/s. Null on a GPU.</summary>
    public Sample? Peak { get; init; }

    /// <summary>Multiply-adds the machine could have done in the time of each measurement, as FLOP. Null without <see cref="Peak"/>.</summary>
    public Sample? WorkAtPeak => Seconds?.Times(Peak);

    /// <summary>The CPU's pace just before each measurement, in pieces a second (<see cref="NetworkPace"/>). Null on a GPU.</summary>
    public Sample? Pace { get; init; }

    /// <summary>Pieces the machine could have done in the time of each measurement: time that does not tell how fast the machine was. Null without <see cref="Pace"/>.</summary>
    public Sample? WorkAtPace => Seconds?.Times(Pace);

    /// <summary>What else is known of it: numbers, texts, truth values, by snake_case names that tell the unit: <c>first_audio_seconds</c>, <c>peak_memory_bytes</c>, <c>gflops</c>.</summary>
    public IReadOnlyDictionary<string, object?> Figures { get; init; } = new Dictionary<string, object?>();

    /// <summary>The measurements of this row and of another one of the same case, with the other's figures; of memory the larger one.</summary>
    public Row With(Row later)
    {
        static Sample? Both(Sample? a, Sample? b) => a is null || b is null ? null : new Sample(a.Values.Concat(b.Values));
        return later with
        {
            Seconds = Both(Seconds, later.Seconds), Peak = Both(Peak, later.Peak), Pace = Both(Pace, later.Pace),
            Figures = later.Figures.ToDictionary(figure => figure.Key, figure => figure.Key.EndsWith("memory_bytes", StringComparison.Ordinal) && figure.Value is long now && Figures.GetValueOrDefault(figure.Key) is long before ? Math.Max(now, before) : figure.Value),
        };
    }

    /// <summary>The row with more figures.</summary>
    public Row And(params IEnumerable<(string Name, object? Value)> more)
    {
        var figures = new Dictionary<string, object?>(Figures);
        foreach ((string name, object? value) in more) figures[name] = value;
        return this with { Figures = figures };
    }

    /// <summary>What a column shows: the case, <c>median_seconds</c>, <c>low_seconds</c>, <c>high_seconds</c>, <c>p95_seconds</c>, <c>spread</c>, <c>rounds</c>, <c>peak_flops</c>, or a figure; null when there is none.</summary>
    public object? Value(string key) => key switch
    {
        "case" => Case,
        "median_seconds" => Seconds?.Median,
        "low_seconds" => Seconds?.Low,
        "high_seconds" => Seconds?.High,
        "p95_seconds" => Seconds?.Quantile(0.95),
        "spread" => Seconds?.Spread,
        "rounds" => Seconds?.Count,
        "peak_flops" => Peak?.Median,
        _ => Figures.GetValueOrDefault(key),
    };
}
