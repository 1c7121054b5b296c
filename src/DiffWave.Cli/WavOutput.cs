using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>A WAV file being written, block by block: to a file that appears when it is complete, to a device, or to stdout.</summary>
internal sealed class WavOutput : IDisposable
{
    private readonly string _name;
    private readonly AtomicFile? _file;
    private readonly Stream? _device;
    private readonly WavWriter _writer;

    private WavOutput(string name, AtomicFile? file, Stream? device, WavWriter writer) => (_name, _file, _device, _writer) = (name, file, device, writer);

    /// <param name="path">The file, or <c>-</c>.</param>
    /// <param name="stdout">Where <c>-</c> goes.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <param name="format">Encoding of the samples.</param>
    /// <param name="samples">How many samples will be written.</param>
    /// <exception cref="UsageException">The format cannot hold so many samples.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static WavOutput Open(string path, Stream stdout, int sampleRate, WavFormat format, long samples)
    {
        if (path == SynthesisInputs.Stdout) return new WavOutput("stdout", null, null, Writer(stdout));
        return OutputPath.Writing(path, () =>
        {
            if (OutputPath.IsDevice(path))
            {
                var device = new FileStream(path, FileMode.Open, FileAccess.Write);
                return new WavOutput(path, null, device, Writer(device));
            }
            var file = new AtomicFile(path);
            try { return new WavOutput(path, file, null, Writer(file.Stream)); }
            catch
            {
                file.Dispose();
                throw;
            }
        });

        WavWriter Writer(Stream stream)
        {
            try { return new WavWriter(stream, sampleRate, format, samples); }
            catch (ArgumentOutOfRangeException) { throw new UsageException($"{samples} samples do not fit a WAV file of 4 GiB: make shorter pieces with --seconds, or use fewer --bits"); }
        }
    }

    public long ClippedSamples => _writer.ClippedSamples;

    public void Write(ReadOnlySpan<float> samples)
    {
        try { _writer.Write(samples); }
        catch (IOException e) { throw new IOException($"{_name}: cannot be written: {e.Message}", e); }
    }

    public void Complete() => OutputPath.Writing(_name, () =>
    {
        _writer.Complete();
        _file?.Commit();
        _device?.Dispose();
        return true;
    });

    public void Dispose()
    {
        _writer.Dispose();
        _file?.Dispose();
        _device?.Dispose();
    }
}
