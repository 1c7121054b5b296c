using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>A WAV file being written, block by block: to a file that appears when it is complete, to a device, or to stdout; to these, where asked, only once it is complete.</summary>
internal sealed class WavOutput : IDisposable
{
    private readonly string _name;
    private readonly AtomicFile? _file;
    private readonly Stream? _device, _held, _target;
    private readonly WavWriter _writer;

    private WavOutput(string name, AtomicFile? file, Stream? device, Stream? held, Stream? target, WavWriter writer) => (_name, _file, _device, _held, _target, _writer) = (name, file, device, held, target, writer);

    /// <param name="path">The file, or <c>-</c>.</param>
    /// <param name="stdout">Where <c>-</c> goes.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <param name="format">Encoding of the samples.</param>
    /// <param name="samples">How many samples will be written.</param>
    /// <param name="held">Whether what cannot be taken back waits in a temporary file until it is complete.</param>
    /// <exception cref="UsageException">The format cannot hold so many samples.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static WavOutput Open(string path, Stream stdout, int sampleRate, WavFormat format, long samples, bool held = false)
    {
        if (path == SynthesisInputs.Stdout) return Through("stdout", stdout, null);
        return OutputPath.Writing(path, () =>
        {
            if (OutputPath.IsDevice(path))
            {
                var device = new FileStream(path, FileMode.Open, FileAccess.Write);
                return Through(path, device, device);
            }
            var file = new AtomicFile(path);
            try { return new WavOutput(path, file, null, null, null, Writer(file.Stream)); }
            catch
            {
                file.Dispose();
                throw;
            }
        });

        WavOutput Through(string name, Stream target, Stream? device)
        {
            if (!held) return new WavOutput(name, null, device, null, null, Writer(target));
            string temporary = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
            var waiting = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
            return new WavOutput(name, null, device, waiting, target, Writer(waiting));
        }

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
        if (_held is not null)
        {
            _held.Position = 0;
            _held.CopyTo(_target!);
            _target!.Flush();
        }
        _file?.Commit();
        _device?.Dispose();
        return true;
    });

    public void Dispose()
    {
        _writer.Dispose();
        _file?.Dispose();
        _device?.Dispose();
        _held?.Dispose();
    }
}
