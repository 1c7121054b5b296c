using System.Text.Json.Nodes;
using DiffWave.Cuda.Tests;
using DiffWave.Kernels;

namespace DiffWave.Cli.Tests;

public sealed class KernelsTests : IDisposable
{
    private readonly DiffWaveProgram program = new();

    public void Dispose() => program.Dispose();

    [Fact]
    public void TheListHasEveryVersionWithItsCost()
    {
        JsonArray kernels = DiffWaveProgram.Run("kernels", "list", "--json").Succeeds().Json["kernels"]!.AsArray();
        string text = DiffWaveProgram.Run("kernels", "list").Succeeds().Out;
        Assert.Equal(KernelCatalog.All.Select(kernel => kernel.Name), kernels.Select(kernel => (string)kernel!["name"]!));
        foreach (JsonNode? kernel in kernels)
        {
            string line = Assert.Single(text.Split('\n'), line => line.TrimStart().StartsWith($"{kernel!["name"]} ", StringComparison.Ordinal));
            Assert.Contains((string)kernel!["idea"]!, line);
            Assert.NotEmpty(kernel["shapes"]!.AsArray());
            Assert.All(kernel["shapes"]!.AsArray(), shape => Assert.True((long)shape!["bytes"]! > 0));
        }
        JsonNode gated = kernels.Single(kernel => (string)kernel!["name"]! == "gated_activation_v1")!;
        Assert.Equal(3 * 4 * 1000 * 64, (long)gated["shapes"]![0]!["bytes"]!); // two halves read, one result written
    }

    [Fact]
    public void ThePtxNamesTargetEntryAndSourceLines()
    {
        string ptx = DiffWaveProgram.Run("kernels", "ptx", "gated_activation_v1", "--target", "sm_90").Succeeds().Out;
        Assert.Contains(".target sm_90", ptx);
        Assert.Contains(".entry gated_activation_v1", ptx);
        Assert.Contains("kernels/DiffWave.Kernels/GatedActivation.cs", ptx);
        string without = DiffWaveProgram.Run("kernels", "ptx", "gated_activation_v1", "--no-lines").Succeeds().Out;
        Assert.DoesNotContain(".loc", without);
        Assert.Contains(".target sm_80", without);
    }

    [Fact]
    public void ConstantsChangeTheCode()
    {
        RunResult usual = DiffWaveProgram.Run("kernels", "ptx", "gated_activation_v2").Succeeds(), wide = DiffWaveProgram.Run("kernels", "ptx", "gated_activation_v2", "--constants", "channels=512", "--json").Succeeds();
        JsonNode kernel = wide.Json["kernels"]![0]!;
        Assert.NotEqual(usual.Out, (string)kernel["ptx"]!);
        Assert.Contains("512", (string)kernel["entry"]!);
        Assert.Equal(["h", "y"], kernel["parameters"]!.AsArray().Select(parameter => (string)parameter!["name"]!));
        Assert.Contains("gate_firsttrue", (string)DiffWaveProgram.Run("kernels", "ptx", "gated_activation_v2", "--constants", "gateFirst=1", "--json").Succeeds().Json["kernels"]![0]!["entry"]!);
    }

    [Fact]
    public void FilesHoldWhatIsPrinted()
    {
        string expected = DiffWaveProgram.Run("kernels", "ptx", "block_sum_v2").Succeeds().Out;
        RunResult one = DiffWaveProgram.Run("kernels", "ptx", "block_sum_v2", "-o", program["one.ptx"]).Succeeds();
        Assert.Empty(one.Out);
        Assert.Equal(expected, File.ReadAllText(program["one.ptx"]));
        DiffWaveProgram.Run("kernels", "ptx", "--all", "-o", program["all"]).Succeeds();
        Assert.Equal(KernelCatalog.All.Select(kernel => $"{kernel.Name}.ptx").Order(StringComparer.Ordinal), Directory.GetFiles(program["all"]).Select(Path.GetFileName).Order(StringComparer.Ordinal)!);
        Assert.Equal(expected, File.ReadAllText(Path.Combine(program["all"], "block_sum_v2.ptx")));
    }

    [Fact]
    public void ARunComparesWithTheReference()
    {
        RunResult text = DiffWaveProgram.Run("kernels", "run", "gated_activation_v1").Succeeds();
        Assert.StartsWith("device: emulator", text.Error);
        Assert.Contains("ok    gated_activation_v1  rows=1,channels=1,gateFirst=1  y  error ", text.Out);
        Assert.EndsWith("0 failed, on emulator\n", text.Out.ReplaceLineEndings("\n"));
        JsonObject json = DiffWaveProgram.Run("kernels", "run", "gated_activation_v2", "--shape", "rows=5,channels=8", "--json").Succeeds().Json;
        JsonNode run = Assert.Single(json["runs"]!.AsArray())!, result = Assert.Single(run["results"]!.AsArray())!;
        Assert.Equal(("rows=5,channels=8,gateFirst=0", 40), ((string)run["shape"]!, (int)result["elements"]!));
        Assert.InRange((double)result["max_error"]!, 0, (double)result["bound"]!);
        Assert.Equal((1, 0), ((int)json["ok"]!, (int)json["failed"]!));
    }

    [Fact]
    public void AProfileCountsLineByLine()
    {
        RunResult text = DiffWaveProgram.Run("kernels", "profile", "gated_activation_v2").Succeeds();
        Assert.Contains("GatedActivation.Fast.cs:", text.Out);
        JsonNode launch = DiffWaveProgram.Run("kernels", "profile", "gated_activation_v2", "--json").Succeeds().Json["launches"]![0]!;
        Assert.Equal(3 * 64_000 / 4 / 32, launch["global"]!.AsArray().Sum(site => (long)site!["requests"]!)); // two loads and a store for 32 lanes of four elements
        Assert.Equal(0, (int)launch["local_bytes"]!);
    }

    [Theory]
    [InlineData("did you mean list?", "kernels", "lst")]
    [InlineData("(see diffwave kernels run --help)", "kernels", "run", "--al")]
    [InlineData("did you mean --shape?", "kernels", "run", "block_sum_v1", "--shap", "n=1")]
    [InlineData("did you mean block_sum_v2?", "kernels", "run", "block_sum_2")]
    [InlineData("name a kernel, or give --all", "kernels", "run")]
    [InlineData("exclude each other", "kernels", "run", "block_sum_v1", "--all")]
    [InlineData("--shape belongs to one kernel", "kernels", "run", "--all", "--shape", "n=1")]
    [InlineData("'m=1' is no size of this kernel", "kernels", "run", "block_sum_v1", "--shape", "m=1")]
    [InlineData("n is 1 to 2^30", "kernels", "run", "block_sum_v1", "--shape", "n=0")]
    [InlineData("channels is a multiple of 4", "kernels", "run", "gated_activation_v2", "--shape", "channels=6")]
    [InlineData("kernels run on a GPU or on the emulator", "kernels", "run", "block_sum_v1", "--device", "cpu")]
    [InlineData("unknown target 'sm_81'", "kernels", "ptx", "block_sum_v1", "--target", "sm_81")]
    [InlineData("it has none", "kernels", "ptx", "block_sum_v1", "--constants", "n=1")]
    [InlineData("channels is 'x'", "kernels", "ptx", "gated_activation_v2", "--constants", "channels=x")]
    [InlineData("gateFirst is '2', expected 0 or 1", "kernels", "ptx", "gated_activation_v2", "--constants", "gateFirst=2")]
    [InlineData("--all needs -o FOLDER", "kernels", "ptx", "--all")]
    [InlineData("--constants belongs to one kernel", "kernels", "ptx", "--all", "--constants", "channels=64", "-o", "x")]
    public void WrongUsageIsOneLine(string words, params string[] args) => DiffWaveProgram.Run(args).FailsWith(2, words);

    [Fact]
    public void WithoutAGpuCudaIsNoDevice() => DiffWaveProgram.Run("kernels", "run", "block_sum_v1", "--device", "cuda").FailsWith(5, "--device cuda: ", "no NVIDIA driver");

    [Fact]
    public void AutoIsTheGpuOrTheEmulator()
    {
        Assert.StartsWith("device: emulator (sm_90, for checking; libcuda.so.1 not found)", DiffWaveProgram.Run("kernels", "run", "block_sum_v1", "--device", "auto").Succeeds().Error);
        using var cuda = new StubCuda();
        RunResult run = DiffWaveProgram.Run("kernels", "run", "block_sum_v1", "--device", "auto").Succeeds();
        Assert.StartsWith("device: cuda:0 (", run.Error);
        Assert.True(cuda.Calls("cuLaunchKernel") > 0);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void AFileThatCannotBeWrittenIsNamed() => DiffWaveProgram.Run("kernels", "ptx", "block_sum_v1", "-o", program["no/such/folder.ptx"]).FailsWith(1, "folder.ptx");

    [Theory]
    [InlineData("list")]
    [InlineData("ptx")]
    [InlineData("run")]
    [InlineData("profile")]
    public void EveryVerbHasNotesAndExamples(string verb)
    {
        string help = DiffWaveProgram.Run("kernels", verb, "--help").Succeeds().Out;
        Assert.Contains("Notes:", help);
        Assert.Contains($"diffwave kernels {verb}", help[help.IndexOf("Examples:", StringComparison.Ordinal)..]);
    }
}
