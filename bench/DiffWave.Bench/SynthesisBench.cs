using System.Diagnostics;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>Whole syntheses from a mel in memory to audio in memory, alternating with the PyTorch peer when one is given.</summary>
internal static class SynthesisBench
{
    public static Dictionary<string, object> Run(string device, string preset, double seconds, int batch, bool full, int threads, SimdLevel level, int rounds, TorchSetting? torch, Precision precision = Precision.Fp32)
    {
        var config = ModelConfig.Preset(preset);
        if (!config.HasMel) throw new ArgumentException($"preset {preset} has no mel; choose base, large, small or tiny");
        int frames = (int)Math.Ceiling(seconds * config.SampleRate / config.Hop);
        long samples = (long)frames * config.Hop;
        double audio = batch * samples / (double)config.SampleRate;
        var schedule = new NoiseSchedule(full ? config.TrainingBetas : config.FastBetas);
        var steps = SamplerStep.Chain(schedule, new NoiseSchedule(config.TrainingBetas));
        double flops = (double)OpCost.Evaluation(config, batch * samples).Flops * steps.Count;

        using var on = BenchDevice.Open(device, threads, level, precision);
        using var peer = torch is null ? null : new TorchPeer(torch, on.IsCpu,
            $"--channels {config.Channels} --layers {config.Layers} --cycle {config.DilationCycle} --frames {frames} --batch {batch} --steps {steps.Count}{(torch.Cached ? " --cache-conditioner" : "")}", threads);
        IOps ops = on.Ops;
        ops.Load(config, Initializer.Create(config, seed: 1));
        var values = new float[config.Bands * frames];
        PhiloxNoise.Fill(2, 0, 0, 0, values);
        var mel = new MemoryMel(values, config.Bands, frames);
        var output = new float[batch * samples];
        var request = new SamplerRequest { Steps = steps, Noise = new SeededNoise(3), Lengths = [.. Enumerable.Repeat<long>(samples, batch)], Mels = [.. Enumerable.Repeat(mel, batch)] };
        using var sampler = new Sampler(config, ops);
        double Once()
        {
            long start = Stopwatch.GetTimestamp();
            sampler.Run(request, (item, first, chunk) => chunk.CopyTo(output.AsSpan((int)(item * samples + first))));
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Console.WriteLine($"synthesis: {preset} (C={config.Channels}, {config.Layers} layers), {(batch > 1 ? $"{batch} x " : "")}{audio / batch:f2} s of audio, {steps.Count} steps, {ops.Device}, {rounds} rounds");
        if (peer is not null) Console.WriteLine($"peer: PyTorch {peer.Version}, {torch!.Describe(on.IsCpu, threads)}, conditioner {(torch.Cached ? "computed once" : "computed each step")}");
        double first = Once(); // compiles and allocates
        Once();                // a GPU records the chain
        var measured = new Alternation(rounds, on, flops, Once, peer is null ? null : () => peer.Timed("run"));
        measured.Print(median => $"{audio / median,6:f2} x real time");

        var result = new Dictionary<string, object>
        {
            ["preset"] = preset, ["batch"] = batch, ["audio_seconds"] = audio, ["first_run_seconds"] = first, ["steps"] = steps.Count, ["precision"] = precision.ToString().ToLowerInvariant(), ["device"] = ops.Device, ["times_real_time"] = audio / measured.Seconds,
        };
        measured.AddTo(result, peer is null ? null : new() { ["torch"] = peer.Version, ["mode"] = torch!.Mode, ["cached_conditioner"] = torch.Cached });
        return result;
    }
}
