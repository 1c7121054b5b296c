using System.ComponentModel;
using System.Diagnostics;
using System.Xml.Linq;

namespace DiffWave.Engine.Tests;

/// <summary>The shape of the repository: which project may reference which, how long a source file may be, what stands at the top level.</summary>
public class ArchitectureTests
{
    private const int LongestFile = 600;

    private static readonly Dictionary<string, string[]> AllowedReferences = new()
    {
        ["DiffWave.Audio"] = [],
        ["DiffWave.Device"] = [],
        ["DiffWave.Engine"] = ["DiffWave.Audio"],
        ["DiffWave.Cpu"] = ["DiffWave.Engine"],
        ["DiffWave.Kernels"] = ["DiffWave.Device"],
        ["DiffWave.Compiler"] = ["DiffWave.Device"],
        ["DiffWave.Cuda"] = ["DiffWave.Engine", "DiffWave.Kernels", "DiffWave.Compiler"],
        ["DiffWave.Emulator"] = ["DiffWave.Cuda"],
        ["DiffWave.Cli"] = Programs,
        ["DiffWave.Bench"] = Programs,
    };

    private static string[] Programs =>
        ["DiffWave.Audio", "DiffWave.Engine", "DiffWave.Cpu", "DiffWave.Cuda", "DiffWave.Emulator", "DiffWave.Kernels", "DiffWave.Compiler", "DiffWave.Device"];

    private static readonly string[] TopLevel = ["DiffWaveKernels.sln", "src", "kernels", "tests", "bench", "tools", "README.md"];

    private static string Root
    {
        get
        {
            for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
                if (File.Exists(Path.Combine(folder.FullName, "DiffWaveKernels.sln"))) return folder.FullName;
            Assert.Skip("the tests run outside the repository: no DiffWaveKernels.sln above " + AppContext.BaseDirectory);
            return "";
        }
    }

    [Fact]
    public void ProjectsReferenceOnlyWhatTheDesignAllows()
    {
        string[] projects = [.. Files("*.csproj")];
        Assert.Contains(projects, path => Path.GetFileName(path) == "DiffWave.Engine.csproj");
        Assert.Empty(projects.SelectMany(path => ForbiddenReferences(path, XDocument.Load(path))));
    }

    [Theory]
    [InlineData("src/DiffWave.Audio/DiffWave.Audio.csproj", "../DiffWave.Engine/DiffWave.Engine.csproj", true)]
    [InlineData("src/DiffWave.Engine/DiffWave.Engine.csproj", "..\\DiffWave.Cpu\\DiffWave.Cpu.csproj", true)]
    [InlineData("src/DiffWave.Cpu/DiffWave.Cpu.csproj", "../DiffWave.Audio/DiffWave.Audio.csproj", true)]
    [InlineData("src/DiffWave.Novel/DiffWave.Novel.csproj", "../DiffWave.Audio/DiffWave.Audio.csproj", true)]
    [InlineData("src/DiffWave.Emulator/DiffWave.Emulator.csproj", "../DiffWave.Compiler/DiffWave.Compiler.csproj", true)]
    [InlineData("tests/DiffWave.Cpu.Tests/DiffWave.Cpu.Tests.csproj", "../DiffWave.Engine.Tests/DiffWave.Engine.Tests.csproj", true)]
    [InlineData("src/DiffWave.Cpu/DiffWave.Cpu.csproj", "../DiffWave.Engine/DiffWave.Engine.csproj", false)]
    [InlineData("src/DiffWave.Cli/DiffWave.Cli.csproj", "../DiffWave.Cuda/DiffWave.Cuda.csproj", false)]
    [InlineData("tests/DiffWave.Cpu.Tests/DiffWave.Cpu.Tests.csproj", "../../src/DiffWave.Cpu/DiffWave.Cpu.csproj", false)]
    public void TheRuleItselfTellsGoodFromBad(string path, string reference, bool forbidden) =>
        Assert.Equal(forbidden, ForbiddenReferences(path, XDocument.Parse($"""<Project><ItemGroup><ProjectReference Include="{reference}" /></ItemGroup></Project>""")).Any());

    [Fact]
    public void NoSourceFileIsTooLong()
    {
        string[] sources = [.. Files("*.cs")];
        Assert.NotEmpty(sources);
        Assert.DoesNotContain(sources.Select(path => (Path: Path.GetRelativePath(Root, path), Lines: File.ReadLines(path).Count())), file => file.Lines > LongestFile);
    }

    [Fact]
    public void TheTopLevelHoldsOnlyTheAgreedEntries()
    {
        var tracked = TrackedFiles();
        Assert.SkipWhen(tracked is null, "no git checkout: tracked files cannot be told from build output");
        var entries = tracked!.Select(path => path.Split('/')[0]).Distinct().ToList();
        Assert.Contains("src", entries);
        Assert.DoesNotContain(entries, entry => !TopLevel.Contains(entry) && !entry.StartsWith('.') && !(entry.StartsWith("Directory.") && entry.EndsWith(".props")));
    }

    private static IEnumerable<string> ForbiddenReferences(string projectPath, XDocument project)
    {
        string name = Path.GetFileNameWithoutExtension(projectPath);
        bool isTest = name.EndsWith(".Tests", StringComparison.Ordinal);
        if (!isTest && !AllowedReferences.ContainsKey(name))
        {
            yield return $"{name}: not in the agreed graph; add it to {nameof(AllowedReferences)} if it belongs there";
            yield break;
        }
        foreach (var reference in project.Descendants().Where(element => element.Name.LocalName == "ProjectReference"))
        {
            string target = Path.GetFileNameWithoutExtension(((string?)reference.Attribute("Include") ?? "").Replace('\\', '/'));
            bool allowed = isTest ? AllowedReferences.ContainsKey(target) : AllowedReferences[name].Contains(target);
            if (!allowed) yield return $"{name} -> {target}";
        }
    }

    private static IEnumerable<string> Files(string pattern) =>
        new[] { "src", "kernels", "tests", "bench", "tools" }.Select(folder => Path.Combine(Root, folder)).Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, pattern, SearchOption.AllDirectories))
            .Where(path => !Path.GetRelativePath(Root, path).Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"));

    // Null when git is missing or the folder is no checkout.
    private static List<string>? TrackedFiles()
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["ls-files", "-z"]) { WorkingDirectory = Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
            git.ErrorDataReceived += (_, _) => { };
            git.BeginErrorReadLine();
            string output = git.StandardOutput.ReadToEnd();
            git.WaitForExit();
            return git.ExitCode == 0 ? [.. output.Split('\0', StringSplitOptions.RemoveEmptyEntries)] : null;
        }
        catch (Win32Exception) { return null; }
    }
}
