using DiffWave.Kernels;

namespace DiffWave.Bench;

/// <summary>The roofline of a GPU: its measured ceilings, and every kernel of the catalogue under them.</summary>
internal static class GpuRoofline
{
    /// <summary>The cases of a device, which is opened when the first of them runs. The emulator, which has no clock, tells resources of kernels only.</summary>
    /// <param name="settings">The device.</param>
    /// <param name="bench">Opens it.</param>
    /// <param name="sizes">Sizes for every kernel that can have them, such as <c>rows=16384</c>; null: the usual ones.</param>
    public static IEnumerable<BenchCase> Cases(BenchSettings settings, Lazy<KernelBench> bench, string? sizes = null)
    {
        if (settings.Device != "emulator")
            foreach (string name in GpuCeilings.Names) yield return new BenchCase($"ceiling/{name}", () => bench.Value.Ceilings.Row(name));
        foreach (KernelVersion version in KernelCatalog.All)
        {
            KernelShape shape = Sized(version, sizes);
            yield return new BenchCase($"kernel/{version.Name}/{shape}", () => bench.Value.Measure(version, shape));
        }
    }

    /// <summary>Runs the cases whose names hold a filter.</summary>
    public static Result Run(BenchSettings settings, string? sizes)
    {
        using var bench = new KernelBench(settings);
        Result result = Suite.Run("roofline", "kernels and ceilings", settings, [.. Cases(settings, new Lazy<KernelBench>(bench), sizes)]);
        return Noted(result, bench);
    }

    /// <summary>A result with what its reader has to know of how it was measured.</summary>
    public static Result Noted(Result result, KernelBench bench)
    {
        if (!bench.HasClock) return result with { Notes = [.. result.Notes, "The emulator has no clock: no times. Registers are those the PTX declares, and occupancy does not know those of the device."] };
        Row[] timed = [.. result.Rows.Where(row => row.Value("held") is bool)];
        int discarded = timed.Sum(row => (int)row.Value("discarded_rounds")!), free = timed.Count(row => row.Value("held") is false);
        var about = new Dictionary<string, object?>(result.Machine);
        foreach (var (name, value) in bench.Clocks.Describe()) about[name] = value;
        return result with
        {
            Machine = about,
            Notes =
            [
                .. result.Notes,
                "us: the device's clock around one run with a cold L2 cache; hot: back to back, averaged. GFLOP/s, GB/s and FLOP/B by definition of the operation, of the cold time. Roof: the lower of the compute ceiling (tensor where a kernel has matrix products, tf32 at half of it; else fma) and intensity x copy; neither: less than a quarter of it is reached.",
                free == 0 ? "The stream was held until everything was queued: no time of the host is in these." : $"{free} of {timed.Length} cases without holding the stream, which the driver cannot do here: some microseconds of the host may be in them.",
                $"{bench.Clocks.Note()}; {discarded} rounds discarded.",
            ],
        };
    }

    private static KernelShape Sized(KernelVersion version, string? sizes)
    {
        KernelShape usual = version.Shapes[0];
        if (sizes is null) return usual;
        string[] known = [.. sizes.Split(',', StringSplitOptions.TrimEntries).Where(part => usual.Sizes.Any(size => part.StartsWith(size.Name + "=", StringComparison.Ordinal)))];
        KernelShape asked = known.Length == 0 ? usual : usual.With(string.Join(',', known));
        return version.Problem(asked) is null ? asked : usual;
    }
}
