using System.CommandLine;

namespace DiffWave.Bench;

/// <summary><c>micro</c>: what operations are made of, and the host's work.</summary>
internal static class MicroVerb
{
    public static Command Create()
    {
        var filter = new Option<string?>("--filter") { Description = "cases whose name holds this", HelpName = "TEXT" };
        var list = new Option<bool>("--list") { Description = "print the names and measure nothing" };
        var isLong = new Option<bool>("--long") { Description = "27 measurements of 0.3 s instead of 9 of 0.1 s" };
        var artifacts = new Option<string?>("--artifacts") { Description = "keep what BenchmarkDotNet writes in this folder; without it goes to a temporary one", HelpName = "FOLDER" };
        var verbose = new Option<bool>("--verbose") { Description = "show what BenchmarkDotNet says" };
        var output = new OutputOptions();
        var micro = new Command("micro", "the pieces of operations and the host's work, by BenchmarkDotNet: matrix panels, gate, noise, mel, FFT, resampler, files; one thread") { filter, list, isLong, artifacts, verbose };
        output.AddTo(micro);
        micro.SetAction(parsed => Failures.Guard(() =>
        {
            string? part = parsed.GetValue(filter);
            MicroCase[] cases = [.. MicroCase.All.Where(one => part is null || $"micro/{one.Name}".Contains(part, StringComparison.Ordinal))];
            if (cases.Length == 0) throw new ArgumentException($"--filter: no case holds '{part}' in its name; --list prints them all");
            if (parsed.GetValue(list))
            {
                foreach (MicroCase one in cases) Console.WriteLine($"micro/{one.Name}");
                return 0;
            }
            string? kept = parsed.GetValue(artifacts);
            DirectoryInfo folder = kept is null ? Directory.CreateTempSubdirectory("diffwave-micro-") : Directory.CreateDirectory(kept);
            try { output.Write(parsed, Run(cases, parsed.GetValue(isLong), folder.FullName, parsed.GetValue(verbose))); }
            finally
            {
                if (kept is null) folder.Delete(recursive: true);
            }
            return 0;
        }));
        return micro;
    }

    private static Result Run(MicroCase[] cases, bool isLong, string folder, bool isVerbose)
    {
        using var said = new StringWriter();
        try
        {
            Result result = MicroBench.Run(cases, isLong, folder, isVerbose ? Console.Error : said);
            if (!isVerbose && result.Notes.Count > 0) Console.Error.Write(said);
            return result;
        }
        catch (FileNotFoundException e) when (e.FileName?.StartsWith("BenchmarkDotNet", StringComparison.Ordinal) == true)
        {
            throw new NotSupportedException("micro: this is a published copy, which leaves BenchmarkDotNet out; run it from the repository: dotnet run -c Release --project bench/DiffWave.Bench -- micro", e);
        }
    }
}
