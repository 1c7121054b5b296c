using System.CommandLine;
using System.Text.Json.Nodes;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave devices</c>: what this machine can compute on.</summary>
internal static class DevicesCommand
{
    private const string Examples = """
        # what --device auto will take, and why
        diffwave devices
        """;

    public static Command Create(Session session)
    {
        Option<bool> json = Options.Json();
        var verb = new Verb("devices", "List the devices this build can compute on, and why others are missing.", "", Examples) { json };
        verb.SetAction(parsed =>
        {
            using IOps cpu = CpuDevice.Create();
            long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            if (parsed.GetValue(json))
                session.Out.WriteLine(JsonText.Of(new JsonObject
                {
                    ["devices"] = new JsonArray(new JsonObject
                    {
                        ["name"] = "cpu",
                        ["description"] = cpu.Device,
                        ["simd"] = CpuDevice.BestLevel.ToString().ToLowerInvariant(),
                        ["processors"] = Environment.ProcessorCount,
                        ["threads"] = Environment.ProcessorCount,
                        ["memory_bytes"] = memory,
                    }),
                    ["missing"] = new JsonArray(new JsonObject { ["name"] = "cuda", ["reason"] = DeviceChoice.NoGpu }),
                }));
            else
            {
                session.Out.WriteLine($"{cpu.Device}: {Environment.ProcessorCount} processors, {memory / 1048576.0:F0} MiB of memory");
                session.Out.WriteLine($"cuda: not available ({DeviceChoice.NoGpu})");
            }
            return ExitCode.Ok;
        });
        return verb;
    }
}
