namespace DiffWave.Cli.Tests;

public class HelpTests
{
    public static TheoryData<string> Verbs => ["synthesize", "init", "mel", "import", "export", "info", "devices", "check", "dataset", "train", "evaluate", "demo", "publish", "kernels", "bench", "tune"];

    [Fact]
    public void NothingAsksForHelp()
    {
        var nothing = DiffWaveProgram.Run().Succeeds();
        Assert.Equal(DiffWaveProgram.Run("--help").Succeeds().Out, nothing.Out);
        Assert.Empty(nothing.Error);
        foreach (var verb in Verbs) Assert.Single(nothing.Out.Split('\n'), line => line.TrimStart().StartsWith($"{verb.Data} ", StringComparison.Ordinal) || line.Contains($", {verb.Data} ", StringComparison.Ordinal));
        foreach (int code in (int[])[0, 1, 2, 3, 4, 5, 6, 7]) Assert.Contains($"\n  {code}  ", nothing.Out);
        Assert.Contains("130, 143", nothing.Out);
    }

    [Theory, MemberData(nameof(Verbs))]
    public void EveryVerbHasExamples(string verb)
    {
        string help = DiffWaveProgram.Run(verb, "--help").Succeeds().Out;
        Assert.Contains("Description:", help);
        string examples = help[help.IndexOf("Examples:", StringComparison.Ordinal)..];
        Assert.Contains($"diffwave {verb}", examples);
    }

    [Fact]
    public void VersionIsOneLine() => Assert.Matches(@"^\d+\.\d+\.\d+\r?\n$", DiffWaveProgram.Run("--version").Succeeds().Out);

    [Theory]
    [InlineData("unknown option '--steps'", "synthesize", "--model", "m", "--steps", "abc")]
    [InlineData("did you mean --schedule?", "synthesize", "--model", "m", "--shedule", "fast")]
    [InlineData("did you mean synthesize?", "synthesise")]
    [InlineData("'--model' is required", "synthesize")]
    [InlineData("'--seed'", "synthesize", "--model", "m", "--seed")]
    [InlineData("--seed is 'x'", "synthesize", "--model", "m", "--seed", "x")]
    [InlineData("--seed is '-1'", "synthesize", "--model", "m", "--seed", "-1")]
    [InlineData("--threads is '1025'", "synthesize", "--model", "m", "--threads", "1025")]
    [InlineData("--seconds is '0'", "synthesize", "--model", "m", "--seconds", "0")]
    [InlineData("--seconds is 'NaN'", "synthesize", "--model", "m", "--seconds", "NaN")]
    [InlineData("--eta is '1.5'", "synthesize", "--model", "m", "--sampler", "ddim", "--eta", "1.5")]
    [InlineData("--eta belongs to --sampler ddim", "synthesize", "--model", "m", "--eta", "1")]
    [InlineData("expected 16, 24 or 32f", "synthesize", "--model", "m", "--bits", "8")]
    [InlineData("expected ddpm or ddim", "synthesize", "--model", "m", "--sampler", "euler")]
    [InlineData("expected fast, full or betas", "synthesize", "--model", "m", "--schedule", "slow")]
    [InlineData("--schedule[1] is 2", "synthesize", "--model", "m", "--schedule", "0.1,2")]
    [InlineData("--mel and --wav exclude each other", "synthesize", "--model", "m", "--mel", "a.npy", "--wav", "a.wav")]
    [InlineData("--device is 'tpu', expected auto, cpu, cuda, cuda:N", "synthesize", "--model", "m", "--device", "tpu")]
    [InlineData("--device is 'cuda:', expected", "synthesize", "--model", "m", "--device", "cuda:")]
    [InlineData("--device is 'cuda:x', expected", "demo", "--device", "cuda:x")]
    [InlineData("--device is 'cuda:-1', expected", "train", "--out", "run", "--device", "cuda:-1")]
    [InlineData("--device is 'cuda:99999999999', expected", "check", "--kernels", "--device", "cuda:99999999999")]
    [InlineData("give --golden FOLDER, --kernels, or both", "check")]
    [InlineData("belong to --kernels", "check", "--golden", ".", "--count", "3")]
    [InlineData("belong to --kernels", "check", "--golden", ".", "--kernel", "block_sum_v1")]
    [InlineData("did you mean block_sum_v1?", "check", "--kernels", "--kernel", "block_sum1")]
    [InlineData("the CPU runs no kernels", "check", "--kernels", "--device", "cpu")]
    [InlineData("--count is '0'", "check", "--kernels", "--count", "0")]
    [InlineData("'--output' is required", "init", "--config", "tiny")]
    [InlineData("unexpected argument 'b.wav'", "mel", "a.wav", "b.wav", "-o", "c.npy")]
    public void WrongUsageIsOneLine(string words, params string[] args) => DiffWaveProgram.Run(args).FailsWith(2, words, "");

    [Fact]
    public void AtSignsAreNotResponseFiles() => DiffWaveProgram.Run("info", "@missing").FailsWith(3, "@missing: no such file");
}
