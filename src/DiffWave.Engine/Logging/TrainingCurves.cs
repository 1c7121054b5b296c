using System.Text.Json.Nodes;

namespace DiffWave.Engine;

/// <summary>A value at a step (or at a diffusion step).</summary>
internal readonly record struct CurvePoint(double X, double Y);

/// <summary>The log of a run as curves.</summary>
internal sealed class TrainingCurves
{
    private const int SmoothedOver = 50; // the smoothed curve averages over about a fiftieth of the run

    public List<CurvePoint> Loss { get; } = [];
    public List<CurvePoint> Validation { get; } = [];
    public List<CurvePoint> GradientNorm { get; } = [];
    public List<CurvePoint> LearningRate { get; } = [];
    public List<CurvePoint> StepSeconds { get; } = [];

    /// <summary>Loss by diffusion step, as first and as last measured.</summary>
    public (long Step, List<CurvePoint> Points)? FirstByDiffusionStep { get; private set; }
    public (long Step, List<CurvePoint> Points)? LastByDiffusionStep { get; private set; }

    public long? LastStep { get; private set; }
    public double? Epoch { get; private set; }

    public static TrainingCurves Read(string logPath)
    {
        var curves = new TrainingCurves();
        foreach (var (step, line) in RunFolderLog.Read(logPath)) curves.Add(step, line);
        return curves;
    }

    /// <summary>A running mean in which older values count less and less, over about so many lines; over fewer at the start, where a run changes fast: a tenth of those seen.</summary>
    public static List<CurvePoint> Smooth(IReadOnlyList<CurvePoint> points, out int span)
    {
        span = Math.Max(1, points.Count / SmoothedOver);
        double mean = 0;
        var smooth = new List<CurvePoint>(points.Count);
        foreach (CurvePoint point in points)
        {
            mean += (point.Y - mean) / Math.Min(span, 1 + 0.1 * smooth.Count);
            smooth.Add(point with { Y = mean });
        }
        return smooth;
    }

    /// <summary>At most so many of the points: first, last, and of every stretch between them the lowest and the highest, so that no spike is lost.</summary>
    public static IReadOnlyList<CurvePoint> Decimate(IReadOnlyList<CurvePoint> points, int most)
    {
        if (points.Count <= most) return points;
        int inner = points.Count - 2, stretches = (most - 2) / 2;
        var kept = new List<CurvePoint>(most) { points[0] };
        for (int i = 0; i < stretches; i++)
        {
            int begin = 1 + (int)((long)inner * i / stretches), end = 1 + (int)((long)inner * (i + 1) / stretches), low = begin, high = begin;
            for (int k = begin + 1; k < end; k++)
            {
                if (points[k].Y < points[low].Y) low = k;
                if (points[k].Y > points[high].Y) high = k;
            }
            kept.Add(points[Math.Min(low, high)]);
            if (low != high) kept.Add(points[Math.Max(low, high)]);
        }
        kept.Add(points[^1]);
        return kept;
    }

    private void Add(long step, JsonObject line)
    {
        (LastStep, Epoch) = (step, Number(line["epoch"]) ?? Epoch);
        void Take(string field, List<CurvePoint> points) { if (Number(line[field]) is { } value) points.Add(new CurvePoint(step, value)); }
        Take("loss", Loss);
        Take("validation_loss", Validation);
        Take("grad_norm", GradientNorm);
        Take("learning_rate", LearningRate);
        Take("step_seconds", StepSeconds);
        if (line["loss_by_t"] is not JsonArray buckets) return;
        List<CurvePoint> byStep = [.. buckets.OfType<JsonObject>().Select(bucket => (From: Number(bucket["from"]), To: Number(bucket["to"]), Loss: Number(bucket["loss"])))
            .Where(bucket => bucket is { From: not null, To: not null, Loss: not null }).Select(bucket => new CurvePoint((bucket.From!.Value + bucket.To!.Value) / 2, bucket.Loss!.Value))];
        if (byStep.Count == 0) return;
        FirstByDiffusionStep ??= (step, byStep);
        LastByDiffusionStep = (step, byStep);
    }

    private static double? Number(JsonNode? node) => node is JsonValue value && value.TryGetValue(out double number) && double.IsFinite(number) ? number : null;
}
