using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What a synthesis did, as text or JSON.</summary>
internal sealed class SynthesisReport(SynthesisRequest request, ModelConfig config, DeviceChoice device, int steps, IReadOnlyList<SynthesizedFile> files)
{
    private readonly long _peakBytes = MemoryUse.PeakBytes();
    private readonly long? _peakGpuBytes = device.PeakGpuBytes;

    public void Write(TextWriter output)
    {
        if (request.Json) output.WriteLine(JsonText.Of(ToJson()));
        else WriteText(output);
    }

    private void WriteText(TextWriter output)
    {
        string bits = request.Format switch { WavFormat.Pcm16 => "16-bit PCM", WavFormat.Pcm24 => "24-bit PCM", _ => "32-bit float" };
        string sampler = request.Sampler == SamplerKind.Ddpm ? "ddpm" : Invariant($"ddim, eta {request.Eta ?? 0}");
        foreach (SynthesizedFile file in files)
            output.WriteLine(Invariant($"{file.Item.Output}: {Seconds(file.Samples):F2} s at {config.SampleRate} Hz, {bits}, made in {file.WallSeconds:F2} s ({Seconds(file.Samples) / file.WallSeconds:F2} times real time), {ClipRatio(file):P3} clipped"));
        if (files.Count > 1)
            output.WriteLine(Invariant($"total: {files.Count} files, {TotalSeconds:F2} s made in {TotalWall:F2} s ({TotalSeconds / TotalWall:F2} times real time)"));
        output.WriteLine(Invariant($"seed {request.Seed}, schedule {request.Schedule} ({steps} steps, {sampler}), peak memory {MemoryUse.Text(_peakBytes, _peakGpuBytes)}, device {device.Text}"));
    }

    private JsonObject ToJson()
    {
        var json = new JsonObject
        {
            ["model"] = request.Model,
            ["device"] = device.Ops.Device,
            ["device_reason"] = device.Reason,
            ["precision"] = device.Precision.ToString().ToLowerInvariant(),
            ["schedule"] = request.Schedule,
            ["sampler"] = request.Sampler == SamplerKind.Ddpm ? "ddpm" : "ddim",
            ["eta"] = request.Sampler == SamplerKind.Ddim ? request.Eta ?? 0 : null,
            ["steps"] = steps,
            ["seed"] = request.Seed,
            ["label"] = request.Label,
            ["sample_rate"] = config.SampleRate,
            ["sample_format"] = request.Format switch { WavFormat.Pcm16 => "pcm16", WavFormat.Pcm24 => "pcm24", _ => "float32" },
            ["peak_memory_bytes"] = _peakBytes,
            ["peak_gpu_memory_bytes"] = _peakGpuBytes,
        };
        if (files.Count == 1)
        {
            foreach ((string name, JsonNode? value) in FileJson(files[0])) json[name] = value?.DeepClone();
            return json;
        }
        json["audio_seconds"] = TotalSeconds;
        json["wall_seconds"] = TotalWall;
        json["times_real_time"] = TotalSeconds / TotalWall;
        json["clip_ratio"] = (double)files.Sum(file => file.ClippedSamples) / files.Sum(file => file.Samples);
        json["files"] = new JsonArray([.. files.Select(FileJson)]);
        return json;
    }

    private JsonObject FileJson(SynthesizedFile file) => new()
    {
        ["input"] = file.Item.Path,
        ["output"] = file.Item.Output,
        ["png"] = file.Item.Picture,
        ["samples"] = file.Samples,
        ["audio_seconds"] = Seconds(file.Samples),
        ["wall_seconds"] = file.WallSeconds,
        ["times_real_time"] = Seconds(file.Samples) / file.WallSeconds,
        ["clip_ratio"] = ClipRatio(file),
    };

    private double TotalSeconds => files.Sum(file => Seconds(file.Samples));

    private double TotalWall => files.Sum(file => file.WallSeconds);

    private double Seconds(long samples) => (double)samples / config.SampleRate;

    private static double ClipRatio(SynthesizedFile file) => (double)file.ClippedSamples / file.Samples;

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
