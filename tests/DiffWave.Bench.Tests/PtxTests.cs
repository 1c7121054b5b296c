using DiffWave.Bench.Costs;
using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>What <c>bench ptx</c> writes for ptxas.</summary>
public class PtxTests
{
    private static readonly SynthesisWork Work = new("small", 2, 8, Full: false, Precision.Fp16);

    [Theory]
    [InlineData("h100", 90)]
    [InlineData("a100", 80)]
    public void EveryKernelThatIsLaunchedIsThereAsItIsLaunched(string gpu, int sm)
    {
        GpuModel chosen = GpuModel.Find(gpu);
        Dictionary<string, string> modules = PtxVerb.Of(chosen, Work).ToDictionary(module => Path.GetFileNameWithoutExtension(module.Name), module => module.Ptx); // throws when two have one name
        using var recorder = new LaunchRecorder(chosen);
        Work.Record(recorder);
        string[] launched = [.. recorder.Log.Select(launch => launch.Kernel).Where(kernel => kernel[0] != '(').Distinct()];
        Assert.NotEmpty(launched);
        Assert.All(launched, kernel => Assert.Contains($".entry {kernel}(", modules[kernel], StringComparison.Ordinal));
        Assert.All(modules.Values, ptx => Assert.Contains($".target sm_{sm}", ptx, StringComparison.Ordinal));
        // From sm_90 on the launches of a chain begin early, which kernels of the catalogue are not compiled for.
        Assert.Equal(sm >= 90, modules.Any(module => module.Key.StartsWith("residual_block", StringComparison.Ordinal) && module.Value.Contains("griddepcontrol.wait", StringComparison.Ordinal)));
    }

    [Fact]
    public void ClipsOfUnequalLengthHaveAKernelOfTheirOwn()
    {
        static string[] Blocks(SynthesisWork work) => [.. PtxVerb.Of(GpuModel.Find("h100"), work).Select(module => module.Name).Where(name => name.StartsWith("residual_block", StringComparison.Ordinal))];
        Assert.Single(Blocks(Work));
        Assert.Single(Blocks(Work with { Unequal = true }));
        Assert.NotEqual(Blocks(Work), Blocks(Work with { Unequal = true }));
    }
}
