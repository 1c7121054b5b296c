using System.Globalization;
using System.Runtime.InteropServices;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>The check that ours and a peer do the same work, and the protocol with the peer; PyTorch itself is not needed.</summary>
public sealed class PeersTests : IDisposable
{
    private static readonly ModelConfig Base = ModelConfig.Preset("base");

    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-peers-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // What torch_diffwave.py counted in PyTorch 1.13's calls: 173 frames by 6 steps, and two crops of 62 frames.
    [Fact]
    public void TheBaseModelsWorkIsWhatPyTorchWasSeenToCall()
    {
        Assert.Equal(688_237_430_784, SameWork.SynthesisFlops(Base, 1, 173 * 256, 6, cached: false));
        Assert.Equal(246_655_426_560, SameWork.TrainingFlops(Base, 2, 62 * 256));
    }

    // Each weight of a filter is applied at every output, of a transposed one at every input, of a matrix for every item.
    [Theory]
    [InlineData(8, 5, 12, 1, 3)]
    [InlineData(24, 3, 7, 4, 2)]
    public void WorkIsWhatTheShapesOfTheWeightsSay(int channels, int layers, int bands, int batch, int frames)
    {
        ModelConfig config = Base with { Channels = channels, Layers = layers, DilationCycle = 2, Mel = Base.Mel! with { Bands = bands }, UpsampleFactors = [8, 32] };
        long samples = frames * config.Hop;
        long Of(ParameterInfo weight, int items) => 2 * weight.Count * weight.Name switch
        {
            var name when name.StartsWith("diffusion_embedding", StringComparison.Ordinal) || name.Contains("diffusion_projection", StringComparison.Ordinal) => items,
            var name when name.Contains("upsampler.conv1", StringComparison.Ordinal) => (long)batch * bands * frames,
            var name when name.Contains("upsampler.conv2", StringComparison.Ordinal) => (long)batch * bands * frames * 8,
            _ => batch * samples,
        };
        ParameterInfo[] weights = [.. new Parameters(config).Infos.Where(info => info.Name.EndsWith(".weight", StringComparison.Ordinal))];
        bool OfMel(ParameterInfo weight) => weight.Name.Contains("upsampler", StringComparison.Ordinal) || weight.Name.Contains("conditioner", StringComparison.Ordinal);
        Assert.Equal(6 * weights.Sum(weight => Of(weight, 1)), SameWork.SynthesisFlops(config, batch, samples, 6, cached: false));
        Assert.Equal(weights.Sum(weight => (OfMel(weight) ? 1 : 6) * Of(weight, 1)), SameWork.SynthesisFlops(config, batch, samples, 6, cached: true));
        bool FromInputs(ParameterInfo weight) => weight.Name is "input_projection.weight" or "spectrogram_upsampler.conv1.weight" or "diffusion_embedding.projection1.weight";
        Assert.Equal(weights.Sum(weight => (FromInputs(weight) ? 2 : 3) * Of(weight, batch)), SameWork.TrainingFlops(config, batch, samples));
    }

    [Fact]
    public void AFlopTooManyIsAnotherWork()
    {
        SameWork.RequireFlops(1_000_000, 1_000_000);
        Assert.Contains("1000001 FLOP", Assert.Throws<OtherWorkException>(() => SameWork.RequireFlops(1_000_001, 1_000_000)).Message);
    }

    // Peers that are our own engine with another network of the same cost, or without the mel's part.
    [Fact]
    public void AnotherNetworkMakesOtherAudio()
    {
        ModelConfig config = ModelConfig.Preset("tiny") with { Channels = 8, Layers = 4, DilationCycle = 4 };
        Parameters weights = PeersBench.Predicting(config, 3);
        float[] expected = Make(config, weights);
        (double largest, double decibels) = SameWork.RequireAudio(expected, Make(config, weights, threads: 2, SimdLevel.Portable), isExact: true);
        Assert.InRange(largest, 0, SameWork.AudioTolerance);
        Assert.True(decibels > 100);
        Refused(Make(config with { DilationCycle = 2 }, weights));
        var deaf = new Parameters(config);
        weights.Arena.CopyTo(deaf.Arena.AsSpan());
        for (int layer = 0; layer < config.Layers; layer++) deaf[$"residual_layers.{layer}.conditioner_projection.weight"].Clear();
        Refused(Make(config, deaf));
        Refused(Make(config with { ClampSamples = false }, weights));

        void Refused(float[] audio)
        {
            foreach (bool isExact in (bool[])[true, false]) Assert.Contains("not the same work", Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(expected, audio, isExact)).Message);
        }
    }

    private static float[] Make(ModelConfig config, Parameters weights, int threads = 1, SimdLevel level = SimdLevel.Auto)
    {
        using IOps cpu = CpuDevice.Create(threads, level);
        using var synthesis = new TimedSynthesis(cpu, config, 0.05, 1, full: false, 5, weights);
        synthesis.Once();
        return synthesis.Audio.ToArray();
    }

    [Fact]
    public void AudioIsComparedSampleBySampleInFloat32AndByItsPowerInLess()
    {
        float[] ours = new float[10_000], off = new float[10_000];
        PhiloxNoise.Fill(1, 0, 0, 0, ours);
        Array.Copy(ours, off, ours.Length);
        off[7] += 3e-4f; // 110 dB
        Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(ours, off, isExact: true));
        Assert.Equal(3e-4, SameWork.RequireAudio(ours, off, isExact: false).Largest, 1e-6);
        float[] Noisy(float decibels) => [.. ours.Select((value, i) => value * (1 + (i % 2 * 2 - 1) * MathF.Pow(10, -decibels / 20)))];
        Assert.Equal(101, SameWork.RequireAudio(ours, Noisy(101), isExact: true).Decibels, 0.1);
        Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(ours, Noisy(99), isExact: true));
        Assert.Equal(40, SameWork.RequireAudio(ours, Noisy(40), isExact: false).Decibels, 0.01);
        Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(ours, Noisy(29), isExact: false));
        off[7] = float.NaN;
        foreach (bool isExact in (bool[])[true, false]) Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(ours, off, isExact));
        Assert.Contains("9999 samples", Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(ours, ours.AsSpan(1), isExact: true)).Message);
        Assert.Contains("silent", Assert.Throws<OtherWorkException>(() => SameWork.RequireAudio(new float[5], new float[5], isExact: true)).Message);
    }

    [Theory]
    [InlineData(1.0000099, 1.000099, true, true)]
    [InlineData(1.0000101, 1, true, false)]
    [InlineData(1, 1.000101, true, false)]
    [InlineData(1.0019, 1.019, false, true)]
    [InlineData(1.0021, 1, false, false)]
    [InlineData(double.NaN, 1, false, false)]
    public void AStepIsTheSameWithinItsBounds(double loss, double norm, bool isExact, bool isSame)
    {
        Exception? refused = Record.Exception(() => SameWork.RequireStep((0.5 * loss, 9 * norm), (0.5, 9), isExact));
        Assert.Equal(isSame, refused is not OtherWorkException);
    }

    // The noise in the file is that which ours draws: from it the chain gives the same bits.
    [Fact]
    public void ThePeerGetsOurMelAndNoise()
    {
        ModelConfig config = ModelConfig.Preset("tiny") with { Channels = 8, Layers = 2 };
        Parameters weights = PeersBench.Predicting(config, 2);
        using IOps cpu = CpuDevice.Create(1);
        using var synthesis = new TimedSynthesis(cpu, config, 0.02, 2, full: false, 9, weights);
        synthesis.Once();
        using var files = PeerFiles.Of(synthesis, weights);
        using var inputs = SafetensorsFile.Open(files.Inputs);
        using var model = SafetensorsFile.Open(files.Weights);
        Assert.Equal(weights["skip_projection.weight"].ToArray(), model.ReadFloats("skip_projection.weight"));
        int length = synthesis.Frames * config.Hop;
        float[] mels = inputs.ReadFloats("in.spectrogram"), again = new float[2 * length];
        Assert.Equal([2L, config.Bands, synthesis.Frames], inputs.Entries.Single(entry => entry.Name == "in.spectrogram").Shape);
        using var sampler = new Sampler(config, cpu);
        sampler.Run(new SamplerRequest
        {
            Steps = synthesis.Steps, Noise = new RecordedNoise(inputs.ReadFloats("noise_init"), inputs.ReadFloats("noise"), synthesis.Steps.Count, length), Lengths = [length, length],
            Mels = [.. Enumerable.Range(0, 2).Select(item => new MemoryMel(mels[(item * mels.Length / 2)..((item + 1) * mels.Length / 2)], config.Bands, synthesis.Frames))],
        }, (item, first, samples) => samples.CopyTo(again.AsSpan(item * length + (int)first)));
        Assert.Equal(synthesis.Audio.ToArray(), again);
    }

    private sealed class RecordedNoise(float[] initial, float[] added, int steps, int length) : INoise
    {
        public void Fill(int index, int item, long first, Span<float> normals) =>
            (index == steps ? initial.AsSpan(item * length) : added.AsSpan((index * initial.Length) + item * length)).Slice((int)first, normals.Length).CopyTo(normals);
    }

    // A shell in place of Python: the protocol, then a whole case with a peer that makes our audio, and one that makes silence.
    [Fact]
    public void ACaseIsMeasuredOnlyBesideAPeerThatDoesTheSame()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no /bin/sh");
        var one = new PeerCase(IsTraining: false, 1, 0.02, "fp32", Preset: "tiny");
        var config = ModelConfig.Preset("tiny");
        Parameters weights = PeersBench.Predicting(config, 1);
        using (IOps cpu = CpuDevice.Create(1))
        using (var synthesis = new TimedSynthesis(cpu, config, one.Length, 1, full: false, 1, weights))
        {
            synthesis.Once();
            File.WriteAllBytes(Path.Combine(_folder, "audio"), MemoryMarshal.AsBytes(synthesis.Audio).ToArray());
            File.WriteAllBytes(Path.Combine(_folder, "silence"), new byte[4 * synthesis.Audio.Length]);
        }
        long flops = SameWork.SynthesisFlops(config, 1, 512, 7, cached: false);
        List<string> notes = [], checks = [];
        Row Run(string audio, long counted)
        {
            string script = Path.Combine(_folder, "peer.sh"), answer = string.Create(CultureInfo.InvariantCulture, $"{{\"flops\": {counted}}}");
            File.WriteAllText(script, $$"""
                echo '{"torch": "9.9"}'
                while read -r command path; do
                    case $command in
                        check) cp '{{_folder}}/{{audio}}' "$path"; echo '{{answer}}' ;;
                        run) echo '{"seconds": 100.0, "peak_bytes": 1048576}' ;;
                        quit) exit ;;
                    esac
                done
                """);
            var settings = new BenchSettings("cpu", 1, SimdLevel.Auto, 1, new Repeat(Least: 3, Most: 3));
            try { return PeersBench.Cases(settings, new TorchSetting("/bin/sh", script), [one], notes).Single().Run(settings.Repeat); }
            finally { checks = [.. notes.Where(note => note.Contains("same work", StringComparison.Ordinal))]; }
        }
        Row row = Run("audio", flops);
        Assert.Equal("peers/synthesis/tiny/fast/1x0.02s", row.Case);
        Assert.Equal((3, 100.0, "9.9", 1048576L), (row.Seconds!.Count, (double)row.Value("peer_seconds")!, (string)row.Value("torch")!, (long)row.Value("peer_memory_bytes")!));
        Assert.Equal(100 / row.Seconds.Median, (double)row.Value("ratio_median")!, 1e-6 * 100 / row.Seconds.Median);
        Assert.Equal(100 / row.Seconds.High, (double)row.Value("ratio_low")!, 1e-6 * 100 / row.Seconds.High);
        Assert.Equal(0.0, row.Value("audio_error"));
        Assert.Single(checks);
        Assert.Contains("audio differs", Assert.Throws<OtherWorkException>(() => Run("silence", flops)).Message);
        Assert.Contains("FLOP", Assert.Throws<OtherWorkException>(() => Run("audio", flops / 2)).Message);
        Assert.Single(checks);
    }

    [Fact]
    public void APeerThatCannotBeAskedHasItsReason()
    {
        Assert.Contains("--peer-script", Assert.Throws<PeerException>(() => new TorchPeer(new TorchSetting("/bin/sh", Path.Combine(_folder, "none.py")), true, "fp32", 1)).Message);
        string script = Path.Combine(_folder, "peer.sh");
        File.WriteAllText(script, "echo '{\"torch\": \"9.9\"}'\nread -r command\necho '{\"error\": \"unknown\"}'\n");
        Assert.Contains("--peer /nowhere/python3", Assert.Throws<PeerException>(() => new TorchPeer(new TorchSetting("/nowhere/python3", script), true, "fp32", 1)).Message);
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no /bin/sh");
        using var peer = new TorchPeer(new TorchSetting("/bin/sh", script), true, "fp32", 1);
        Assert.Equal("9.9", peer.Version);
        Assert.Contains("unknown", Assert.Throws<PeerException>(() => peer.Send("sing")).Message);
        Assert.Contains("ended", Assert.Throws<PeerException>(() => peer.Timed("run")).Message);
    }

    [Fact]
    public void WhatOtherProgramsTookIsAllLessOurs()
    {
        string[] stat = ["cpu  10 20 30 400 50 6 7 8 9 9", "cpu0 5 10 15 200 25 3 3 4 9 9", "cpu1 5 10 15 200 25 3 4 4 0 0", "intr 1 2", "ctxt 5"];
        Assert.Equal(0.81, ProcessorUse.Busy(stat, 2)!.Value, 1e-12);
        Assert.Null(ProcessorUse.Busy(stat, 64)); // a host's, of which we may use a part
        Assert.Equal(1.5, new ProcessorUse(100, 50, 20).OthersUntil(new ProcessorUse(110, 70, 25)), 1e-12);
        Assert.Equal(0, new ProcessorUse(100, 50, 20).OthersUntil(new ProcessorUse(110, 70, 41))); // rounded to ticks
    }

    [Fact]
    public void EveryModeOfAGpuMeetsAsManyBits()
    {
        var gpu = new BenchSettings("cuda", 1, SimdLevel.Auto, 1, new Repeat());
        PeerCase[] cases = [.. PeersBench.Usual(gpu, PeersBench.Modes)];
        Assert.Equal(cases.Length, cases.Select(one => one.Name).Distinct().Count());
        Assert.Equal([Precision.Fp32, Precision.Tf32, Precision.Fp16, Precision.Fp16], PeersBench.Modes.Select(mode => cases.First(one => one.Mode == mode).Precision));
        Assert.All(PeersBench.Usual(gpu with { Device = "cpu" }, PeersBench.Modes), one => Assert.Equal(Precision.Fp32, one.Precision));
        Assert.Contains("peers/synthesis/base/fast/1x10s/cached/tf32", cases.Select(one => one.Name));
    }
}
