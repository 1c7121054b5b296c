using System.Diagnostics;
using System.Text.Json;

namespace DiffWave.Bench;

/// <summary>Which PyTorch to measure against, and how it computes.</summary>
/// <param name="Python">Python with PyTorch.</param>
/// <param name="Script">The peer program.</param>
/// <param name="Mode">fp32, or on a GPU also tf32, amp, compile (bench/peers/README.md).</param>
/// <param name="Cached">Whether it computes the conditioner once a synthesis.</param>
internal sealed record TorchSetting(string Python, string Script, string Mode, bool Cached)
{
    /// <summary>What a report says of the peer, beside its version.</summary>
    public string Describe(bool isCpu, int threads) => isCpu ? $"{threads} threads" : Mode switch
    {
        "fp32" => "fp32",
        "tf32" => "tf32 products",
        "amp" => "autocast to fp16",
        _ => "autocast to fp16, torch.compile max-autotune",
    };
}

/// <summary>The PyTorch peer as a child process that waits for commands, so that its runs alternate with ours.</summary>
internal sealed class TorchPeer : IDisposable
{
    private readonly Process _process;

    /// <summary>PyTorch's version.</summary>
    public string Version { get; }

    /// <param name="setting">Which and how.</param>
    /// <param name="isCpu">Where; else the first GPU.</param>
    /// <param name="arguments">What to serve.</param>
    /// <param name="threads">Threads on the CPU.</param>
    public TorchPeer(TorchSetting setting, bool isCpu, string arguments, int threads)
    {
        string python = setting.Python, device = isCpu ? "cpu" : "cuda";
        var start = new ProcessStartInfo(python, $"\"{setting.Script}\" {arguments} --threads {threads} --device {device} --mode {setting.Mode}") { RedirectStandardInput = true, RedirectStandardOutput = true };
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

    /// <summary>Has the peer do something: its seconds and its peak memory, the device's where it computes on one, else the process's.</summary>
    public (double Seconds, long PeakMemory) Timed(string command)
    {
        var answer = Send(command);
        return (answer.GetProperty("seconds").GetDouble(), answer.GetProperty("peak_bytes").GetInt64());
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
