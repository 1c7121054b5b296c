using System.Globalization;
using System.Text;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;
using DiffWave.Kernels;

namespace DiffWave.Bench.Costs;

/// <summary>What a tile of rows costs in a kernel of the catalogue: the difference between two lengths, so that what is done once a launch (weights brought into shared memory) stands apart.</summary>
/// <param name="Gpu">The device.</param>
/// <param name="Kernel">The kernel.</param>
/// <param name="Shapes">The two lengths.</param>
/// <param name="TileRows">Rows of a tile.</param>
/// <param name="Tile">Work of a tile; its touch stands for all buffers together.</param>
/// <param name="Once">Work of a launch without tiles.</param>
/// <param name="Declared">Cost of a tile by the definition of the operation.</param>
internal sealed record KernelSheet(GpuModel Gpu, KernelVersion Kernel, (KernelShape Small, KernelShape Large) Shapes, int TileRows, LaunchWork Tile, LaunchWork Once, (double Flops, double Bytes) Declared)
{
    private const int UsualRows = 2048;

    /// <summary>Counts a kernel at a shape and at twice its rows.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="kernel">A kernel whose shapes have a size named rows.</param>
    /// <param name="shape">Sizes, those not named as usual; null: the usual ones with 2048 rows.</param>
    /// <param name="tileRows">Rows of a tile.</param>
    /// <exception cref="ArgumentException">The kernel has no rows, or cannot do the shape.</exception>
    public static KernelSheet Of(GpuModel gpu, KernelVersion kernel, string? shape, int tileRows)
    {
        if (!kernel.Shapes[0].Sizes.Any(size => size.Name == "rows")) throw new ArgumentException($"{kernel.Name} has no rows: its sizes are {kernel.Shapes[0]}");
        KernelShape small = kernel.Shapes[0].With(shape ?? $"rows={UsualRows}"), large = small.With($"rows={2 * small["rows"]}");
        var (first, firstCost) = Counted(gpu, kernel, small);
        var (second, secondCost) = Counted(gpu, kernel, large);
        double tiles = (double)small["rows"] / tileRows; // between the two, of every item
        Touch before = first.Touches[0], after = second.Touches[0];
        LaunchWork tile = second with
        {
            Counts = [.. first.Counts.Zip(second.Counts, (a, b) => (b - a) / tiles)],
            Touches = [new Touch(0, (after.Read - before.Read) / tiles, (after.Written - before.Written) / tiles)],
        };
        LaunchWork once = first with
        {
            Counts = [.. first.Counts.Zip(second.Counts, (a, b) => Math.Max(0, 2 * a - b))],
            Touches = [new Touch(0, Math.Max(0, 2 * before.Read - after.Read), Math.Max(0, 2 * before.Written - after.Written))],
        };
        return new KernelSheet(gpu, kernel, (small, large), tileRows, tile, once, ((secondCost.Flops - firstCost.Flops) / tiles, (secondCost.Bytes - firstCost.Bytes) / tiles));
    }

    private static (LaunchWork Work, Cost Cost) Counted(GpuModel gpu, KernelVersion kernel, KernelShape shape)
    {
        if (kernel.Problem(shape) is { } problem) throw new ArgumentException($"{kernel.Name}, {shape}: {problem}");
        using var driver = new EmulatedDriver(new EmulatorOptions { Sm = gpu.Sm, Checks = false, Reports = true });
        using var runner = new KernelRunner(driver);

        // Blocks that walk tiles give the same result in any number: one, so that what each does once is there once at either length.
        bool walks = kernel.Method.GetParameters().Any(parameter => parameter.Name == "tiles");
        KernelVersion counted = walks ? kernel with { Trial = OneBlock } : kernel;
        using PreparedTrial trial = runner.Prepare(counted, shape);
        trial.Launch();
        double[] counts = driver.Reports.Select(LaunchWork.CountsOf).Aggregate((a, b) => [.. a.Zip(b, (x, y) => x + y)]);
        AllocationTraffic[] traffic = [.. driver.Reports.SelectMany(report => report.Allocations)];
        LaunchReport last = driver.Reports[^1];
        return (new LaunchWork(last.Kernel, last.Grid, LaunchRecorder.TensorOf(trial.Kernel.Compiled.Ptx), counts, [new Touch(0, 32.0 * traffic.Sum(one => one.SectorsRead), 32.0 * traffic.Sum(one => one.SectorsWritten))]), trial.Trial.Cost);

        KernelTrial OneBlock(KernelShape size)
        {
            KernelTrial trial = kernel.Trial(size);
            return trial with { Launches = [.. trial.Launches.Select(launch => launch with { Grid = new Index3D(1, 1, 1) })] };
        }
    }

    /// <summary>Clocks of a multiprocessor for a tile, by <see cref="Bound"/>.</summary>
    public double[] Clocks => CostModel.Clocks(Gpu, Tile, Tile.Touches[0].Read + Tile.Touches[0].Written);

    /// <summary>Clocks the arithmetic alone needs: matrix products where there are some, else multiply-adds.</summary>
    public (Bound Bound, double Clocks) Limit => Tile.Tensor == TensorKind.None ? (Bound.Fma, Clocks[(int)Bound.Fma]) : (Bound.Tensor, Clocks[(int)Bound.Tensor]);

    /// <summary>What a ladder shows of each version.</summary>
    public static string[] LadderHead => ["kernel", "channels", "clocks", "bound", "if L1 served all", "", "limit", "", "us", "measured us", "idea"];

    /// <summary>A line of the ladder; its time is that of so many rows.</summary>
    public string[] LadderRow(long rows)
    {
        double[] clocks = Clocks, within = Clocks;
        within[(int)Bound.L2] = 0;
        double slowest = clocks.Max(), seconds = slowest * rows / TileRows / Gpu.Multiprocessors / Gpu.Clock;
        string N(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
        string Name(double[] parts) => CostSheet.Name((Bound)Array.IndexOf(parts, parts.Max()));
        string channels = string.Join(" to ", Shapes.Small.Sizes.Where(size => size.Name is "channels" or "inputs" or "outputs").Select(size => N(size.Size, "0")));
        return [Kernel.Name, channels, N(slowest, "0"), Name(clocks), N(within.Max(), "0"), Name(within), CostSheet.Name(Limit.Bound), N(100 * Limit.Clocks / slowest, "0") + "%", N(1e6 * seconds, "0.0"), "", Kernel.Idea];
    }

    public override string ToString()
    {
        double[] clocks = Clocks, once = CostModel.Clocks(Gpu, Once, Once.Touches[0].Read + Once.Touches[0].Written);
        double slowest = clocks.Max();
        var text = new StringBuilder();
        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
        string N(double value) => value.ToString(value < 100 && value != Math.Floor(value) ? "0.0" : "0", CultureInfo.InvariantCulture);
        Line($"{Kernel.Name}, a tile of {TileRows} rows, counted as the difference of {Shapes.Small} and {Shapes.Large}; clocks of a multiprocessor of {Gpu.Name}, at its share of L2 and device memory");
        string[] Row(string name, Func<LaunchWork, double> count, Bound? bound) => bound is { } known
            ? [name, N(count(Tile)), N(clocks[(int)known]), slowest > 0 ? (100 * clocks[(int)known] / slowest).ToString("0", CultureInfo.InvariantCulture) + "%" : "", N(count(Once)), N(once[(int)known])]
            : [name, N(count(Tile)), "", "", N(count(Once)), ""];
        string[][] rows =
        [
            Row("tensor FLOP", work => work[Count.TensorFlops], Bound.Tensor), Row("tensor instructions", work => work[Count.Tensor], null),
            Row("float32 instructions", work => work[Count.Float32], Bound.Fma), Row("16-bit float instructions", work => work[Count.Float16], Bound.Half), Row("integer instructions", work => work[Count.Integer], Bound.Integer),
            Row("special functions", work => work[Count.Special], Bound.Special), Row("conversions", work => work[Count.Conversion], Bound.Convert), Row("exchanges", work => work[Count.Exchange], Bound.Exchange),
            Row("instructions issued", work => work[Count.Issued], Bound.Issue), Row("shared and L1 wavefronts", work => work[Count.SharedWavefronts] + work[Count.GlobalWavefronts], Bound.Shared),
            Row("  of shared memory", work => work[Count.SharedWavefronts], null), Row("L2 bytes", work => 32 * work[Count.Sectors], Bound.L2),
            Row("DRAM bytes, nothing in L2", work => work.Touches[0].Read + work.Touches[0].Written, Bound.Dram), Row("barriers of warps", work => work[Count.Barriers], null),
        ];
        text.Append(Table.Format(["", "a tile", "clocks", "of the slowest", "once a launch", "clocks"], leftColumns: [0], rows.Where(row => row[1] != "0" || row[4] != "0")));
        Line($"by definition {N(Declared.Flops)} FLOP and {N(Declared.Bytes)} bytes a tile");
        var (limit, least) = Limit;
        Line($"predicted {N(slowest)} clocks a tile, bound by {CostSheet.Name((Bound)Array.IndexOf(clocks, slowest))}; the {CostSheet.Name(limit)} limit is {N(least)}: {least / slowest:p0} of it");
        return text.ToString();
    }

    /// <summary>For a file.</summary>
    public Dictionary<string, object?> ToJson() => new()
    {
        ["gpu"] = Gpu.Name, ["kernel"] = Kernel.Name, ["shapes"] = new[] { Shapes.Small.ToString(), Shapes.Large.ToString() }, ["tile_rows"] = TileRows,
        ["tile"] = Enum.GetValues<Count>().ToDictionary(count => count.ToString(), count => Tile[count]), ["tile_dram_bytes"] = Tile.Touches[0].Read + Tile.Touches[0].Written,
        ["once"] = Enum.GetValues<Count>().ToDictionary(count => count.ToString(), count => Once[count]), ["tile_flops_by_definition"] = Declared.Flops, ["tile_bytes_by_definition"] = Declared.Bytes,
        ["tile_clocks"] = Enum.GetValues<Bound>().ToDictionary(CostSheet.Name, bound => Clocks[(int)bound]), ["limit"] = CostSheet.Name(Limit.Bound), ["limit_clocks"] = Limit.Clocks,
    };
}
