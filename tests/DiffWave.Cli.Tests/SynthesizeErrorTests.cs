using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>Every way a synthesis can fail: the exit code, one line that says why, and nothing left behind.</summary>
public sealed class SynthesizeErrorTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();
    private readonly string _model;

    public SynthesizeErrorTests() => _model = _program.Model("tiny", "--config", "tiny");

    public void Dispose() => _program.Dispose();

    private void Fails(int code, string[] words, params string[] args)
    {
        string[] before = _program.Files();
        DiffWaveProgram.Run(["synthesize", "-t", "1", .. args]).FailsWith(code, words);
        Assert.Equal(before, _program.Files());
    }

    private string Output => _program["out.wav"];

    [Fact]
    public void WrongBandCount() => Fails(3, ["a.npy", "80 bands expected, 64 found"], "-m", _model, "--mel", _program.Mel("a.npy", 7, bands: 64), "-o", Output);

    [Fact]
    public void MelOfAnotherRecipe() =>
        Fails(3, ["a.npy.json", "sample_rate: 22050, 24000"], "-m", _model, "--mel", _program.Mel("a.npy", 7, recipe: MelRecipe.Lmnt(24000)), "-o", Output);

    [Fact]
    public void TruncatedMel()
    {
        string mel = _program.Mel("a.npy", 7);
        File.WriteAllBytes(mel, File.ReadAllBytes(mel)[..^5]);
        Fails(3, ["a.npy"], "-m", _model, "--mel", mel, "-o", Output);
    }

    [Fact]
    public void TruncatedRecording()
    {
        string wav = _program.Wav("a.wav", 22050, 1000);
        File.WriteAllBytes(wav, File.ReadAllBytes(wav)[..^5]);
        Fails(3, ["a.wav", "truncated"], "-m", _model, "--wav", wav, "-o", Output);
    }

    [Fact]
    public void TruncatedModel()
    {
        File.WriteAllBytes(_program["cut.safetensors"], File.ReadAllBytes(_model)[..^5]);
        Fails(4, ["cut.safetensors"], "-m", _program["cut.safetensors"], "--mel", _program.Mel("a.npy", 7), "-o", Output);
    }

    [Fact]
    public void MissingModel() => Fails(4, ["missing.safetensors", "no such file"], "-m", _program["missing.safetensors"], "-o", Output);

    [Fact]
    public void MissingInputs()
    {
        Fails(3, ["missing.npy", "no such file"], "-m", _model, "--mel", _program["missing.npy"], "-o", Output);
        Fails(3, ["missing.wav", "no such file"], "-m", _model, "--wav", _program["missing.wav"], "-o", Output);
        Directory.CreateDirectory(_program["empty"]);
        Fails(3, ["empty", "holds no audio files"], "-m", _model, "--wav", _program["empty"], "-o", _program.Folder);
    }

    [Fact]
    public void WhatTheModelNeedsIsSaid()
    {
        string mel = _program.Mel("a.npy", 7), unconditional = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        string labelled = _program.Model("label", "--config", "tiny", "--set", "conditioner=label", "--set", "labels=3");
        string both = _program.Model("both", "--config", "tiny", "--set", "conditioner=mel+label", "--set", "labels=3");
        Fails(2, ["tiny.safetensors needs --mel or --wav (80 bands, hop 256, 22050 Hz)"], "-m", _model, "-o", Output);
        Fails(2, ["--label does not fit", "needs --mel or --wav"], "-m", _model, "--mel", mel, "--label", "1", "-o", Output);
        Fails(2, ["--mel does not fit", "is unconditional"], "-m", unconditional, "--mel", mel, "-o", Output);
        Fails(2, ["--label does not fit", "is unconditional"], "-m", unconditional, "--label", "0", "-o", Output);
        Fails(2, ["label.safetensors needs --label 0 to 2"], "-m", labelled, "-o", Output);
        Fails(2, ["--label is 3", "needs --label 0 to 2"], "-m", labelled, "--label", "3", "-o", Output);
        Fails(2, ["needs --mel or --wav", "and --label 0 to 2"], "-m", both, "--mel", mel, "-o", Output);
    }

    [Fact]
    public void ScheduleThatCannotBeAligned() =>
        Fails(2, ["--schedule 0.000001,0.5", "step 0", "alpha_bar"], "-m", _model, "--mel", _program.Mel("a.npy", 7), "--schedule", "0.000001,0.5", "-o", Output);

    [Fact]
    public void OutputFolderMissing()
    {
        string mel = _program.Mel("a.npy", 7);
        Fails(1, ["nowhere", "does not exist"], "-m", _model, "--mel", mel, "-o", _program["nowhere/out.wav"]);
        Fails(1, ["nowhere", "no such folder"], "-m", _model, "--mel", mel, "--mel", _program.Mel("b.npy", 7), "-o", _program["nowhere"]);
        Fails(1, ["nowhere", "does not exist"], "-m", _model, "--mel", mel, "-o", Output, "--png", _program["nowhere/a.png"]);
    }

    [Fact]
    public void UnwritableOutput()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/proc is Linux's");
        Fails(1, ["/proc/out.wav: cannot be written"], "-m", _model, "--mel", _program.Mel("a.npy", 7), "-o", "/proc/out.wav");
    }

    [Fact]
    public void InputIsNeverOverwritten()
    {
        string wav = _program.Wav("a.wav", 22050, 1000);
        byte[] before = File.ReadAllBytes(wav);
        Fails(2, ["is also the input"], "-m", _model, "--wav", wav, "-o", wav);
        Fails(2, ["is also the input"], "-m", _model, "--wav", wav, "-o", Path.Combine(_program.Folder, ".", "a.wav"));
        Fails(2, ["is also the input"], "-m", _model, "--wav", _program.Folder, "-o", _program.Folder);
        Fails(2, ["is also the input"], "-m", _model, "--wav", wav, "-o", _model);
        File.CreateSymbolicLink(_program["link.wav"], wav);
        Fails(2, ["is also the input"], "-m", _model, "--wav", wav, "-o", _program["link.wav"]);
        Assert.Equal(before, File.ReadAllBytes(wav));
    }

    [Fact]
    public void TwoOutputsOfOneName()
    {
        Directory.CreateDirectory(_program["x"]);
        Directory.CreateDirectory(_program["out"]);
        Fails(2, ["a.npy", "would both become"], "-m", _model, "--mel", _program.Mel("a.npy", 7), "--mel", _program.Mel("x/a.npy", 7), "-o", _program["out"]);
        Fails(2, ["-o - takes one input"], "-m", _model, "--mel", _program["a.npy"], _program["x/a.npy"], "-o", "-");
    }

    [Fact]
    public void EmptyNames()
    {
        string mel = _program.Mel("a.npy", 7);
        Fails(2, ["empty name"], "-m", _model, "--mel", mel, "-o", "");
        Fails(3, ["no such file"], "-m", _model, "--mel", "", "-o", Output);
        Fails(4, [""], "-m", "", "--mel", mel, "-o", Output);
        DiffWaveProgram.Run("import", "", "-o", Output).FailsWith(4);
        DiffWaveProgram.Run("mel", mel, "-o", "").FailsWith(2, "empty name");
    }

    [Fact]
    public void NoCudaHere() => Fails(5, ["--device cuda: ", "no NVIDIA driver"], "-m", _model, "--mel", _program.Mel("a.npy", 7), "-o", Output, "--device", "cuda");

    [Fact]
    public void NotFiniteStops()
    {
        // Overflow to infinity in the head, times the zero weights after it: NaN.
        var config = ModelConfig.Preset("tiny");
        Parameters parameters = Initializer.Create(config, 0);
        parameters["skip_projection.weight"].Fill(3e38f);
        Checkpoint.Save(_program["broken.safetensors"], config, parameters, new ModelCard());
        Fails(7, ["broken.safetensors", "NaN"], "-m", _program["broken.safetensors"], "--mel", _program.Mel("a.npy", 7), "-o", Output);
    }

    [Fact]
    public void TooLongForAWavFile()
    {
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        Fails(2, ["4 GiB"], "-m", model, "--seconds", "1000000", "-o", Output);
    }

    [Fact]
    public void OutOfMemory()
    {
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        string[] before = _program.Files();
        // The picture of ten minutes needs 50 MiB of samples; the process may have 32.
        _program.RunProcess([("DOTNET_GCHeapHardLimit", "0x2000000")], "synth", "-m", model, "--seconds", "600", "--png", _program["x.png"], "-o", Output).FailsWith(6, "out of memory", "--chunk-seconds");
        Assert.Equal(before, _program.Files());
        Fails(6, ["out of memory"], "-m", model, "--seconds", "100000", "--png", _program["x.png"], "-o", Output);
    }
}
