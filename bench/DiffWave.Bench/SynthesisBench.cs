using System.Diagnostics;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>Whole syntheses from a mel in memory to audio in memory, alternating with the PyTorch peer when one is given.</summary>
internal static class SynthesisBench
{
    public static Dictionary<string, object> Run(string preset, double seconds, bool full, int threads, SimdLevel level, int rounds, string? python, string script, bool cachedPeer)
    {
        var config = ModelConfig.Preset(preset);
        if (!config.HasMel) throw new ArgumentException($"preset {preset} has no mel; choose base, large, small or tiny");
        int frames = (int)Math.Ceiling(seconds * config.SampleRate / config.Hop);
        long samples = (long)frames * config.Hop;
        double audio = samples / (double)config.SampleRate;
        var schedule = new NoiseSchedule(full ? config.TrainingBetas : config.FastBetas);
        var steps = SamplerStep.Chain(schedule, new NoiseSchedule(config.TrainingBetas));
        double flops = (double)OpCost.Evaluation(config, samples).Flops * steps.Count;

        using var peer = python is null ? null : new TorchPeer(python, script,
            $"--channels {config.Channels} --layers {config.Layers} --cycle {config.DilationCycle} --frames {frames} --steps {steps.Count}{(cachedPeer ? " --cache-conditioner" : "")}", threads);
        using var ops = CpuDevice.Create(threads, level);
        ops.Load(config, Initializer.Create(config, seed: 1));
        var values = new float[config.Bands * frames];
        PhiloxNoise.Fill(2, 0, 0, 0, values);
        var mel = new MemoryMel(values, config.Bands, frames);
        var output = new float[samples];
        var request = new SamplerRequest { Steps = steps, Noise = new SeededNoise(3), Length = samples, Mels = [mel] };
        double Once()
        {
            long start = Stopwatch.GetTimestamp();
            new Sampler(config, ops).Run(request, (_, first, chunk) => chunk.CopyTo(output.AsSpan((int)first)));
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Console.WriteLine($"synthesis, {preset} (C={config.Channels}, {config.Layers} layers), {audio:f2} s of audio, {steps.Count} steps, {ops.Device}, {rounds} rounds");
        if (peer is not null) Console.WriteLine($"peer: PyTorch {peer.Ready.GetProperty("torch").GetString()}, {threads} threads, conditioner {(cachedPeer ? "computed once" : "computed each step")}");
        Once();
        Sample ours = new(), theirs = new(), ratio = new(), peak = new();
        long peerMemory = 0;
        for (int round = 0; round < rounds; round++)
        {
            peak.Add(FmaPeak.Measure(threads));
            double own = Once();
            ours.Add(own);
            if (peer is null) continue;
            var (other, memory) = peer.Synthesize();
            theirs.Add(other);
            ratio.Add(other / own);
            peerMemory = Math.Max(peerMemory, memory);
        }

        void Line(string name, Sample time, long memory) => Console.WriteLine(
            $"{name,-10} median {time.Median,7:f3} s  [{time.Low:f3} .. {time.High:f3}]  {audio / time.Median,6:f2} x real time  {flops / time.Median / 1e9,6:f0} GFLOP/s  peak memory {memory / 1048576.0,6:f0} MiB");
        Line("diffwave", ours, Machine.PeakMemory());
        if (peer is not null)
        {
            Line("pytorch", theirs, peerMemory);
            Console.WriteLine($"pytorch / diffwave, round by round: median {ratio.Median:f2}  [{ratio.Low:f2} .. {ratio.High:f2}]");
        }
        Console.WriteLine($"GFLOP/s count {flops / 1e9:f0} GFLOP by definition (every step computing everything); FMA peak {peak.Median / 1e9:f0} GFLOP/s");

        var result = new Dictionary<string, object>
        {
            ["preset"] = preset, ["audio_seconds"] = audio, ["steps"] = steps.Count, ["device"] = ops.Device, ["rounds"] = rounds, ["flops"] = flops, ["fma_peak_gflops"] = peak.Median / 1e9,
            ["median_seconds"] = ours.Median, ["low_seconds"] = ours.Low, ["high_seconds"] = ours.High, ["times_real_time"] = audio / ours.Median, ["peak_memory_bytes"] = Machine.PeakMemory(),
        };
        if (peer is not null)
            result["peer"] = new Dictionary<string, object>
            {
                ["torch"] = peer.Ready.GetProperty("torch").GetString()!, ["cached_conditioner"] = cachedPeer, ["median_seconds"] = theirs.Median, ["low_seconds"] = theirs.Low,
                ["high_seconds"] = theirs.High, ["peak_memory_bytes"] = peerMemory, ["ratio_median"] = ratio.Median, ["ratio_low"] = ratio.Low, ["ratio_high"] = ratio.High,
            };
        return result;
    }
}
