using System.Globalization;
using System.Text.Json;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>Something that ours and PyTorch do in alternation.</summary>
/// <param name="IsTraining">An optimiser step; else a synthesis by the fast schedule.</param>
/// <param name="Batch">Crops or clips.</param>
/// <param name="Length">Seconds of a clip, mel frames of a crop.</param>
/// <param name="Mode">How PyTorch computes: fp32, or on a GPU also tf32, amp, compile.</param>
/// <param name="Cached">Whether PyTorch computes the conditioner once a synthesis, as ours does, instead of at each step, as the reference implementation does.</param>
/// <param name="Preset">The model. The peer program knows the schedules of the paper's base model only.</param>
internal sealed record PeerCase(bool IsTraining, int Batch, double Length, string Mode, bool Cached = false, string Preset = "base")
{
    public string Name => string.Create(CultureInfo.InvariantCulture,
        $"peers/{(IsTraining ? $"training/{Preset}/{Batch}x{Length:0}" : $"synthesis/{Preset}/fast/{Batch}x{Length:0.###}s")}{(Cached ? "/cached" : "")}{(Mode == "fp32" ? "" : "/" + Mode)}");

    /// <summary>What ours computes with: as many bits as the peer.</summary>
    public Precision Precision => Mode switch { "fp32" => Precision.Fp32, "tf32" => Precision.Tf32, _ => Precision.Fp16 };
}

/// <summary>Ours and PyTorch in turn, round by round, so that both see the same machine; which of them begins changes every round. Nothing is timed before <see cref="SameWork"/> has found both to do the same.</summary>
internal static class PeersBench
{
    private const double BusyProcessors = 0.1; // of other programs, from which on a note says so

    public static readonly string[] Modes = ["fp32", "tf32", "amp", "compile"];

    /// <summary>What is measured: on a CPU what ends within minutes, on a GPU what fills it, in each of its modes.</summary>
    public static IEnumerable<PeerCase> Usual(BenchSettings settings, IReadOnlyList<string> modes) => settings.IsCpu
        ? [new(false, 1, 2, "fp32"), new(false, 1, 2, "fp32", Cached: true), new(true, 2, 62, "fp32")]
        : [.. from mode in modes from one in new PeerCase[] { new(false, 1, 10, mode), new(false, 1, 10, mode, Cached: true), new(false, 16, 10, mode), new(true, 16, 62, mode) } select one];

    /// <summary>The cases, ready to be run.</summary>
    /// <param name="settings">How often, and where.</param>
    /// <param name="torch">Which PyTorch.</param>
    /// <param name="cases">What to measure.</param>
    /// <param name="notes">Receives what each case was checked for.</param>
    public static IEnumerable<BenchCase> Cases(BenchSettings settings, TorchSetting torch, IEnumerable<PeerCase> cases, ICollection<string> notes) =>
        cases.Select(one => new BenchCase(one.Name, () => one.IsTraining ? Training(settings, torch, one, notes) : Synthesis(settings, torch, one, notes)));

    private static Row Synthesis(BenchSettings settings, TorchSetting torch, PeerCase one, ICollection<string> notes)
    {
        var config = ModelConfig.Preset(one.Preset);
        Parameters weights = Predicting(config, settings.Seed);
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var synthesis = new TimedSynthesis(on.Ops, config, one.Length, one.Batch, full: false, settings.Seed, weights);
        using var files = PeerFiles.Of(synthesis, weights);
        synthesis.Once(); // compiles and allocates
        synthesis.Once(); // a GPU records the chain
        using var peer = new TorchPeer(torch, on.IsCpu, one.Mode, settings.Threads,
            ["--weights", files.Weights, "--cycle", $"{config.DilationCycle}", "--clips", files.Inputs, "--steps", $"{synthesis.Steps.Count}", .. one.Cached ? ["--cache-conditioner"] : Array.Empty<string>()]);
        long flops = SameWork.SynthesisFlops(config, one.Batch, synthesis.Samples / one.Batch, synthesis.Steps.Count, one.Cached), counted = peer.Send($"check {files.Audio}").GetProperty("flops").GetInt64();
        SameWork.RequireFlops(counted, flops);
        (double largest, double decibels) = SameWork.RequireAudio(synthesis.Audio, files.ReadAudio(), one.Mode == "fp32");
        notes.Add(Invariant($"{one.Name}: same work: {counted / 1e9:f1} GFLOP in the peer's calls, as by definition; audio from the same noise at most {largest:0.0e-0} apart ({decibels:f0} dB)"));

        return Alternate(settings, on, one, peer, notes, synthesis.Once, "run", counted, new()
        {
            ["batch"] = one.Batch, ["clip_seconds"] = synthesis.AudioSeconds / one.Batch, ["steps"] = synthesis.Steps.Count, ["cached_conditioner"] = one.Cached, ["flops"] = synthesis.Flops, ["audio_error"] = largest, ["audio_snr_db"] = double.IsFinite(decibels) ? decibels : null,
        }, (ours, theirs) => new() { ["times_real_time"] = synthesis.AudioSeconds / ours, ["peer_times_real_time"] = synthesis.AudioSeconds / theirs });
    }

    private static Row Training(BenchSettings settings, TorchSetting torch, PeerCase one, ICollection<string> notes)
    {
        var config = ModelConfig.Preset(one.Preset);
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var training = new TimedTraining(on, config, one.Batch, (int)one.Length, recompute: false, settings.Seed);
        using var files = PeerFiles.Of(training);
        using var peer = new TorchPeer(torch, on.IsCpu, one.Mode, settings.Threads, "--weights", files.Weights, "--cycle", $"{config.DilationCycle}", "--train", files.Inputs);
        JsonElement answer = peer.Send("check");
        (_, double loss, double norm) = training.Step();
        long flops = SameWork.TrainingFlops(config, one.Batch, training.Length), counted = answer.GetProperty("flops").GetInt64();
        SameWork.RequireFlops(counted, flops);
        (double lossError, double normError) = SameWork.RequireStep((loss, norm), (answer.GetProperty("loss").GetDouble(), answer.GetProperty("grad_norm").GetDouble()), one.Mode == "fp32");
        notes.Add(Invariant($"{one.Name}: same work: {counted / 1e9:f1} GFLOP in the peer's calls, as by definition; loss {loss:g6} and gradient norm {norm:g6} of the first step differ by {lossError:0.0e-0} and {normError:0.0e-0}"));
        for (int warm = 0; warm < (on.IsCpu ? 1 : 3); warm++) // a GPU records our step; PyTorch's libraries try their algorithms, torch.compile compiles and records
        {
            training.Step();
            peer.Send("step");
        }

        return Alternate(settings, on, one, peer, notes, () => training.Step().Seconds, "step", counted, new()
        {
            ["batch"] = one.Batch, ["crop_samples"] = training.Length, ["flops"] = training.Flops, ["loss_error"] = lossError, ["gradient_norm_error"] = normError,
        }, (ours, theirs) => new() { ["samples_per_second"] = training.Samples / ours, ["peer_samples_per_second"] = training.Samples / theirs });
    }

    private static Row Alternate(
        BenchSettings settings, BenchDevice on, PeerCase one, TorchPeer peer, ICollection<string> notes, Func<double> ours, string command, long peerFlops, Dictionary<string, object?> work, Func<double, double, Dictionary<string, object?>> speeds)
    {
        Sample theirs = new(), ratio = new();
        long peerMemory = 0;
        void Peer()
        {
            (double seconds, long memory) = peer.Timed(command);
            theirs.Add(seconds);
            peerMemory = Math.Max(peerMemory, memory);
        }
        ProcessorUse? before = ProcessorUse.Now(peer.ProcessorSeconds);
        Row row = Suite.Measure(one.Name, settings.Repeat, on, () =>
        {
            bool peerFirst = theirs.Count % 2 == 1;
            if (peerFirst) Peer();
            double own = ours();
            if (!peerFirst) Peer();
            ratio.Add(theirs.Values[^1] / own);
            return own;
        });
        Sample seconds = row.Seconds!;
        double? others = before?.OthersUntil(ProcessorUse.Now(peer.ProcessorSeconds)!.Value);
        if (others > BusyProcessors)
            notes.Add(Invariant($"{one.Name}: NOT QUIET: other programs kept {others:f1} of {Environment.ProcessorCount} processors busy meanwhile, and PyTorch loses more by that than ours: repeat it on a quiet machine"));
        var figures = new Dictionary<string, object?>
        {
            ["preset"] = one.Preset, ["mode"] = one.Mode, ["precision"] = one.Precision.ToString().ToLowerInvariant(), ["device"] = on.Ops.Device, ["torch"] = peer.Version,
            ["ours_seconds"] = seconds.Median, ["peer_seconds"] = theirs.Median, ["peer_low_seconds"] = theirs.Low, ["peer_high_seconds"] = theirs.High,
            ["ratio_median"] = ratio.Median, ["ratio_low"] = ratio.Low, ["ratio_high"] = ratio.High, ["ours_memory_bytes"] = on.PeakDeviceMemory ?? Machine.PeakMemory(), ["peer_memory_bytes"] = peerMemory, ["peer_flops"] = peerFlops, ["other_processors"] = others,
        };
        foreach ((string name, object? value) in work.Concat(speeds(seconds.Median, theirs.Median))) figures.Add(name, value);
        return row with { Figures = figures };
    }

    /// <summary>Random weights whose prediction has about the power of noise, as a trained network's has. The initializer's own predict nothing, and audio would be the same whatever the network.</summary>
    /// <param name="config">The model, of any conditioner.</param>
    /// <param name="seed">Of the weights.</param>
    public static Parameters Predicting(ModelConfig config, ulong seed)
    {
        Parameters weights = Initializer.Create(config, seed);
        PhiloxNoise.Fill(seed, 1000, 0, 0, weights["output_projection.weight"]);
        int frames = Math.Max(1, 2048 / config.Hop), samples = frames * config.Hop;
        float[] audio = new float[samples], mel = new float[frames * config.Bands];
        PhiloxNoise.Fill(seed, 2, 0, 0, audio);
        PhiloxNoise.Fill(seed, 1, 0, 0, mel);
        using IOps cpu = Cpu.CpuDevice.Create(1);
        cpu.Load(config, weights);
        float[] predicted = Network.Evaluate(cpu, config, [audio], [config.TrainingBetas.Count / 2f], config.HasMel ? [new Audio.MemoryMel(mel, config.Bands, frames)] : null, [])[0];
        float scale = (float)Math.Sqrt(samples / predicted.Sum(value => (double)value * value));
        foreach (ref float weight in weights["output_projection.weight"]) weight *= scale;
        return weights;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
