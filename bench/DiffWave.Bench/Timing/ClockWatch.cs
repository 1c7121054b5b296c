using System.Globalization;
using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>Watches the clocks of a GPU while it is measured, so that what was measured at a low clock can be thrown away. Where NVIDIA's management library does not tell, nothing is slow and the result says so.</summary>
internal sealed class ClockWatch : IDisposable
{
    private const double Least = 0.8; // of the highest clock seen

    private readonly Nvml? nvml;
    private readonly string? whyNone;
    private readonly GpuState? before;
    private int highest;

    /// <param name="pciBusId">Where the GPU is.</param>
    public ClockWatch(string pciBusId)
    {
        nvml = Nvml.Open(pciBusId, out whyNone);
        before = nvml?.Read();
    }

    /// <summary>Whether the multiprocessors run at less than 80 % of the highest clock seen so far. To be asked right after work: an idle GPU is slow too.</summary>
    public bool IsSlow()
    {
        if (nvml?.ReadSmMegahertz() is not { } now) return false;
        highest = Math.Max(highest, now);
        return now < Least * highest;
    }

    /// <summary>For a result's file: clocks, temperature, power and what held the clocks back, before and now; where nothing is told, why.</summary>
    public Dictionary<string, object?> Describe()
    {
        if (nvml is null) return new() { ["gpu_clocks"] = $"unknown ({whyNone})" };
        var about = new Dictionary<string, object?> { ["gpu_max_sm_mhz"] = nvml.MaxSmMegahertz, ["gpu_power_limit_watts"] = nvml.PowerLimitWatts, ["gpu_highest_sm_mhz"] = highest > 0 ? highest : null };
        Add("before", before!);
        Add("after", nvml.Read());
        return about;

        void Add(string when, GpuState state) => (about[$"gpu_sm_mhz_{when}"], about[$"gpu_memory_mhz_{when}"], about[$"gpu_celsius_{when}"], about[$"gpu_watts_{when}"], about[$"gpu_throttle_{when}"]) =
            (state.SmMegahertz, state.MemoryMegahertz, state.TemperatureCelsius, state.PowerWatts, state.Throttle?.ToString());
    }

    /// <summary>The same in a line for people.</summary>
    public string Note()
    {
        if (nvml is null) return $"clocks: unknown ({whyNone}); rounds at a low clock could not be told apart";
        return $"clocks: before {Text(before!)}; after {Text(nvml.Read())}{(highest > 0 ? string.Create(CultureInfo.InvariantCulture, $"; highest {highest} MHz") : "")}";

        static string Text(GpuState state) => string.Create(CultureInfo.InvariantCulture,
            $"{Known(state.SmMegahertz)} MHz, memory {Known(state.MemoryMegahertz)} MHz, {Known(state.TemperatureCelsius)} C, {Known(state.PowerWatts is { } watts ? (int)Math.Round(watts) : null)} W, held back by {state.Throttle?.ToString() ?? "?"}");
        static string Known(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "?";
    }

    public void Dispose() => nvml?.Dispose();
}
