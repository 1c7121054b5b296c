using System.CommandLine;
using DiffWave.Cpu;

namespace DiffWave.Bench;

/// <summary>A command that measures: it takes the options every benchmark has, prints its result and writes it where it is told to.</summary>
internal sealed class BenchVerb : Command
{
    private readonly Option<string> _device = new("--device") { Description = "cpu, cuda, cuda:N or emulator (which has no clock: for trying)" };
    private readonly Option<int> _threads = new("--threads") { Description = "CPU threads", DefaultValueFactory = _ => Environment.ProcessorCount };
    private readonly Option<SimdLevel> _level = new("--simd") { Description = "vector instructions of the CPU" };
    private readonly Option<ulong> _seed = new("--seed") { Description = "of weights, mels and noise", DefaultValueFactory = _ => 1 };
    private readonly Option<int> _rounds = new("--rounds") { Description = "measurements of a case at least", DefaultValueFactory = _ => 9 };
    private readonly Option<int> _mostRounds = new("--most-rounds") { Description = "measurements of a case at most", DefaultValueFactory = _ => 250 };
    private readonly Option<double> _seconds = new("--case-seconds") { Description = "time after which no further measurement of a case is begun" };
    private readonly Option<double> _spread = new("--settled") { Description = "spread of the median at which a case is done", DefaultValueFactory = _ => 0.01 };
    private readonly OutputOptions _output = new();

    /// <summary>The device unless the user names one.</summary>
    public string UsualDevice { get; init; } = "cpu";

    /// <summary>Time for a case unless the user names one.</summary>
    public double UsualSeconds { get; init; } = 10;

    /// <param name="name">The verb.</param>
    /// <param name="description">What it measures.</param>
    /// <param name="run">Measures.</param>
    /// <param name="options">Its own options and arguments.</param>
    public BenchVerb(string name, string description, Func<ParseResult, BenchSettings, Result> run, params Symbol[] options) : base(name, description)
    {
        foreach (Symbol symbol in options)
            if (symbol is Option option) Add(option);
            else Add((Argument)symbol);
        _device.DefaultValueFactory = _ => UsualDevice;
        _seconds.DefaultValueFactory = _ => UsualSeconds;
        foreach (Option option in new Option[] { _device, _threads, _level, _seed, _rounds, _mostRounds, _seconds, _spread }) Add(option);
        _output.AddTo(this);
        SetAction(parsed => Failures.Guard(() =>
        {
            _output.Write(parsed, run(parsed, Settings(parsed)));
            return 0;
        }));
    }

    private BenchSettings Settings(ParseResult parsed)
    {
        int least = parsed.GetValue(_rounds), most = Math.Max(least, parsed.GetValue(_mostRounds));
        if (least < 1) throw new ArgumentException($"--rounds {least}, expected at least 1");
        return new BenchSettings(parsed.GetValue(_device)!, parsed.GetValue(_threads), parsed.GetValue(_level), parsed.GetValue(_seed), new Repeat(least, most, parsed.GetValue(_seconds), parsed.GetValue(_spread)));
    }
}

/// <summary>Where a result goes besides the screen.</summary>
internal sealed class OutputOptions
{
    private readonly Option<string?> _json = new("--json") { Description = "store the result in this file: it can be compared, put into tables and drawn later", HelpName = "FILE" };
    private readonly Option<string?> _markdown = new("--md") { Description = "write the table in Markdown", HelpName = "FILE" };
    private readonly Option<string?> _csv = new("--csv") { Description = "write every figure of every case, numbers in full", HelpName = "FILE" };
    private readonly Option<string?> _html = new("--html") { Description = "write a page with table and charts", HelpName = "FILE" };

    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _json, _markdown, _csv, _html }) command.Add(option);
    }

    public void Write(ParseResult parsed, Result result)
    {
        Console.Write(Table.Text(result));
        if (parsed.GetValue(_json) is { } json) result.Write(json);
        if (parsed.GetValue(_markdown) is { } markdown) TextFile.Write(markdown, Table.Markdown(result.Rows, Layouts.Of(result.Benchmark)));
        if (parsed.GetValue(_csv) is { } csv) TextFile.Write(csv, Table.Csv(result));
        if (parsed.GetValue(_html) is { } html) TextFile.Write(html, HtmlReport.Page([result]));
    }
}

/// <summary>Turns what may go wrong outside of the program into a line and an exit code.</summary>
internal static class Failures
{
    /// <summary>Runs an action; 2 and its message on standard error for wrong input, a missing file or a missing device.</summary>
    public static int Guard(Func<int> action)
    {
        try { return action(); }
        catch (Exception e) when (e is ArgumentException or FormatException or NotSupportedException or IOException or UnauthorizedAccessException or InvalidDataException or InvalidOperationException or Cuda.CudaException)
        {
            Console.Error.WriteLine($"error: {e.Message}");
            return 2;
        }
    }
}
