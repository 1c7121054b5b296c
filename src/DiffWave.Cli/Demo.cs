using System.Diagnostics;
using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What <c>diffwave demo</c> was asked for.</summary>
/// <param name="Voice">Folder of the model and its clip.</param>
/// <param name="Output">Folder to write.</param>
/// <param name="Device">Where to compute.</param>
/// <param name="Precision">What to compute with; null: what suits the device and the voice.</param>
/// <param name="Threads">CPU threads, 0 for all.</param>
/// <param name="Seed">Of the noise, and of Griffin-Lim's first phases.</param>
internal sealed record DemoRequest(string Voice, string Output, DeviceName Device, Precision? Precision, int Threads, ulong Seed);

/// <summary>One way from the clip's mel back to sound.</summary>
/// <param name="Name">What tables call it.</param>
/// <param name="Samples">The sound as its file holds it, perhaps some samples longer than the clip.</param>
/// <param name="WallSeconds">Time the making took.</param>
/// <param name="Distance">From the clip.</param>
internal sealed record DemoResult(string Name, float[] Samples, double WallSeconds, AudioDistance Distance)
{
    public string FileName => $"{Name}.wav";
}

/// <summary>All the demo found out.</summary>
/// <param name="Model">The voice.</param>
/// <param name="Device">Where it ran.</param>
/// <param name="Precision">What it computed with.</param>
/// <param name="ClipSamples">Length of the clip.</param>
/// <param name="Trained">The voice's copy.</param>
/// <param name="Untrained">That of the same network before training.</param>
/// <param name="GriffinLim">That of the method without a network.</param>
internal sealed record DemoOutcome(Model Model, string Device, Precision Precision, int ClipSamples, DemoResult Trained, DemoResult Untrained, DemoResult GriffinLim)
{
    public double ClipSeconds => (double)ClipSamples / Model.Config.SampleRate;

    public IReadOnlyList<DemoResult> Results => [Trained, Untrained, GriffinLim];
}

/// <summary>Sends a clip through its mel and back: by a voice, by the same network without training, and by Griffin-Lim. Then compares what comes out.</summary>
internal sealed class Demo(Session session, DemoRequest request)
{
    public const string ModelFile = "voice.safetensors", ClipFile = "clip.wav", PictureFile = "spectrograms.png";

    private const string Trained = "diffwave", Untrained = "untrained", GriffinLimName = "griffin-lim";

    /// <summary>Every file the demo writes.</summary>
    public static IReadOnlyList<string> FileNames { get; } = [ClipFile, $"{Trained}.wav", $"{Untrained}.wav", $"{GriffinLimName}.wav", PictureFile];

    /// <summary>The voice that comes with the program.</summary>
    public static string BundledVoice => Path.Combine(AppContext.BaseDirectory, "voice");

    private string ModelPath => Path.Combine(request.Voice, ModelFile);

    private string ClipPath => Path.Combine(request.Voice, ClipFile);

    /// <exception cref="IOException">The output folder holds other files, or cannot be written.</exception>
    /// <exception cref="ModelFormatException">The voice is incomplete, damaged or no vocoder.</exception>
    /// <exception cref="InputFileException">The clip cannot be read.</exception>
    public DemoOutcome Run()
    {
        RequireFreeFolder();
        foreach (string path in (string[])[ModelPath, ClipPath])
            if (!File.Exists(path)) throw new ModelFormatException(path, $"no such file: a voice is a folder with {ModelFile} and {ClipFile}; name another one with --voice");
        Model model = TorchImport.Import(ModelPath, new TorchImportOptions());
        ModelConfig config = model.Config;
        if (config.Conditioner != Conditioner.Mel)
            throw new ModelFormatException(ModelPath, $"its conditioner is {ConfigText.Conditioning(config)}, expected a mel alone: the demo needs a vocoder");
        float[] clip = AsHeard(AudioInput.Read(session, ClipPath, config.SampleRate, "voice", ChannelMix.Average), ClipPath, config.SampleRate);
        float[] mel = new MelSpectrogram(config.Mel!).Compute(clip, out int frames);
        using DeviceChoice device = DeviceChoice.OpenFor(config, session, request.Device, request.Threads, request.Precision);
        session.Log($"device: {device.Text}");

        (DemoResult trained, DemoResult untrained) = device.Run(ops => (Voice(ops, Trained, model.Parameters), Voice(ops, Untrained, Initializer.Create(config, seed: 0))));
        DemoResult griffinLim = Measure(GriffinLimName, () => GriffinLim.FromMel(mel, config.Mel!, clip.Length, seed: request.Seed));
        session.Cancel.ThrowIfCancellationRequested();
        var outcome = new DemoOutcome(model, device.Text, device.Precision, clip.Length, trained, untrained, griffinLim);
        Write(clip, outcome);
        return outcome;

        DemoResult Voice(IOps ops, string name, Parameters parameters)
        {
            ops.Load(config, parameters); // not part of the time, as in synthesize
            return Measure(name, () => Speak(ops, config, new MemoryMel(mel, config.Bands, frames), name));
        }

        DemoResult Measure(string name, Func<float[]> make)
        {
            var clock = Stopwatch.StartNew();
            float[] made = make();
            double seconds = clock.Elapsed.TotalSeconds;
            float[] heard = AsHeard(made, ModelPath, config.SampleRate);
            return new DemoResult(name, heard, seconds, AudioDistance.Between(clip, heard.AsSpan(0, clip.Length), config.SampleRate));
        }
    }

    // What synthesize does by default: the fast schedule, ddpm.
    private float[] Speak(IOps ops, ModelConfig config, MemoryMel mel, string name)
    {
        var audio = new float[checked(mel.Frames * config.Hop)];
        using var progress = new ProgressReport(session, name);
        using var sampler = new Sampler(config, ops);
        sampler.Run(new SamplerRequest
        {
            Steps = SamplerStep.Chain(new NoiseSchedule(config.FastBetas), new NoiseSchedule(config.TrainingBetas)),
            Noise = new SeededNoise(request.Seed),
            Lengths = [audio.Length],
            Mels = [mel],
        }, (_, first, samples) => samples.CopyTo(audio.AsSpan((int)first)), progress, session.Cancel);
        return audio;
    }

    // The samples a 16-bit file gives back, so that diffwave evaluate finds the same figures in the files.
    private static float[] AsHeard(float[] samples, string source, int sampleRate)
    {
        using var file = new MemoryStream();
        using var writer = new WavWriter(file, sampleRate, WavFormat.Pcm16, samples.Length);
        try { writer.Write(samples); }
        catch (NonFiniteSampleException e) { throw new NotFiniteException($"{source}: stopped: {e.Message}; the model's weights overflow"); }
        writer.Complete();
        file.Position = 0;
        return WavFile.Read(file, source).Samples;
    }

    private void RequireFreeFolder()
    {
        if (request.Output.Length == 0) throw new UsageException("the output has an empty name");
        if (File.Exists(request.Output)) throw new IOException($"{request.Output}: is a file, expected a folder to write the demo to");
        if (!Directory.Exists(request.Output)) return;
        string? other = OutputPath.Writing(request.Output, () =>
            Directory.EnumerateFileSystemEntries(request.Output).Select(Path.GetFileName).FirstOrDefault(name => !FileNames.Contains(name)));
        if (other is not null) throw new IOException($"{request.Output}: holds {other}, which is not of the demo; nothing is overwritten there: choose another folder with -o");
    }

    private void Write(float[] clip, DemoOutcome outcome)
    {
        OutputPath.Writing(request.Output, () => Directory.CreateDirectory(request.Output));
        string[] paths = [.. FileNames.Select(name => Path.Combine(request.Output, name))];
        foreach (string path in paths) OutputPath.Check(path, [ModelPath, ClipPath]);
        int sampleRate = outcome.Model.Config.SampleRate;
        float[][] signals = [clip, .. outcome.Results.Select(result => result.Samples)];
        for (int i = 0; i < signals.Length; i++) OutputPath.Writing(paths[i], () => WavFile.Write(paths[i], signals[i], sampleRate));
        (string, float[])[] panels = [("the clip", clip), ("the voice, from the clip's mel", outcome.Trained.Samples), ("Griffin-Lim, from the same mel", outcome.GriffinLim.Samples)];
        OutputPath.Writing(paths[^1], () => { SpectrogramPicture.WriteStack(paths[^1], panels, sampleRate, "diffwave demo"); return true; });
    }
}
