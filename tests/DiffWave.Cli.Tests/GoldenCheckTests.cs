using DiffWave.Cpu;

namespace DiffWave.Cli.Tests;

public class GoldenCheckTests(ITestOutputHelper output)
{
    private static string Golden => Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden");

    [Fact]
    public void Everything()
    {
        using var ops = CpuDevice.Create(threads: 2);
        var lines = GoldenCheck.Run(Environment.GetEnvironmentVariable("GOLDEN") ?? Golden, ops);
        foreach (var line in lines) output.WriteLine($"{(line.Ok ? "ok  " : "FAIL")} {line.File} {line.Name} {line.Shape} {line.MaxError:g3} {line.Bound:g3}");
        Assert.DoesNotContain(lines, line => !line.Ok);
    }
}
