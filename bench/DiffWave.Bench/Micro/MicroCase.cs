using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A piece of work below an operation, or of the host's, for one thread.</summary>
/// <param name="Name">Its name and size.</param>
/// <param name="Elements">Numbers that a call makes or reads, the unit of its speed.</param>
/// <param name="Flops">FLOP of a call, null where they do not matter.</param>
/// <param name="Prepare">Makes its data, and from it the call.</param>
internal sealed record MicroCase(string Name, long Elements, double? Flops, Func<MicroCall> Prepare)
{
    private const int Rate = 22050;

    /// <summary>Every piece there is.</summary>
    public static IReadOnlyList<MicroCase> All { get; } =
    [
        .. from depth in new[] { 64, 256 } select new MicroCase($"gemm_panel/{depth}", CpuPieces.Rows * CpuPieces.PanelColumns, 2.0 * depth * CpuPieces.Rows * CpuPieces.PanelColumns, () => CpuPieces.Panel(depth)),
        new("gemm_outer/256", 8 * CpuPieces.PanelColumns, 2.0 * 8 * CpuPieces.PanelColumns * 256, () => CpuPieces.Outer(256)),
        .. from channels in new[] { 64, 256 } select new MicroCase($"gate/{channels}", CpuPieces.Rows * channels, null, () => CpuPieces.Gates(channels)),
        .. from channels in new[] { 64, 256 } select new MicroCase($"filter_input/{channels}", CpuPieces.Rows * channels, null, () => CpuPieces.FilterInput(channels)),
        .. from channels in new[] { 64, 256 } select new MicroCase($"filter_output/{channels}", CpuPieces.Rows * channels, null, () => CpuPieces.FilterOutput(channels)),
        .. from preset in new[] { "small", "base" } select ResidualBlock(preset),
        .. from count in new[] { 4096, 65536 } select Normals(count),
        .. from size in new[] { 1024, 1200 } select Fft(size),
        .. from seconds in new[] { 1, 10 } select Mel(seconds),
        .. from fromRate in new[] { 44100, 48000 } select Resample(fromRate),
        GriffinLimIteration(),
        WavWrite(),
        .. from preset in new[] { "tiny", "base" } select Load(preset),
    ];

    // 4,096 rows, as the sampler gives it.
    private static MicroCase ResidualBlock(string preset)
    {
        ModelConfig config = ModelConfig.Preset(preset);
        OpWork work = OpWork.All(config).First(work => work.Name.StartsWith("residual_block/", StringComparison.Ordinal));
        return new MicroCase($"residual_block/{config.Channels}", (long)work.Rows * config.Channels, work.ExecutedFlops, () =>
        {
            IOps ops = Cpu.CpuDevice.Create(1);
            OpBuffers buffers = work.Prepare(ops, config);
            return new MicroCall(work.Call(ops, config, buffers), buffers, ops);
        });
    }

    private static MicroCase Normals(int count) => new($"philox_normals/{count}", count, null, () =>
    {
        float[] normals = new float[count];
        return new MicroCall(() => PhiloxNoise.Fill(1, 1, 0, 0, normals));
    });

    // A power of two, and a length that takes Bluestein's convolution.
    private static MicroCase Fft(int size) => new($"fft/{size}", size, null, () =>
    {
        var fft = new RealFft(size);
        double[] input = [.. Signal(size).Select(value => (double)value)];
        var output = new (double, double)[fft.Bins];
        var work = new (double, double)[fft.WorkSize];
        return new MicroCall(() => fft.Transform(input, output, work));
    });

    private static MicroCase Mel(int seconds) => new($"mel/{seconds}s", seconds * Rate, null, () =>
    {
        var mel = new MelSpectrogram(MelRecipe.Lmnt());
        float[] signal = Signal(seconds * Rate);
        return new MicroCall(() => mel.Compute(signal, out _));
    });

    // A second of audio.
    private static MicroCase Resample(int fromRate) => new($"resample/{fromRate}to{Rate}", fromRate, null, () =>
    {
        float[] signal = Signal(fromRate);
        return new MicroCall(() => Resampler.Resample(signal, fromRate, Rate));
    });

    // A second of audio: once back from the first phases, once there and back.
    private static MicroCase GriffinLimIteration() => new("griffin_lim/1s", Rate, null, () =>
    {
        var stft = new Stft(1024, 1024, 256);
        double[] magnitudes = new double[stft.Frames(Rate) * stft.Bins];
        stft.Magnitudes(Signal(Rate), 0, stft.Frames(Rate), magnitudes);
        return new MicroCall(() => GriffinLim.FromMagnitudes(magnitudes, stft, Rate, iterations: 1));
    });

    // To memory: a disk says nothing about the writer.
    private static MicroCase WavWrite() => new("wav_write/10s", 10 * Rate, null, () =>
    {
        float[] signal = Signal(10 * Rate);
        var stream = new MemoryStream(signal.Length * 2 + 4096);
        return new MicroCall(() =>
        {
            stream.SetLength(0);
            using var writer = new WavWriter(stream, Rate, WavFormat.Pcm16, signal.Length);
            writer.Write(signal);
            writer.Complete();
        }, stream);
    });

    // From a file that the system keeps in memory.
    private static MicroCase Load(string preset)
    {
        ModelConfig config = ModelConfig.Preset(preset);
        return new MicroCase($"safetensors_load/{preset}", Parameters.CountOf(config), null, () =>
        {
            var file = new TemporaryFile();
            Checkpoint.Save(file.Path, config, Initializer.Create(config, 1), new ModelCard());
            return new MicroCall(() => Checkpoint.Load(file.Path), file);
        });
    }

    private static float[] Signal(int samples)
    {
        float[] signal = new float[samples];
        PhiloxNoise.Fill(7, 1, 0, 0, signal);
        foreach (ref float sample in signal.AsSpan()) sample *= 0.1f;
        return signal;
    }

    private sealed class TemporaryFile : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("diffwave-micro-");

        public string Path => System.IO.Path.Combine(_folder.FullName, "model.safetensors");

        public void Dispose() => _folder.Delete(recursive: true);
    }
}

/// <summary>A call that can be made again and again, and what it holds.</summary>
/// <param name="call">Makes it.</param>
/// <param name="owned">Disposed of with it, in order.</param>
internal sealed class MicroCall(Action call, params IDisposable[] owned) : IDisposable
{
    public Action Call => call;

    public void Dispose()
    {
        foreach (IDisposable one in owned) one.Dispose();
    }
}
