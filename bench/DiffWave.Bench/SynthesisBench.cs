using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A synthesis to measure.</summary>
/// <param name="Preset">The model.</param>
/// <param name="Full">All steps of the training schedule instead of the fast one.</param>
/// <param name="Batch">Clips side by side.</param>
/// <param name="Seconds">Length of a clip.</param>
/// <param name="Precision">What it is computed with.</param>
internal sealed record SynthesisCase(string Preset, bool Full, int Batch, double Seconds, Precision Precision)
{
    public string Name => string.Create(CultureInfo.InvariantCulture, $"synthesis/{Preset}/{(Full ? "full" : "fast")}/{Batch}x{Seconds:0.###}s{(Precision == Precision.Fp32 ? "" : "/" + Precision.ToString().ToLowerInvariant())}");
}

/// <summary>Whole syntheses: how many times faster than real time, how soon, in how much memory.</summary>
internal static class SynthesisBench
{
    /// <summary>What is measured unless the user says otherwise: on a CPU what ends within minutes, on a GPU what fills it.</summary>
    public static IReadOnlyList<SynthesisCase> Usual(BenchSettings settings) => settings.Device switch
    {
        "cpu" =>
        [
            new("base", false, 1, 1, Precision.Fp32), new("base", false, 1, 5, Precision.Fp32), new("base", false, 4, 1, Precision.Fp32), new("base", true, 1, 0.5, Precision.Fp32), new("large", false, 1, 1, Precision.Fp32),
            new("small", false, 1, 5, Precision.Fp32), new("small", true, 1, 2, Precision.Fp32), new("tiny", false, 1, 5, Precision.Fp32), new("tiny", false, 1, 60, Precision.Fp32),
        ],
        "emulator" => [new("tiny", false, 1, 0.05, Precision.Fp32)],
        _ =>
        [
            .. from precision in new[] { Precision.Fp32, Precision.Fp16 }
               from full in new[] { false, true }
               from batch in new[] { 1, 16 }
               select new SynthesisCase("base", full, batch, 10, precision),
            .. from preset in new[] { "large", "small" } from batch in new[] { 1, 16 } select new SynthesisCase(preset, false, batch, 10, Precision.Fp16),
        ],
    };

    public static IEnumerable<BenchCase> Cases(BenchSettings settings, IEnumerable<SynthesisCase> cases) => cases.Select(one => new BenchCase(one.Name, () => Run(settings, one)));

    private static Row Run(BenchSettings settings, SynthesisCase one)
    {
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var synthesis = new TimedSynthesis(on.Ops, ModelConfig.Preset(one.Preset), one.Seconds, one.Batch, one.Full, settings.Seed);
        double first = synthesis.Once(); // compiles and allocates
        synthesis.Once();                // a GPU records the chain
        var firstAudio = new Sample();
        var (seconds, peak) = Suite.Measure(settings, on, () =>
        {
            double taken = synthesis.Once();
            firstAudio.Add(synthesis.FirstAudioSeconds);
            return taken;
        });
        double? executed = on.IsCpu ? CpuWork.Synthesis(synthesis.Config, synthesis.Samples, synthesis.Steps.Count) : null;
        var row = new Row(one.Name, seconds) { Peak = peak };
        return row with
        {
            Figures = new Dictionary<string, object?>
            {
                ["preset"] = one.Preset, ["channels"] = synthesis.Config.Channels, ["layers"] = synthesis.Config.Layers, ["steps"] = synthesis.Steps.Count, ["batch"] = one.Batch, ["clip_seconds"] = synthesis.AudioSeconds / one.Batch,
                ["precision"] = one.Precision.ToString().ToLowerInvariant(), ["device"] = on.Ops.Device, ["times_real_time"] = synthesis.AudioSeconds / seconds.Median, ["first_audio_seconds"] = firstAudio.Median,
                ["first_run_seconds"] = first, ["flops"] = synthesis.Flops, ["gflops"] = synthesis.Flops / seconds.Median / 1e9, ["peak_memory_bytes"] = Machine.PeakMemory(), ["peak_device_memory_bytes"] = on.PeakDeviceMemory,
                ["executed_gflops"] = executed / seconds.Median / 1e9, ["share_of_peak"] = (executed ?? synthesis.Flops) / (row.WorkAtPeak?.Median ?? seconds.Median * on.Peak()),
            },
        };
    }
}
