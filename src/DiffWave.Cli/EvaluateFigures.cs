using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>One figure of a comparison: its name in JSON, its heading in tables, and where it stands.</summary>
internal sealed record EvaluateFigure(string Name, string Heading, Func<AudioDistance, double?> Of);

/// <summary>The figures of comparisons as JSON and as table.</summary>
internal static class EvaluateFigures
{
    public static IReadOnlyList<EvaluateFigure> All { get; } =
    [
        new("log_mel_l1", "log-mel L1", distance => distance.LogMelL1),
        new("log_spectral_distance_db", "LSD dB", distance => distance.LogSpectralDistanceDb),
        new("mel_cepstral_distortion_db", "MCD dB", distance => distance.MelCepstralDistortionDb),
        new("spectral_convergence", "spec. conv.", distance => distance.SpectralConvergence),
        new("log_stft_magnitude_l1", "log-STFT L1", distance => distance.LogStftMagnitudeL1),
        new("snr_db", "SNR dB", distance => distance.SnrDb),
    ];

    /// <summary>All figures by name, infinite ones null.</summary>
    public static JsonObject ToJson(AudioDistance distance) => ToJson([.. All.Select(figure => figure.Of(distance))]);

    /// <summary>Values in the order of <see cref="All"/>, by name.</summary>
    public static JsonObject ToJson(double?[] values) => new(All.Zip(values, (figure, value) => KeyValuePair.Create(figure.Name, (JsonNode?)value)));

    /// <summary>The mean of every figure over those comparisons in which it is finite; null where there is none.</summary>
    public static double?[] Mean(IReadOnlyCollection<AudioDistance> distances) => [.. All.Select(figure => distances.Average(figure.Of))];

    /// <summary>The standard deviation of a sample (divisor n - 1) of every figure over those comparisons in which it is finite; null for fewer than two.</summary>
    public static double?[] StandardDeviation(IReadOnlyCollection<AudioDistance> distances) => [.. All.Select(figure =>
    {
        double[] values = [.. distances.Select(figure.Of).OfType<double>()];
        if (values.Length < 2) return (double?)null;
        double mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Length - 1));
    })];

    /// <summary>A line for every row, columns aligned; no value is a dash.</summary>
    public static void WriteTable(TextWriter output, IEnumerable<string> headings, IReadOnlyList<(string Name, double?[] Values)> rows)
    {
        string[] columns = [.. headings.Select(heading => heading.PadLeft(8))];
        int first = rows.Max(row => row.Name.Length);
        output.WriteLine(new string(' ', first) + string.Concat(columns.Select(column => "  " + column)));
        foreach ((string name, double?[] values) in rows)
        {
            var cells = values.Zip(columns, (value, column) => "  " + (value?.ToString("F3", CultureInfo.InvariantCulture) ?? "-").PadLeft(column.Length));
            output.WriteLine(name.PadRight(first) + string.Concat(cells));
        }
    }
}
