using System.Globalization;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// What each precision of a GPU costs in accuracy: the predicted noise at every step of the fast schedule, and the audio of the whole chain, beside fp32 on the CPU with the same weights, inputs and noise. The
/// tests hold that reference within 2e-6 of float64, far below what is measured here.
/// </summary>
internal static class PrecisionBench
{
    private const string ReferenceText = "fp32 on the CPU, which is within 2e-6 of float64";

    // A model and what it is tried on.
    private sealed record Subject(string Name, ModelConfig Config, Parameters Parameters, float[] Audio, MemoryMel? Mel);

    /// <summary>Compares: a row a model and precision.</summary>
    /// <param name="device"><c>cuda</c>, <c>cuda:N</c> or <c>emulator</c>.</param>
    /// <param name="models">Presets, which get random weights, and folders of voices.</param>
    /// <param name="seconds">Length of the signal.</param>
    public static Result Run(string device, IReadOnlyList<string> models, double seconds)
    {
        using ICudaDriver driver = BenchDevice.OpenDriver(device);
        using IOps cpu = CpuDevice.Create(0);
        List<Row> rows = [];
        List<string> notes = [$"reference: {ReferenceText}; eps error: rms of the error over rms of eps"];
        foreach (string name in models)
        {
            Subject subject = ModelConfig.PresetNames.Contains(name) ? Random(cpu, name, seconds) : Voice(name, seconds);
            ModelConfig config = subject.Config;
            IReadOnlyList<SamplerStep> steps = SamplerStep.Chain(new NoiseSchedule(config.FastBetas), new NoiseSchedule(config.TrainingBetas));
            cpu.Load(config, subject.Parameters);
            (float[][] eps, float[] audio) = Outputs(cpu, subject, steps);
            notes.Add(Invariant($"{name}: {subject.Name} (C={config.Channels}, {config.Layers} layers), {(double)audio.Length / config.SampleRate:f3} s, {steps.Count} steps"));
            foreach (Precision precision in Enum.GetValues<Precision>())
            {
                if (CudaOps.Problem(precision, config) is { } problem)
                {
                    notes.Add(problem);
                    continue;
                }
                using var ops = new CudaOps(driver, new CudaOptions { Precision = precision });
                ops.Load(config, subject.Parameters);
                (float[][] otherEps, float[] otherAudio) = Outputs(ops, subject, steps);
                double[] relative = [.. eps.Zip(otherEps, (a, b) => Math.Sqrt(ErrorPower(a, b) / Power(a)))];
                double ofAll = Math.Sqrt(eps.Zip(otherEps, ErrorPower).Sum() / eps.Sum(Power)), epsError = eps.Zip(otherEps, MaxError).Max(), audioError = MaxError(audio, otherAudio);
                double snr = 10 * Math.Log10(Power(audio) / ErrorPower(audio, otherAudio));
                rows.Add(new Row($"precision/{Path.GetFileName(Path.TrimEndingDirectorySeparator(name)).ToLowerInvariant()}/{precision.ToString().ToLowerInvariant()}", null)
                {
                    Figures = new Dictionary<string, object?>
                    {
                        ["model"] = subject.Name, ["channels"] = config.Channels, ["layers"] = config.Layers, ["samples"] = audio.Length, ["steps"] = steps.Count, ["device"] = ops.Device,
                        ["eps_error_smallest_step"] = relative[^1], ["eps_error_largest_step"] = relative[0], ["eps_relative_rms_error"] = ofAll, ["eps_max_error"] = epsError, ["audio_max_error"] = audioError, ["audio_snr_db"] = snr,
                    },
                });
            }
        }
        return new Result("precision", $"what a precision costs in accuracy, {driver.DeviceText}", rows) { Machine = Machine.Describe(), Notes = notes };
    }

    // The noise predicted at each step of a chain for the subject's audio, noisy as it is there, and the audio of the chain.
    private static (float[][] Eps, float[] Audio) Outputs(IOps ops, Subject subject, IReadOnlyList<SamplerStep> steps)
    {
        ModelConfig config = subject.Config;
        int length = subject.Audio.Length;
        IMelSource[]? mels = subject.Mel is null ? null : [subject.Mel];
        var schedule = new NoiseSchedule(config.FastBetas);
        float[][] eps = [.. steps.Select(step =>
        {
            double level = schedule.AlphaBars[step.Index];
            float[] noisy = new float[length];
            PhiloxNoise.Fill(5, 0, (uint)step.Index, 0, noisy);
            for (int i = 0; i < length; i++) noisy[i] = (float)(Math.Sqrt(level) * subject.Audio[i] + Math.Sqrt(1 - level) * noisy[i]);
            return Network.Evaluate(ops, config, [noisy], [step.Step], mels, [])[0];
        })];
        float[] audio = new float[length];
        using var sampler = new Sampler(config, ops);
        sampler.Run(new SamplerRequest { Steps = steps, Noise = new SeededNoise(3), Lengths = [length], Mels = mels }, (_, first, samples) => samples.CopyTo(audio.AsSpan((int)first)));
        return (eps, audio);
    }

    // A trained voice, on the loudest part of its clip.
    private static Subject Voice(string folder, double seconds)
    {
        Model model = TorchImport.Import(Path.Combine(folder, "voice.safetensors"), new TorchImportOptions());
        ModelConfig config = model.Config;
        using FileStream file = File.OpenRead(Path.Combine(folder, "clip.wav"));
        float[] clip = WavFile.Read(file, file.Name).Samples, mel = new MelSpectrogram(config.Mel!).Compute(clip, out int frames);
        int held = Math.Min(Frames(config, seconds), clip.Length / config.Hop), loudest = Enumerable.Range(0, clip.Length / config.Hop - held + 1).MaxBy(frame => Power(clip.AsSpan(frame * config.Hop, held * config.Hop).ToArray()));
        float[] window = new float[held * config.Bands];
        new MemoryMel(mel, config.Bands, frames).Read(loudest, held, window);
        return new Subject(model.Card.Name ?? folder, config, model.Parameters, clip[(loudest * config.Hop)..((loudest + held) * config.Hop)], new MemoryMel(Turned(window, config.Bands, held), config.Bands, held));
    }

    // A preset with random weights whose prediction has unit power, as noise has, on noise for audio and mel.
    private static Subject Random(IOps cpu, string preset, double seconds)
    {
        ModelConfig config = ModelConfig.Preset(preset);
        Parameters parameters = Initializer.Create(config, seed: 1);
        PhiloxNoise.Fill(1, 1000, 0, 0, parameters["output_projection.weight"]);
        int frames = Frames(config, seconds);
        float[] audio = new float[frames * config.Hop], mel = new float[frames * config.Bands];
        PhiloxNoise.Fill(2, 0, 0, 0, audio);
        PhiloxNoise.Fill(2, 1, 0, 0, mel);
        var subject = new Subject(preset, config, parameters, audio, config.HasMel ? new MemoryMel(mel, config.Bands, frames) : null);
        cpu.Load(config, parameters);
        float[] eps = Network.Evaluate(cpu, config, [audio], [config.TrainingBetas.Count / 2f], subject.Mel is null ? null : [subject.Mel], [])[0];
        float scale = (float)Math.Sqrt(audio.Length / Power(eps));
        foreach (ref float weight in parameters["output_projection.weight"]) weight *= scale;
        for (int i = 0; i < audio.Length; i++) audio[i] *= 0.1f; // as loud as speech
        return subject;
    }

    // Hop is 1 without a mel: then a frame is a sample.
    private static int Frames(ModelConfig config, double seconds) => Math.Max(1, (int)Math.Round(seconds * config.SampleRate / config.Hop));

    // [frames, M] to [M, frames].
    private static float[] Turned(float[] rows, int bands, int frames)
    {
        float[] turned = new float[rows.Length];
        for (int frame = 0; frame < frames; frame++)
            for (int band = 0; band < bands; band++) turned[band * frames + frame] = rows[frame * bands + band];
        return turned;
    }

    private static double Power(float[] values) => values.Sum(value => (double)value * value);

    private static double ErrorPower(float[] values, float[] others) => values.Zip(others, (a, b) => ((double)a - b) * ((double)a - b)).Sum();

    private static double MaxError(float[] values, float[] others) => values.Zip(others, (a, b) => Math.Abs((double)a - b)).Max();

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
