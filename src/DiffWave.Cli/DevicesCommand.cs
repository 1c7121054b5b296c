using System.CommandLine;
using System.Globalization;
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
        Each line begins with the name that --device takes. Every GPU is opened, so what is listed as usable can
        be used; for others the reason stands in its place. Peaks are those of the data sheet at the clock the
        driver tells. The emulator runs the GPU code on the CPU and checks every access: for checking, far too
        slow for more than tiny models; auto never takes it.

        --json prints devices (name, description, usable, reason and the figures of each; now: clocks,
        temperature, power and what holds a GPU back, where libnvidia-ml tells), missing and auto (name, reason).
        """;

    private const string Examples = """
        # what --device auto will take, and why
        diffwave devices
        # memory that is free on the first GPU, in bytes
        diffwave devices --json | jq '.devices[] | select(.name == "cuda:0").memory_free_bytes'
        """;

    // A GPU as it was found; Reason says why it cannot be used.
    private sealed record Gpu(string Name, CudaDeviceInfo Info, string Text, string? Driver, long? FreeBytes, string? Reason);

    public static Command Create(Session session)
    {
        Option<bool> json = Options.Json();
        var verb = new Verb("devices", "List the devices to compute on, and why others are missing.", Notes, Examples) { json };
        verb.SetAction(parsed =>
        {
            using IOps cpu = CpuDevice.Create();
            using var emulator = new EmulatedDriver();
            Gpu[] gpus = [.. NvidiaDriver.Devices(out string? whyNone).Select(Find)];
            Gpu? first = gpus.FirstOrDefault(gpu => gpu.Reason is null);
            (string name, string reason) = first is not null ? (first.Name, "the first GPU that can be used") : ("cpu", Gpus.First().WhyNone is { } e ? Gpus.Reason(e) : "no GPU can be used");
            long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            if (parsed.GetValue(json))
                session.Out.WriteLine(JsonText.Of(new JsonObject
                {
                    ["devices"] = new JsonArray([CpuJson(cpu, memory), .. gpus.Select(Json), Json(new Gpu("emulator", emulator.Device, emulator.DeviceText, null, emulator.MemoryInfo().Free, null))]),
                    ["missing"] = whyNone is null ? [] : new JsonArray(new JsonObject { ["name"] = "cuda", ["reason"] = whyNone }),
                    ["auto"] = new JsonObject { ["name"] = name, ["reason"] = reason },
                }));
            else
            {
                session.Out.WriteLine($"{cpu.Device}: {Environment.ProcessorCount} processors, {Mebibytes(memory)} of memory");
                foreach (Gpu gpu in gpus) session.Out.WriteLine(Text(gpu));
                if (whyNone is not null) session.Out.WriteLine($"cuda: not available ({whyNone.ReplaceLineEndings(" ")})");
                session.Out.WriteLine($"{emulator.DeviceText}: runs GPU code on the CPU and checks every access; slow, never taken by auto");
                session.Out.WriteLine($"auto: {name} ({reason})");
            }
            return ExitCode.Ok;
        });
        return verb;
    }

    private static Gpu Find(CudaDeviceInfo info, int index)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"cuda:{index}");
        try
        {
            using ICudaDriver driver = Gpus.Open(index);
            return new Gpu(name, info, driver.DeviceText, driver.Description, driver.MemoryInfo().Free, null);
        }
        catch (Exception e) when (Gpus.IsFailure(e)) { return new Gpu(name, info, $"{name} ({info.Name}, sm_{info.Sm})", null, null, Gpus.Reason(e)); }
    }

    private static string Text(Gpu gpu)
    {
        if (gpu.Reason is not null) return $"{gpu.Text}: cannot be used ({gpu.Reason})";
        CudaDeviceInfo info = gpu.Info;
        string clock = info.ClockKilohertz > 0 ? Invariant($" at {info.ClockKilohertz / 1000} MHz") : "", memoryClock = info.MemoryClockKilohertz > 0 ? Invariant($" at {info.MemoryClockKilohertz / 1000} MHz") : "";
        string l2 = info.L2Bytes > 0 ? $", L2 {Mebibytes(info.L2Bytes)}" : "";
        string flops = info.PeakFloat32Flops is { } rate ? Invariant($", peak {rate / 1e12:F1} TFLOP/s in float32") : "", bandwidth = info.PeakMemoryBytesPerSecond is { } bytes ? Invariant($", {bytes / 1e9:F0} GB/s") : "";
        return Invariant($"{gpu.Text}: {info.Multiprocessors} multiprocessors{clock}, {gpu.FreeBytes / 1048576} of {Mebibytes(info.MemoryBytes)} of memory free{memoryClock}{l2}, shared memory {info.SharedBytesPerBlock >> 10} KiB a block{flops}{bandwidth}");
    }

    private static JsonObject CpuJson(IOps cpu, long memory) => new()
    {
        ["name"] = "cpu",
        ["description"] = cpu.Device,
        ["usable"] = true,
        ["reason"] = null,
        ["simd"] = CpuDevice.BestLevel.ToString().ToLowerInvariant(),
        ["processors"] = Environment.ProcessorCount,
        ["threads"] = Environment.ProcessorCount,
        ["memory_bytes"] = memory,
    };

    private static JsonObject Json(Gpu gpu) => new()
    {
        ["name"] = gpu.Name,
        ["description"] = gpu.Info.Name,
        ["usable"] = gpu.Reason is null,
        ["reason"] = gpu.Reason,
        ["driver"] = gpu.Driver,
        ["pci_bus_id"] = gpu.Info.PciBusId.Length > 0 ? gpu.Info.PciBusId : null,
        ["sm"] = gpu.Info.Sm,
        ["multiprocessors"] = gpu.Info.Multiprocessors,
        ["clock_khz"] = Known(gpu.Info.ClockKilohertz),
        ["memory_clock_khz"] = Known(gpu.Info.MemoryClockKilohertz),
        ["memory_bus_bits"] = Known(gpu.Info.MemoryBusBits),
        ["memory_bytes"] = gpu.Info.MemoryBytes,
        ["memory_free_bytes"] = gpu.FreeBytes,
        ["l2_bytes"] = Known(gpu.Info.L2Bytes),
        ["shared_bytes_per_block"] = gpu.Info.SharedBytesPerBlock,
        ["shared_bytes_per_multiprocessor"] = Known(gpu.Info.SharedBytesPerMultiprocessor),
        ["peak_float32_flops"] = gpu.Info.PeakFloat32Flops,
        ["peak_memory_bytes_per_second"] = gpu.Info.PeakMemoryBytesPerSecond,
        ["now"] = Now(gpu.Info.PciBusId),
    };

    // Clocks, temperature and power at this moment; null where the management library does not tell.
    private static JsonObject? Now(string pciBusId)
    {
        using Nvml? nvml = Nvml.Open(pciBusId, out _);
        if (nvml?.Read() is not { } state) return null;
        return new JsonObject
        {
            ["sm_mhz"] = state.SmMegahertz,
            ["max_sm_mhz"] = nvml.MaxSmMegahertz,
            ["memory_mhz"] = state.MemoryMegahertz,
            ["max_memory_mhz"] = nvml.MaxMemoryMegahertz,
            ["temperature_celsius"] = state.TemperatureCelsius,
            ["power_watts"] = state.PowerWatts,
            ["power_limit_watts"] = nvml.PowerLimitWatts,
            ["throttle_reasons"] = state.Throttle?.ToString(),
        };
    }

    private static int? Known(int value) => value > 0 ? value : null;

    private static string Mebibytes(long bytes) => Invariant($"{bytes / 1048576} MiB");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
