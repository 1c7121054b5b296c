using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace DiffWave.Bench;

/// <summary>Which PyTorch to measure against.</summary>
/// <param name="Python">Python with PyTorch.</param>
/// <param name="Script">The peer program.</param>
internal sealed record TorchSetting(string Python, string Script);

/// <summary>The peer cannot be asked: it did not start, it ended, or it does not know the command.</summary>
internal sealed class PeerException(string message) : InvalidOperationException(message);

/// <summary>The PyTorch peer as a child process that waits for commands, so that its runs alternate with ours.</summary>
internal sealed class TorchPeer : IDisposable
{
    private const string Installation = "bench/peers/README.md tells how to install it";
    private const int RestMilliseconds = 20, MostRests = 50; // a process's time is told in steps of ten

    private readonly Process _process;

    /// <summary>PyTorch's version.</summary>
    public string Version { get; }

    /// <summary>Processor time it has taken so far.</summary>
    public double ProcessorSeconds
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime.TotalSeconds;
        }
    }

    /// <param name="setting">Which PyTorch.</param>
    /// <param name="isCpu">Where; else the first GPU.</param>
    /// <param name="mode">fp32, or on a GPU also tf32, amp, compile (bench/peers/README.md).</param>
    /// <param name="threads">Threads on the CPU.</param>
    /// <param name="arguments">What to serve.</param>
    /// <exception cref="PeerException">It does not start.</exception>
    public TorchPeer(TorchSetting setting, bool isCpu, string mode, int threads, params IEnumerable<string> arguments)
    {
        if (!File.Exists(setting.Script)) throw new PeerException($"{setting.Script}: no such file; run from the root of the repository, or name the peer program with --peer-script");
        string count = threads.ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(setting.Python, [setting.Script, .. arguments, "--threads", count, "--device", isCpu ? "cpu" : "cuda", "--mode", mode]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string name in new[] { "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS" }) start.Environment[name] = count;
        // Keeps large blocks in the process between operations: PyTorch's strongest setting under glibc (bench/peers/README.md).
        start.Environment["GLIBC_TUNABLES"] = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368:glibc.malloc.hugetlb=1";
        try { _process = Process.Start(start)!; }
        catch (Win32Exception e) { throw new PeerException($"--peer {setting.Python}: {e.Message}; name a Python with PyTorch ({Installation})"); }
        Version = Answer().GetProperty("torch").GetString()!;
    }

    /// <summary>The Python to take: the one that was named, or the first of those on PATH and /usr/bin that finds PyTorch.</summary>
    /// <exception cref="PeerException">None does.</exception>
    public static string FindPython(string? named)
    {
        if (named is not null) return named;
        string[] folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator), "/usr/bin"];
        string[] found = [.. folders.Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "python.exe" : "python3")).Where(File.Exists).Distinct()];
        return found.FirstOrDefault(HasTorch) ?? throw new PeerException($"no Python with PyTorch ({(found.Length == 0 ? "no python3 on PATH" : string.Join(", ", found) + " have none")}); name one with --peer PYTHON; {Installation}");
    }

    private static bool HasTorch(string python)
    {
        using Process asked = Process.Start(python, ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"]);
        asked.WaitForExit();
        return asked.ExitCode == 0;
    }

    /// <summary>Has the peer do something and gives its answer.</summary>
    /// <exception cref="PeerException">It ended, or does not know the command.</exception>
    public JsonElement Send(string command)
    {
        try
        {
            _process.StandardInput.WriteLine(command);
            _process.StandardInput.Flush();
        }
        catch (IOException) { } // it has ended: so says its answer
        JsonElement answer = Answer();
        return answer.TryGetProperty("error", out JsonElement error) ? throw new PeerException($"the PyTorch peer: {error.GetString()}") : answer;
    }

    /// <summary>Has the peer do something, and lets it come to rest: its seconds and its peak memory, the device's where it computes on one, else the process's.</summary>
    public (double Seconds, long PeakMemory) Timed(string command)
    {
        JsonElement answer = Send(command);
        Rest();
        return (answer.GetProperty("seconds").GetDouble(), answer.GetProperty("peak_bytes").GetInt64());
    }

    // For up to a tenth of a second after its answer the peer keeps a processor busy, which whatever is measured next would lack.
    private void Rest()
    {
        double before = ProcessorSeconds;
        for (int quiet = 0, waited = 0; quiet < 2 && waited < MostRests && !_process.HasExited; waited++)
        {
            Thread.Sleep(RestMilliseconds);
            double now = ProcessorSeconds;
            quiet = now > before ? 0 : quiet + 1;
            before = now;
        }
    }

    private JsonElement Answer() =>
        JsonDocument.Parse(_process.StandardOutput.ReadLine() ?? throw new PeerException($"the PyTorch peer ended: its message is above; {Installation}")).RootElement;

    public void Dispose()
    {
        try
        {
            if (!_process.HasExited)
            {
                _process.StandardInput.WriteLine("quit");
                _process.StandardInput.Flush();
                if (!_process.WaitForExit(5000)) _process.Kill();
            }
        }
        catch (IOException) { } // it ended in between
        _process.Dispose();
    }
}
