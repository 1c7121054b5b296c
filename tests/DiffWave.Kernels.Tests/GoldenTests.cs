using System.Collections.Concurrent;
using DiffWave.Compiler;

namespace DiffWave.Kernels.Tests;

/// <summary>The PTX of every kernel is a file of the repository, so that what a change does to it shows as a diff.</summary>
public class GoldenTests
{
    private const string Regenerate = "dotnet run --project src/DiffWave.Cli -c Release -- kernels ptx --all --no-lines -o tests/DiffWave.Kernels.Tests/Golden";

    private static string Folder => Path.Combine(Repository.Root, "tests", "DiffWave.Kernels.Tests", "Golden");

    [Theory, MemberData(nameof(CatalogueTests.Names), MemberType = typeof(CatalogueTests))]
    public void ThePtxIsTheGoldenOne(string name)
    {
        string path = Path.Combine(Folder, $"{name}.ptx");
        string[] actual = Ptx.Of(name).Split('\n'), golden = File.Exists(path) ? File.ReadAllText(path).Split('\n') : [];
        int line = actual.Zip(golden).TakeWhile(pair => pair.First == pair.Second).Count();
        if (line < Math.Max(actual.Length, golden.Length))
            Assert.Fail($"{name}.ptx differs from line {line + 1} on:\n  golden: {golden.ElementAtOrDefault(line)}\n  now:    {actual.ElementAtOrDefault(line)}\nIf that is meant, write the files anew and read their diff:\n  {Regenerate}");
    }

    [Fact]
    public void NoGoldenFileIsLeftOver() => Assert.Empty(Directory.EnumerateFiles(Folder).Select(Path.GetFileName).Except(KernelCatalog.All.Select(version => $"{version.Name}.ptx")));
}

/// <summary>PTX as the golden files have it.</summary>
internal static class Ptx
{
    private static readonly ConcurrentDictionary<string, string> Known = new();

    public static string Of(string name) => Known.GetOrAdd(name, _ =>
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        return KernelCompiler.Compile(version.Method, new PtxTarget(80), version.Constants(version.Shapes[0]), new CompileOptions { LineInfo = false }).Ptx;
    });

    /// <summary>The instructions of the innermost loop that holds a word, from its label to the branch back; each without guard, as written.</summary>
    public static List<string> Loop(string ptx, string word)
    {
        string[] lines = [.. ptx.Split('\n').Select(line => line.Trim())];
        List<string>? best = null;
        for (int end = 0; end < lines.Length; end++)
        {
            string[] parts = lines[end].TrimEnd(';').Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            int branch = Array.FindIndex(parts, part => part is "bra" or "bra.uni");
            if (branch < 0) continue;
            int start = Array.IndexOf(lines, parts[branch + 1] + ":");
            if (start < 0 || start > end) continue;
            List<string> body = [.. lines[(start + 1)..(end + 1)].Where(line => line.Length > 0 && !line.EndsWith(':') && !line.StartsWith('.') && !line.StartsWith("//"))
                .Select(line => line.StartsWith('@') ? line[line.IndexOf(' ')..].Trim() : line)];
            if (body.Any(line => line.Contains(word, StringComparison.Ordinal)) && (best is null || body.Count < best.Count)) best = body;
        }
        return best ?? throw new InvalidOperationException($"no loop holds {word}");
    }
}
