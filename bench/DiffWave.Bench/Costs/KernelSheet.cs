using System.Globalization;
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

    /// <summary>Its line of a ladder of versions: time of so many rows.</summary>
    public Row LadderRow(long rows)
    {
        double[] clocks = Clocks, within = Clocks;
        within[(int)Bound.L2] = 0;
        double slowest = clocks.Max();
        string Name(double[] parts) => CostSheet.Name((Bound)Array.IndexOf(parts, parts.Max()));
        return new Row(Kernel.Name, null)
        {
            Figures = new Dictionary<string, object?>
            {
                ["channels"] = string.Join(" to ", Shapes.Small.Sizes.Where(size => size.Name is "channels" or "inputs" or "outputs").Select(size => size.Size.ToString(CultureInfo.InvariantCulture))),
                ["clocks"] = slowest, ["bound"] = Name(clocks), ["clocks_from_l1"] = within.Max(), ["bound_from_l1"] = Name(within), ["limit"] = CostSheet.Name(Limit.Bound), ["share_of_limit"] = Limit.Clocks / slowest,
                ["predicted_seconds"] = slowest * rows / TileRows / Gpu.Multiprocessors / Gpu.Clock, ["predicted_seconds_from_l1"] = within.Max() * rows / TileRows / Gpu.Multiprocessors / Gpu.Clock, ["idea"] = Kernel.Idea,
            },
        };
    }

    /// <summary>A row for everything that is counted: of a tile, and of a launch besides its tiles.</summary>
    public Result ToResult()
    {
        double[] clocks = Clocks, once = CostModel.Clocks(Gpu, Once, Once.Touches[0].Read + Once.Touches[0].Written);
        double slowest = clocks.Max();
        Row Of(string name, Func<LaunchWork, double> count, Bound? bound) => new(name, null)
        {
            Figures = new Dictionary<string, object?>
            {
                ["tile"] = count(Tile), ["clocks"] = bound is { } of ? clocks[(int)of] : null, ["share"] = bound is { } part && slowest > 0 ? clocks[(int)part] / slowest : null,
                ["once"] = count(Once), ["once_clocks"] = bound is { } at ? once[(int)at] : null,
            },
        };
        Row[] rows =
        [
            Of("tensor FLOP", work => work[Count.TensorFlops], Bound.Tensor), Of("tensor instructions", work => work[Count.Tensor], null),
            Of("float32 instructions", work => work[Count.Float32], Bound.Fma), Of("16-bit float instructions", work => work[Count.Float16], Bound.Half), Of("integer instructions", work => work[Count.Integer], Bound.Integer),
            Of("special functions", work => work[Count.Special], Bound.Special), Of("conversions", work => work[Count.Conversion], Bound.Convert), Of("exchanges", work => work[Count.Exchange], Bound.Exchange),
            Of("instructions issued", work => work[Count.Issued], Bound.Issue), Of("shared and L1 wavefronts", work => work[Count.SharedWavefronts] + work[Count.GlobalWavefronts], Bound.Shared),
            Of("- of shared memory", work => work[Count.SharedWavefronts], null), Of("L2 bytes", work => 32 * work[Count.Sectors], Bound.L2),
            Of("DRAM bytes, nothing in L2", work => work.Touches[0].Read + work.Touches[0].Written, Bound.Dram), Of("barriers of warps", work => work[Count.Barriers], null),
        ];
        var (limit, least) = Limit;
        string Line(FormattableString line) => line.ToString(CultureInfo.InvariantCulture);
        return new Result("tile", $"predicted: {Kernel.Name}, a tile of {TileRows} rows, counted as the difference of {Shapes.Small} and {Shapes.Large}; clocks of a multiprocessor of {Gpu.Name}, at its share of L2 and device memory",
            [.. rows.Where(row => (double)row.Figures["tile"]! >= 0.5 || (double)row.Figures["once"]! >= 0.5)])
        {
            Machine = Bench.Machine.Describe(), Settings = new Dictionary<string, object?> { ["gpu"] = Gpu.Name, ["kernel"] = Kernel.Name, ["tile_rows"] = TileRows },
            Notes =
            [
                Line($"by definition {Declared.Flops:f0} FLOP and {Declared.Bytes:f0} bytes a tile"),
                Line($"predicted {slowest:f0} clocks a tile, bound by {CostSheet.Name((Bound)Array.IndexOf(clocks, slowest))}; the {CostSheet.Name(limit)} limit is {least:f0}: {least / slowest:p0} of it"),
            ],
        };
    }
}
