using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Cli.Tests;

/// <summary>The reference data on the CUDA backend: every kernel of the engine as it is shipped, executed by the emulator.</summary>
public class GoldenCheckCudaTests(ITestOutputHelper output)
{
    [Fact]
    public void EverythingInTheReferenceDataIsWithinItsBound()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Checks = false });
        using var ops = new CudaOps(driver);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var lines = GoldenCheck.Run(Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden"), ops);
        output.WriteLine($"{clock.Elapsed.TotalSeconds} s");
        Assert.True(lines.All(line => line.Ok), string.Join("\n", lines.Where(line => !line.Ok)));
    }
}
