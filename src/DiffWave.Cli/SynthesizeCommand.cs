using System.CommandLine;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave synthesize</c>: mel, audio, label or nothing to audio.</summary>
internal static class SynthesizeCommand
{
    private const string Description = "Make audio: from a mel or a recording (vocoder), for a class label, or unconditionally.";

    private const string Notes = """
        Length: mel frames x hop samples, at the model's sample rate. A recording of n samples (at that rate)
        has 1 + n / hop frames, rounded down, so its copy is up to one hop longer. Without a mel: --seconds.

        Several inputs, or a folder (searched recursively, in order of name), are synthesized in order into the
        folder given with -o. The first failure stops; what was made before it stays. Files appear under their
        names only when they are complete; an input is never overwritten. A GPU computes several files together,
        of whatever lengths, until they have some 2^20 samples (or --chunk-seconds) or fill its memory, at most
        128 files; each is byte for byte what it is alone. Files are written while the next ones are computed.

        On the CPU --mel and an unconditional model stream: memory does not grow with the length. --wav and --png
        hold the audio in memory.

        --device auto takes the first GPU that works, else the CPU (diffwave devices tells which). Should the GPU
        fail on the way, one warning says why, and the CPU makes all files that are not finished; with
        -o - nothing is written before it is complete. A device named by --device never changes. GPU and CPU
        draw the same noise and differ by rounding only.

        A GPU computes the residual blocks on its tensor cores, in fp16, where it has kernels for the model; the
        line that names the device says so, or why not. --precision chooses: with fp16 and bf16 activations take
        half the memory; tf32 and fp16 round to 11 bits, bf16 to 8; sums stay fp32 in all. A model or device
        without kernels for the precision that was named is refused, and no CPU takes over from one other than
        fp32.

        --json prints one object: model, device, device_reason, precision, schedule, sampler, eta, steps, seed, label,
        sample_rate, sample_format, peak_memory_bytes, peak_gpu_memory_bytes (null on the CPU), audio_seconds,
        wall_seconds (synthesis alone, without loading the model), times_real_time, clip_ratio, and input, output, png, samples. With several inputs
        the last four, and the figures of each file, stand in the array files; files computed together share their
        time by their lengths.
        """;

    private const string Examples = """
        # a recording through the model and back
        diffwave synthesize --model base.safetensors --wav speech.flac -o copy.wav
        # every mel in a folder, all training steps, 24 bits
        diffwave synthesize -m base.safetensors --mel mels/ -o out/ --schedule full --bits 24
        # on the second GPU, or not at all
        diffwave synthesize -m base.safetensors --mel mels/ -o out/ --device cuda:1
        # two seconds from an unconditional model, played at once
        diffwave synthesize -m sc09.safetensors --seconds 2 --seed 7 -o - | aplay
        """;

    public static Command Create(Session session)
    {
        Option<string> model = Options.Model();
        Option<DeviceName> device = Options.Device();
        var mel = new Option<string[]>("--mel") { HelpName = "FILE.npy|FOLDER", AllowMultipleArgumentsPerToken = true, Description = "Mel spectrogram [bands, frames], of the model's recipe (see diffwave mel); read as it is needed, so an hour needs no more memory than a minute" };
        var wav = new Option<string[]>("--wav") { HelpName = "FILE|FOLDER", AllowMultipleArgumentsPerToken = true, Description = "Audio to analyse and synthesize again: any sample rate and channels; WAV, or what libsndfile reads" };
        Option<string> mix = Options.Mix();
        Option<int?> label = Options.OptionalWhole("--label", "N", 0, int.MaxValue, "Class label, from 0, for models with labels");
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.wav|FOLDER|-", Description = "Where to write; - is stdout. Default: <input>.diffwave.wav (or diffwave.wav) in the current folder" };
        var schedule = new Option<string>("--schedule") { HelpName = "fast|full|B1,B2,..", DefaultValueFactory = _ => "fast", Description = "Noise schedule: fast (the model's short one, 6 steps as a rule), full (every training step), or betas" };
        var fast = new Option<bool>("--fast") { Description = "Same as --schedule fast" };
        Option<string> sampler = Options.Choice("--sampler", "Reverse step: ddpm (ancestral) or ddim", "ddpm", "ddim");
        Option<double?> eta = Options.Number("--eta", "X", 0, 1, "Noise of ddim: 0 (deterministic, the default) to 1");
        Option<double?> seconds = Options.Number("--seconds", "S", 1e-3, 1e6, "Length in seconds; default 1. With --mel or --wav: at most this much");
        Option<ulong> seed = Options.Seed("Seed of the noise. The same seed gives the same bytes on a device, whatever the threads and chunks");
        Option<string?> precision = Options.Precision(Options.BestPrecision);
        Option<int> threads = Options.Threads();
        Option<double?> chunk = Options.Number("--chunk-seconds", "S", 1e-3, 1e4, "Audio computed at a time, in seconds: more is faster up to a point and takes more memory; default: on the CPU 4096 samples or a little more, on a GPU all that its memory holds, of several files as much as keeps it busy. The result does not depend on it");
        Option<string> bits = Options.Choice("--bits", "Samples of the WAV file: 16- or 24-bit PCM, or 32-bit float", "16", "24", "32f");
        var png = new Option<string>("--png") { HelpName = "FILE.png|FOLDER", Description = "Also draw the spectrogram, with --wav below that of the input. Keeps the audio in memory, 4 bytes a sample" };
        Option<bool> json = Options.Json();
        var verb = new Verb("synthesize", Description, Notes, Examples)
        {
            model, mel, wav, mix, label, output, schedule, fast, sampler, eta, seconds, seed, device, precision, threads, chunk, bits, png, json,
        };
        verb.Aliases.Add("synth");
        verb.Validators.Add(result =>
        {
            if (result.GetResult(mel) is not null && result.GetResult(wav) is not null) result.AddError("--mel and --wav exclude each other: give one of them");
            if (result.GetResult(fast) is not null && result.GetResult(schedule) is { Implicit: false }) result.AddError("--fast and --schedule exclude each other: give one of them");
        });
        verb.SetAction(parsed => new Synthesis(session, new SynthesisRequest
        {
            Model = parsed.GetRequiredValue(model),
            Mels = parsed.GetValue(mel) ?? [],
            Wavs = parsed.GetValue(wav) ?? [],
            Mix = Options.MixOf(parsed.GetValue(mix)),
            Label = parsed.GetValue(label),
            Output = parsed.GetValue(output),
            Schedule = parsed.GetValue(schedule)!,
            Sampler = parsed.GetValue(sampler) == "ddim" ? SamplerKind.Ddim : SamplerKind.Ddpm,
            Eta = parsed.GetValue(eta),
            Seconds = parsed.GetValue(seconds),
            Seed = parsed.GetValue(seed),
            Device = parsed.GetValue(device),
            Precision = Options.PrecisionOf(parsed.GetValue(precision)),
            Threads = parsed.GetValue(threads),
            ChunkSeconds = parsed.GetValue(chunk),
            Format = parsed.GetValue(bits) switch { "16" => WavFormat.Pcm16, "24" => WavFormat.Pcm24, _ => WavFormat.Float32 },
            Picture = parsed.GetValue(png),
            Json = parsed.GetValue(json),
        }).Run());
        return verb;
    }
}
