using System.Reflection;
using DiffWave.Compiler;

namespace DiffWave.Kernels.Tests;

/// <summary>Every kernel that may be launched early, as it is compiled for that.</summary>
public class EarlyLaunchTests
{
    public static TheoryData<string> Names => [.. KernelCatalog.All.Where(version => version.Method.GetParameters().Any(parameter => parameter.Name == "early")).Select(version => version.Name)];

    [Theory, MemberData(nameof(Names))]
    public void WaitsOnceThenLetsTheNextBeginAndComputesTheSame(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        IReadOnlyDictionary<string, object> Early(KernelShape shape) => new Dictionary<string, object>(version.Constants(shape)) { ["early"] = true };
        string[] lines = [.. KernelCompiler.Compile(version.Method, new PtxTarget(90), Early(version.Shapes[0]), new CompileOptions { LineInfo = false }).Ptx.Split('\n').Select(line => line.Trim())];
        int wait = Array.IndexOf(lines, "griddepcontrol.wait;");
        Assert.Equal("griddepcontrol.launch_dependents;", lines[wait + 1]);
        Assert.Equal(2, lines.Count(line => line.StartsWith("griddepcontrol", StringComparison.Ordinal)));
        Assert.DoesNotContain(lines[..wait], line => line.StartsWith("st.global", StringComparison.Ordinal));
        Assert.DoesNotContain("griddepcontrol", Ptx.Of(name), StringComparison.Ordinal);
        Assert.All(OnEmulator.Check(version with { Constants = Early }, version.Shapes[0]), check => Assert.True(check.Ok, $"{name}: {check}"));
    }
}
