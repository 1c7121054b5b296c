using System.Text.Json;

namespace DiffWave.Bench.Costs;

/// <summary>Times of a workload from a file of <c>bench gpu --json</c>.</summary>
/// <param name="Device">What they were measured on.</param>
/// <param name="Whole">Median seconds of the whole workload, copies of the host included; null where it was not run.</param>
/// <param name="Kernels">Seconds of all launches of a kernel in it; empty where they were not timed.</param>
internal sealed record MeasuredTimes(string Device, double? Whole, IReadOnlyDictionary<string, double> Kernels)
{
    /// <summary>Seconds of all launches of a kernel, or null.</summary>
    public double? Of(string kernel) => Kernels.TryGetValue(kernel, out double seconds) ? seconds : null;

    /// <summary>Reads what the file has of a workload.</summary>
    /// <param name="path">The file.</param>
    /// <param name="workload">Preset, batch, samples and steps must be its own: times of other sizes are not taken.</param>
    /// <exception cref="InvalidDataException">The file is not of <c>bench gpu</c>, or has nothing of this workload.</exception>
    public static MeasuredTimes Read(string path, Workload workload)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        if (!document.RootElement.TryGetProperty("benchmark", out JsonElement name) || name.GetString() != "gpu") throw new InvalidDataException($"{path} is no result of bench gpu");
        JsonElement results = document.RootElement.GetProperty("results");
        string device = results.GetProperty("device").GetProperty("name").GetString() ?? "";
        double audio = workload.Batch * (workload.Samples / (double)workload.Config.SampleRate);
        JsonElement[] whole = workload switch
        {
            SynthesisWork synthesis => [.. Entries("synthesis").Where(run => Is(run) && Int(run, "steps") == synthesis.Steps.Count && run.GetProperty("precision").GetString() == workload.PrecisionText && Math.Abs(Double(run, "audio_seconds") - audio) < 1e-6 * audio)],
            TrainingWork training => [.. Entries("training").Where(run => Is(run) && Int(run, "crop_samples") == training.Samples && run.GetProperty("recompute").GetBoolean() == training.Recompute && run.GetProperty("precision").GetString() == workload.PrecisionText)],
            _ => [],
        };
        JsonElement[] timed = [.. Entries("launches").Where(run => run.GetProperty("workload").GetString() == workload.Text)];
        if (whole.Length == 0 && timed.Length == 0) throw new InvalidDataException($"{path} has nothing measured of: {workload.Text}");
        return new MeasuredTimes(device, whole.Length > 0 ? Double(whole[0], "median_seconds") : null,
            timed.Length == 0 ? new Dictionary<string, double>() : timed[0].GetProperty("kernels").EnumerateArray().ToDictionary(kernel => kernel.GetProperty("kernel").GetString()!, kernel => Double(kernel, "seconds")));

        bool Is(JsonElement run) => run.GetProperty("preset").GetString() == workload.Preset && Int(run, "batch") == workload.Batch;
        IEnumerable<JsonElement> Entries(string section) =>
            !results.TryGetProperty(section, out JsonElement entries) ? [] : entries.ValueKind == JsonValueKind.Array ? entries.EnumerateArray() : [entries];
    }

    private static int Int(JsonElement element, string name) => element.GetProperty(name).GetInt32();

    private static double Double(JsonElement element, string name) => element.GetProperty(name).GetDouble();
}
