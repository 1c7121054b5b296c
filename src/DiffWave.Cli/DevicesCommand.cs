using System.CommandLine;
using System.Text.Json.Nodes;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave devices</c>: what this machine can compute on.</summary>
internal static class DevicesCommand
{
    private const string Notes = """
        The emulator and, so far, GPUs run single kernels (see diffwave kernels); synthesis and training are
        computed on the CPU.
        """;

    private const string Examples = """
        # what --device auto will take, and why
        diffwave devices
        """;

    public static Command Create(Session session)
    {
        Option<bool> json = Options.Json();
        var verb = new Verb("devices", "List the devices this build can compute on, and why others are missing.", Notes, Examples) { json };
        verb.SetAction(parsed =>
        {
            using IOps cpu = CpuDevice.Create();
            using var emulator = new EmulatedDriver();
            IReadOnlyList<CudaDeviceInfo> gpus = NvidiaDriver.Devices(out string? whyNone);
            long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            if (parsed.GetValue(json))
                session.Out.WriteLine(JsonText.Of(new JsonObject
                {
                    ["devices"] = new JsonArray([new JsonObject
                    {
                        ["name"] = "cpu",
                        ["description"] = cpu.Device,
                        ["simd"] = CpuDevice.BestLevel.ToString().ToLowerInvariant(),
                        ["processors"] = Environment.ProcessorCount,
                        ["threads"] = Environment.ProcessorCount,
                        ["memory_bytes"] = memory,
                        ["only_kernels"] = false,
                    }, Gpu("emulator", emulator.Device), .. gpus.Select(gpu => Gpu("cuda", gpu))]),
                    ["missing"] = whyNone is null ? [] : new JsonArray(new JsonObject { ["name"] = "cuda", ["reason"] = whyNone }),
                }));
            else
            {
                session.Out.WriteLine($"{cpu.Device}: {Environment.ProcessorCount} processors, {memory / 1048576.0:F0} MiB of memory");
                session.Out.WriteLine($"{KernelsDevice.Text(emulator)}: single kernels");
                foreach (CudaDeviceInfo gpu in gpus) session.Out.WriteLine($"cuda ({gpu.Name}, sm_{gpu.Sm}): single kernels, {gpu.MemoryBytes / 1048576.0:F0} MiB of memory");
                if (whyNone is not null) session.Out.WriteLine($"cuda: not available ({whyNone})");
            }
            return ExitCode.Ok;
        });
        return verb;
    }

    private static JsonObject Gpu(string name, CudaDeviceInfo device) => new()
    {
        ["name"] = name, ["description"] = device.Name, ["sm"] = device.Sm, ["multiprocessors"] = device.Multiprocessors, ["memory_bytes"] = device.MemoryBytes, ["only_kernels"] = true,
    };
}
