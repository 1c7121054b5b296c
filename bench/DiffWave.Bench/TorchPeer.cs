using System.Diagnostics;
using System.Text.Json;

namespace DiffWave.Bench;

/// <summary>The PyTorch peer as a child process that waits for commands, so that its runs alternate with ours.</summary>
internal sealed class TorchPeer : IDisposable
{
    private readonly Process _process;

    /// <summary>The peer's first line: versions and sizes.</summary>
    public JsonElement Ready { get; }

    public TorchPeer(string python, string script, string arguments, int threads)
    {
        var start = new ProcessStartInfo(python, $"\"{script}\" {arguments} --threads {threads}") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string name in new[] { "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS" }) start.Environment[name] = threads.ToString();
        // Keeps large blocks in the process between operations: PyTorch's strongest setting under glibc (bench/peers/README.md).
        start.Environment["GLIBC_TUNABLES"] = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368:glibc.malloc.hugetlb=1";
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{python} did not start");
        Ready = Answer();
    }

    /// <summary>One whole synthesis: its seconds and the process's peak memory.</summary>
    public (double Seconds, long PeakMemory) Synthesize()
    {
        _process.StandardInput.WriteLine("run");
        _process.StandardInput.Flush();
        var answer = Answer();
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
