using System.Diagnostics;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Inputs whose audio is made together.</summary>
internal sealed class SynthesisGroup : IDisposable
{
    private readonly List<SynthesisPiece> _pieces = [];

    public IReadOnlyList<SynthesisPiece> Pieces => _pieces;

    public void Add(SynthesisPiece piece) => _pieces.Add(piece);

    /// <summary>Takes the last piece out again: it belongs to the next group.</summary>
    public SynthesisPiece TakeLast()
    {
        SynthesisPiece last = _pieces[^1];
        _pieces.RemoveAt(_pieces.Count - 1);
        return last;
    }

    /// <summary>A request for all pieces, each as it would be alone.</summary>
    public SamplerRequest Request(SynthesisRequest request, ModelConfig config, IReadOnlyList<SamplerStep> steps) => new()
    {
        Steps = steps,
        Noise = new SeededNoise(request.Seed, sameForAll: true),
        Lengths = [.. _pieces.Select(piece => piece.Length)],
        Mels = config.HasMel ? [.. _pieces.Select(piece => piece.Mel!)] : null,
        Labels = request.Label is { } label ? [.. _pieces.Select(_ => label)] : [],
        ChunkRows = request.ChunkSeconds is { } seconds ? (int)Math.Clamp(Math.Round(seconds * config.SampleRate), 1, int.MaxValue / 2) : 0,
    };

    /// <summary>The pieces that are complete, each with its share, by samples, of the time all of them took.</summary>
    public IEnumerable<SynthesizedFile> Finished(double wallSeconds)
    {
        SynthesisPiece[] complete = [.. _pieces.Where(piece => piece.IsComplete)];
        double samples = complete.Sum(piece => (double)piece.Length);
        return complete.Select(piece => new SynthesizedFile(piece.Item, piece.Length, wallSeconds * piece.Length / samples, piece.ClippedSamples));
    }

    /// <summary>Closes all pieces.</summary>
    public void Dispose()
    {
        foreach (SynthesisPiece piece in _pieces) piece.Dispose();
    }
}
