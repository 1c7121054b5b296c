using System.Diagnostics;
using System.Text.Json;

namespace DiffWave.Bench;

/// <summary>The PyTorch peer as a child process that waits for commands, so that its runs alternate with ours.</summary>
internal sealed class TorchPeer : IDisposable
{
    private readonly Process _process;

    /// <summary>PyTorch's version.</summary>
    public string Version { get; }

    public TorchPeer(string python, string script, string arguments, int threads)
    {
        var start = new ProcessStartInfo(python, $"\"{script}\" {arguments} --threads {threads}") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string name in new[] { "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS" }) start.Environment[name] = threads.ToString();
        // Keeps large blocks in the process between operations: PyTorch's strongest setting under glibc (bench/peers/README.md).
        start.Environment["GLIBC_TUNABLES"] = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368:glibc.malloc.hugetlb=1";
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{python} did not start");
        Version = Answer().GetProperty("torch").GetString()!;
    }

    /// <summary>Has the peer do something and gives its answer.</summary>
    public JsonElement Send(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
        return Answer();
    }

    /// <summary>Has the peer do something: its seconds and the process's peak memory.</summary>
    public (double Seconds, long PeakMemory) Timed(string command)
    {
        var answer = Send(command);
        return (answer.GetProperty("seconds").GetDouble(), answer.GetProperty("peak_rss_bytes").GetInt64());
    }

    private JsonElement Answer() =>
        JsonDocument.Parse(_process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("the PyTorch peer ended: its message is above; bench/peers/README.md tells how to install it")).RootElement;

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.WriteLine("quit");
            _process.StandardInput.Flush();
            _process.WaitForExit(5000);
        }
        _process.Dispose();
    }
}
