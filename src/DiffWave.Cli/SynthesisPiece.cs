using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>An input that has been read and is known to be good, and the output that its audio goes to.</summary>
internal sealed class SynthesisPiece : IDisposable
{
    private readonly WavOutput _output;
    private readonly float[]? _source, _drawn; // audio to compare with, and that which is made, where a picture is wanted

    private SynthesisPiece(SynthesisItem item, IMelSource? mel, long length, WavOutput output, float[]? source, float[]? drawn) =>
        (Item, Mel, Length, _output, _source, _drawn) = (item, mel, length, output, source, drawn);

    public SynthesisItem Item { get; }

    public IMelSource? Mel { get; }

    /// <summary>Samples to make.</summary>
    public long Length { get; }

    public long ClippedSamples => _output.ClippedSamples;

    /// <summary>True once the output stands under its name.</summary>
    public bool IsComplete { get; private set; }

    /// <exception cref="InputFileException">The input cannot be read or does not fit the model.</exception>
    /// <exception cref="UsageException">The format cannot hold so many samples.</exception>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public static SynthesisPiece Open(Session session, SynthesisRequest request, SynthesisItem item, Engine.ModelConfig config, bool held)
    {
        float[]? source = item.Path is not null && request.Wavs.Length > 0 ? AudioInput.Read(session, item.Path, config.SampleRate, "model", request.Mix) : null;
        IMelSource? mel = item.Path is null ? null : source is null ? MelFile.Open(item.Path, config.Mel!) : Analyse(source, config.Mel!);
        try
        {
            long wanted = (long)Math.Round((request.Seconds ?? 1) * config.SampleRate);
            long length = mel is null ? wanted : (long)mel.Frames * config.Hop;
            if (mel is not null && request.Seconds is not null) length = Math.Min(length, wanted);
            if (item.Picture is not null && length > Array.MaxLength) throw new OutOfMemoryException();
            float[]? drawn = item.Picture is null ? null : new float[length];
            return new SynthesisPiece(item, mel, length, WavOutput.Open(item.Output, session.RawOut, config.SampleRate, request.Format, length, held), item.Picture is null ? null : source, drawn);
        }
        catch
        {
            mel?.Dispose();
            throw;
        }
    }

    private static MemoryMel Analyse(float[] samples, MelRecipe recipe)
    {
        float[] mel = new MelSpectrogram(recipe).Compute(samples, out int frames);
        return new MemoryMel(mel, recipe.Bands, frames);
    }

    /// <summary>Takes the next samples; with the last ones the output is complete.</summary>
    /// <param name="first">Time of the first.</param>
    /// <param name="samples">The samples.</param>
    /// <param name="sampleRate">Hz, for the picture.</param>
    public void Write(long first, ReadOnlySpan<float> samples, int sampleRate)
    {
        _output.Write(samples);
        if (_drawn is not null) samples.CopyTo(_drawn.AsSpan((int)first));
        if (first + samples.Length < Length) return;
        _output.Complete();
        if (_drawn is not null) Draw(_drawn, sampleRate);
        IsComplete = true;
    }

    private void Draw(float[] samples, int sampleRate)
    {
        string path = Item.Picture!, title = Path.GetFileName(Item.Output);
        OutputPath.Writing(path, () =>
        {
            if (_source is null) SpectrogramPicture.Write(path, samples, sampleRate, title);
            else SpectrogramPicture.Write(path, _source, samples, sampleRate, title, Path.GetFileName(Item.Path)!, "synthesized");
            return true;
        });
    }

    /// <summary>Closes input and output; an output that is not complete leaves nothing behind.</summary>
    public void Dispose()
    {
        Mel?.Dispose();
        _output.Dispose();
    }
}
