using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What a training says while it runs, on stderr: a line now and then; and its result on stdout.</summary>
internal sealed class TrainingReport(Session session, TrainRequest request, RunFolder folder, RunFolderConfig config, long firstStep)
{
    private static readonly TimeSpan BetweenLines = TimeSpan.FromSeconds(10), BetweenPages = TimeSpan.FromMinutes(1);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<double> _stepSeconds = [];
    private TimeSpan _lastLine, _lastPage;
    private double? _loss, _validationLoss, _sampleDifference;
    private double _meanLoss;

    /// <summary>Takes in a line of the log.</summary>
    public void Line(JsonObject line)
    {
        long step = (long)line["step"]!;
        _loss = (double?)line["loss"] ?? _loss;
        _validationLoss = (double?)line["validation_loss"] ?? _validationLoss;
        _sampleDifference = (double?)line["sample_mel_l1"] ?? _sampleDifference;
        if (line["step_seconds"] is { } seconds) _stepSeconds.Add((double)seconds);
        if (_loss is { } loss) _meanLoss = _stepSeconds.Count <= 1 ? loss : 0.98 * _meanLoss + 0.02 * loss;
        bool examined = line["validation_loss"] is not null || line["sample_mel_l1"] is not null;
        TimeSpan elapsed = _clock.Elapsed;
        if (examined || elapsed - _lastLine >= BetweenLines || step == request.Plan.Steps)
        {
            _lastLine = elapsed;
            session.Log(Text(line, step, elapsed));
        }
        if (examined && (elapsed - _lastPage >= BetweenPages || _lastPage == TimeSpan.Zero))
        {
            _lastPage = elapsed;
            RunReport.Write(folder.Path);
        }
    }

    private string Text(JsonObject line, long step, TimeSpan elapsed)
    {
        string text = string.Create(CultureInfo.InvariantCulture, $"step {step} of {request.Plan.Steps}");
        if (_loss is not null) text += string.Create(CultureInfo.InvariantCulture, $"  loss {_meanLoss:f4}  grad norm {(double)line["grad_norm"]!:g3}");
        if (line["loss_scale"] is { } scale) text += string.Create(CultureInfo.InvariantCulture, $"  loss scale {(double)scale}");
        if (line["validation_loss"] is { } validation) text += string.Create(CultureInfo.InvariantCulture, $"  validation {(double)validation:f4}");
        if (line["sample_mel_l1"] is { } difference) text += string.Create(CultureInfo.InvariantCulture, $"  sample mel L1 {(double)difference:f4}");
        if (step > firstStep) text += string.Create(CultureInfo.InvariantCulture, $"  {Median():f2} s a step, {Left(elapsed / (step - firstStep) * (request.Plan.Steps - step))} left");
        return text;
    }

    private static string Left(TimeSpan time) => (time.Days > 0 ? $"{time.Days} d " : "") + time.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture);

    private double Median() => _stepSeconds.Count == 0 ? 0 : _stepSeconds.TakeLast(101).Order().ElementAt(Math.Min(101, _stepSeconds.Count) / 2);

    /// <summary>The last words: what was reached, and how to go on.</summary>
    public void Finish(bool finished, DeviceChoice device, string? checkpoint)
    {
        RunReport.Write(folder.Path);
        long step = firstStep + _stepSeconds.Count;
        double median = Median(), audio = (double)config.Training.Batch * config.Training.CropSamples(config.Model) / config.Model.SampleRate;
        if (!finished) session.Log($"interrupted after step {step}: {checkpoint} holds everything; go on with: diffwave train --out {request.Output} --steps {request.Plan.Steps}");
        if (request.Json)
        {
            session.Out.WriteLine(JsonText.Of(new JsonObject
            {
                ["run"] = request.Output, ["model"] = finished ? folder.ModelPath : null, ["steps"] = step, ["loss"] = _loss is null ? null : _meanLoss, ["validation_loss"] = _validationLoss,
                ["sample_mel_l1"] = _sampleDifference, ["step_seconds"] = median, ["audio_seconds_per_second"] = median > 0 ? audio / median : null, ["checkpoint"] = checkpoint,
                ["stopped"] = finished ? "finished" : "interrupted", ["device"] = device.Ops.Device, ["device_reason"] = device.Reason, ["precision"] = config.Training.Precision.ToString().ToLowerInvariant(),
                ["peak_memory_bytes"] = MemoryUse.PeakBytes(), ["peak_gpu_memory_bytes"] = device.PeakGpuBytes,
            }));
            return;
        }
        string page = Path.Combine(request.Output, "report.html");
        if (_stepSeconds.Count == 0)
        {
            session.Out.WriteLine($"{(finished ? folder.ModelPath : checkpoint)}: {step} steps; see {page}");
            return;
        }
        string validation = _validationLoss is { } loss ? string.Create(CultureInfo.InvariantCulture, $", validation loss {loss:f4}") : "";
        session.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(finished ? folder.ModelPath : checkpoint)}: {step} steps, loss {_meanLoss:f4}{validation}, {median:f2} s a step, ") +
            string.Create(CultureInfo.InvariantCulture, $"{audio / Math.Max(median, 1e-9):f1} s of audio a second on {device.Ops.Device}; see {page}"));
    }
}
