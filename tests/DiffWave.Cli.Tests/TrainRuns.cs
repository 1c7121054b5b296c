using System.Security.Cryptography;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>Small training runs on five clips of noise and tone, one of them shorter than a crop.</summary>
public abstract class TrainRuns : IDisposable
{
    private protected static readonly string[] Network = ["--config", "tiny", "--set", "channels=8", "--set", "layers=3", "--set", "mel.bands=12"];
    private protected static readonly string[] Small = [.. Network, "--batch", "2", "--crop-frames", "4", "--lr", "1e-3"];
    private protected static readonly string[] Plain = ["--sample-every", "0", "--validate-every", "0"];

    private protected readonly DiffWaveProgram _program = new();

    protected TrainRuns()
    {
        Directory.CreateDirectory(_program["clips"]);
        for (int clip = 0; clip < 5; clip++)
        {
            float[] samples = new float[clip == 4 ? 700 : 4000 + 500 * clip];
            PhiloxNoise.Fill(9, (uint)clip, 0, 0, samples);
            for (int i = 0; i < samples.Length; i++) samples[i] = 0.05f * samples[i] + 0.4f * MathF.Sin(0.05f * (clip + 1) * i);
            WavFile.Write(_program[$"clips/{clip}.wav"], samples, 22050);
        }
    }

    public virtual void Dispose()
    {
        _program.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected RunResult Train(string run, int steps, params string[] more) => DiffWaveProgram.Run(["train", "--out", _program[run], "--steps", $"{steps}", .. more]);

    private protected RunResult Start(string run, int steps, params string[] more) => Train(run, steps, ["--data", _program["clips"], .. Small, .. more]);

    private protected string Hash(string file) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(_program[file])));

    private protected JsonObject[] Log(string run) => [.. File.ReadLines(_program[$"{run}/log.jsonl"]).Select(line => JsonNode.Parse(line)!.AsObject())];

    /// <summary>Step of the checkpoint that latest.json names; asserts that it is the file it says, and loads.</summary>
    private protected int Latest(string run)
    {
        JsonNode pointer = JsonNode.Parse(File.ReadAllText(_program[$"{run}/latest.json"]))!;
        string file = $"{run}/{pointer["file"]}";
        Assert.Equal((string)pointer["sha256"]!, Hash(file), ignoreCase: true);
        Assert.Equal((long)pointer["step"]!, TrainingCheckpoint.Load(_program[file]).State.Step);
        return (int)pointer["step"]!;
    }
}
