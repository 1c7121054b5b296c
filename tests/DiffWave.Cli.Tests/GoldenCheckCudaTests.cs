using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Cli.Tests;

/// <summary>The reference data on the CUDA backend: every kernel of the engine as it is shipped, executed by the emulator, within the bounds that the CPU is held to.</summary>
public class GoldenCheckCudaTests
{
    [Fact]
    public void EverythingInTheReferenceDataIsWithinItsBound()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Checks = false }); // the kernels' own tests have them on
        using var ops = new CudaOps(driver);
        var lines = GoldenCheck.Run(Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden"), ops);
        Assert.True(lines.All(line => line.Ok), string.Join("\n", lines.Where(line => !line.Ok)));
        Assert.DoesNotContain(lines, line => line.IsNote);
        Assert.Contains(lines, line => line.Name == "cond.int.output" && line.MaxError is > 0 and < 1e-5);
    }
}
