using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>What a run of the program left behind.</summary>
internal sealed record RunResult(int Code, string Out, string Error, byte[] RawOut)
{
    public JsonObject Json => JsonNode.Parse(Out)!.AsObject();

    /// <summary>Asserts the exit code and exactly one line on stderr that holds every word, besides those about the device and, on a slow machine, of progress; with nothing on stdout.</summary>
    public void FailsWith(int code, params string[] words)
    {
        string[] lines = [.. Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !line.StartsWith("device: ", StringComparison.Ordinal) && !line.EndsWith(" left", StringComparison.Ordinal))];
        Assert.True(code == Code, $"exit code {Code}, expected {code}: {Error}");
        string line = Assert.Single(lines);
        Assert.StartsWith("error: ", line);
        foreach (string word in words) Assert.Contains(word, line);
        Assert.Empty(Out);
        Assert.Empty(RawOut);
    }

    public RunResult Succeeds()
    {
        Assert.True(Code == 0, $"exit code {Code}: {Error}");
        return this;
    }
}

/// <summary>Runs the program, in this process or as one of its own, in a folder that is removed afterwards.</summary>
public sealed class DiffWaveProgram : IDisposable
{
    public static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", name);

    public string Folder { get; } = Directory.CreateTempSubdirectory("diffwave-cli-").FullName;

    public string this[string name] => Path.Combine(Folder, name);

    /// <summary>In this process, on a machine without a GPU unless the test made one.</summary>
    internal static RunResult Run(params string[] args)
    {
        using StubCuda? none = NativeFunctions.Substitute.Value is null ? new StubCuda { IsAbsent = true } : null;
        using StringWriter output = new(), error = new();
        using var raw = new MemoryStream();
        int code = Program.Run(args, output, error, raw);
        return new RunResult(code, output.ToString(), error.ToString(), raw.ToArray());
    }

    /// <summary>A model made by init.</summary>
    public string Model(string name, params string[] init)
    {
        string path = this[$"{name}.safetensors"];
        Run(["init", "-o", path, .. init]).Succeeds();
        return path;
    }

    /// <summary>The same with the last projection drawn, which init leaves at zero: such a model predicts nothing, on any device.</summary>
    public string LivelyModel(string name, params string[] init)
    {
        string path = Model(name, init);
        Model model = Checkpoint.Load(path);
        PhiloxNoise.Fill(1, 1000, 0, 0, model.Parameters["output_projection.weight"]);
        Checkpoint.Save(path, model.Config, model.Parameters, model.Card);
        return path;
    }

    /// <summary>A mel of the lmnt recipe with values between 0 and 1.</summary>
    public string Mel(string name, int frames, int bands = 80, MelRecipe? recipe = null)
    {
        var random = new Random(frames);
        float[] mel = [.. Enumerable.Range(0, bands * frames).Select(_ => random.NextSingle())];
        if (recipe is null) Npy.Write(this[name], mel, [bands, frames]);
        else MelFile.Write(this[name], mel, frames, recipe);
        return this[name];
    }

    /// <summary>A tone.</summary>
    public string Wav(string name, int sampleRate, int samples)
    {
        float[] tone = [.. Enumerable.Range(0, samples).Select(i => 0.5f * MathF.Sin(2 * MathF.PI * 440 * i / sampleRate))];
        WavFile.Write(this[name], tone, sampleRate);
        return this[name];
    }

    /// <summary>Names of all files below the folder.</summary>
    public string[] Files() => [.. Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(Folder, path)).Order(StringComparer.Ordinal)];

    /// <summary>The program as a process of its own, with this folder as its current one.</summary>
    public Process Start(params string[] args) => Start([], args);

    private Process Start(IEnumerable<(string Name, string Value)> environment, string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "diffwave.dll"), .. args])
        {
            WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, StandardOutputEncoding = Encoding.Latin1,
        };
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    internal RunResult RunProcess(params string[] args) => RunProcess([], args);

    internal RunResult RunProcess(IEnumerable<(string Name, string Value)> environment, params string[] args)
    {
        using Process process = Start(environment, args);
        Task<string> error = process.StandardError.ReadToEndAsync();
        byte[] raw = Encoding.Latin1.GetBytes(process.StandardOutput.ReadToEnd());
        process.WaitForExit();
        return new RunResult(process.ExitCode, Encoding.UTF8.GetString(raw), error.Result, raw);
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
