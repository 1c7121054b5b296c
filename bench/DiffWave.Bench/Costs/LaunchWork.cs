using DiffWave.Cuda;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Execution;

namespace DiffWave.Bench.Costs;

/// <summary>What is counted of a launch, summed over its blocks.</summary>
internal enum Count
{
    /// <summary>Warp instructions that take an issue slot: all but moves and loads of parameters, which the device's compiler mostly removes.</summary>
    Issued,
    Float32,
    Float16,
    Float64,
    Integer,
    Special,
    Conversion,
    Exchange,

    /// <summary>Matrix instructions of warps.</summary>
    Tensor,

    /// <summary>Barriers and fences of warps.</summary>
    Barriers,

    /// <summary>Floating-point operations outside matrix products.</summary>
    Flops,

    /// <summary>Floating-point operations of matrix products.</summary>
    TensorFlops,

    /// <summary>Passes through the banks of shared memory.</summary>
    SharedWavefronts,

    /// <summary>Passes of accesses to global memory through the same path: a request at least one, 128 bytes each; asynchronous copies have theirs among those of shared memory.</summary>
    GlobalWavefronts,

    /// <summary>Sectors of 32 bytes that requests ask L2 for.</summary>
    Sectors,
}

/// <summary>The part of a buffer that a launch touches.</summary>
/// <param name="Buffer">The buffer.</param>
/// <param name="Read">Distinct bytes read.</param>
/// <param name="Written">Distinct bytes written.</param>
internal readonly record struct Touch(ulong Buffer, double Read, double Written)
{
    /// <summary>Which piece of the buffer, see <see cref="WindowedWork"/>; 0 where it counts as a whole.</summary>
    public int Piece { get; init; }

    /// <summary>Bytes it takes in a cache, as if what is written were also read or the other way round.</summary>
    public double Bytes => Math.Max(Read, Written);
}

/// <summary>A launch as it was counted, of one item.</summary>
/// <param name="Small">At the smaller length.</param>
/// <param name="Large">At the larger one.</param>
/// <param name="Wide">At the smaller one, on a device of more multiprocessors.</param>
internal sealed record CountedLaunch(RecordedLaunch Small, RecordedLaunch Large, RecordedLaunch Wide);

/// <summary>What one launch executes and moves.</summary>
/// <param name="Kernel">Entry name.</param>
/// <param name="Grid">Blocks.</param>
/// <param name="Tensor">Operands of its matrix products.</param>
/// <param name="Counts">By <see cref="Count"/>.</param>
/// <param name="Touches">Buffers it touches.</param>
internal sealed record LaunchWork(string Kernel, Dim3 Grid, TensorKind Tensor, IReadOnlyList<double> Counts, IReadOnlyList<Touch> Touches)
{
    private static readonly int Kinds = Enum.GetValues<Count>().Length;

    /// <summary>Tiles its blocks walk; 0: they do not.</summary>
    public int Tiles { get; init; }

    /// <summary>Whether it may begin while the launch before it still runs.</summary>
    public bool IsEarly { get; init; }

    public double this[Count count] => Counts[(int)count];

    /// <summary>Counts of a report.</summary>
    public static double[] CountsOf(LaunchReport report)
    {
        var counts = new double[Kinds];
        foreach (InstructionCount instructions in report.Instructions)
        {
            if (instructions.Class is not (InstructionClass.Move or InstructionClass.Parameter)) counts[(int)Count.Issued] += instructions.Warp;
            Count? kind = instructions.Class switch
            {
                InstructionClass.Float32 => Count.Float32,
                InstructionClass.Float16 => Count.Float16,
                InstructionClass.Float64 => Count.Float64,
                InstructionClass.Integer => Count.Integer,
                InstructionClass.Special => Count.Special,
                InstructionClass.Conversion => Count.Conversion,
                InstructionClass.Exchange => Count.Exchange,
                InstructionClass.Tensor => Count.Tensor,
                InstructionClass.Barrier => Count.Barriers,
                _ => null,
            };
            if (kind is { } known) counts[(int)known] += instructions.Warp;
        }
        (counts[(int)Count.Flops], counts[(int)Count.TensorFlops]) = (report.Flops, report.TensorFlops);
        counts[(int)Count.SharedWavefronts] = report.Shared.Sum(site => site.Moved);
        counts[(int)Count.GlobalWavefronts] = report.Global.Where(site => !site.PtxText.Contains("cp.async", StringComparison.Ordinal)).Sum(site => Math.Max(site.Requests, site.Moved / 4.0));
        counts[(int)Count.Sectors] = report.Global.Sum(site => site.Moved);
        return counts;
    }

    /// <summary>A launch at its full length, from what was counted at smaller ones.</summary>
    /// <param name="counted">The launch at smaller lengths.</param>
    /// <param name="full">The launch itself.</param>
    /// <param name="rows">Rows of an item: smaller, larger, full.</param>
    /// <param name="batch">Items of the full launch.</param>
    /// <param name="bufferBytes">Size of a buffer of the full run.</param>
    /// <remarks>
    /// Counts are linear in the rows of an item, or in the tiles where a kernel says how many there are. What does not depend on either is paid by every item (its ends); but where the grid follows the
    /// number of multiprocessors by every block as far as more blocks cost more (weights brought into shared memory), and where it follows nothing by every block (kernels of vectors).
    /// </remarks>
    public static LaunchWork Extrapolate(CountedLaunch counted, RecordedLaunch full, (long Small, long Large, long Full) rows, int batch, Func<ulong, long> bufferBytes)
    {
        var (small, large, wide) = counted;
        bool walksTiles = small.Tiles > 0, hasMoreTiles = small.Grid == large.Grid && large.Tiles > small.Tiles;
        var (from, to, all) = hasMoreTiles ? (small.Tiles, large.Tiles, (double)full.Tiles) : ((double)rows.Small, rows.Large, (double)batch * rows.Full);
        double Fixed(double first, double second) => first - PerRow(first, second) * from;
        double PerRow(double first, double second) => (second - first) / (to - from);
        if (full.Bytes > 0)
            return new LaunchWork(full.Kernel, full.Grid, full.Tensor, new double[Kinds], full.Kernel == "(copy)" ? [new(full.Buffers[0], 0, full.Bytes), new(full.Buffers[1], full.Bytes, 0)] : [new(full.Buffers[0], 0, full.Bytes)]);
        var (first, firstBuffers) = small.Counted ?? throw new InvalidOperationException($"{small.Kernel} was not counted");
        var (second, secondBuffers) = large.Counted ?? throw new InvalidOperationException($"{large.Kernel} was not counted");
        LaunchReport widened = (wide.Counted ?? throw new InvalidOperationException($"{wide.Kernel} was not counted")).Report;

        double[] smallCounts = CountsOf(first), largeCounts = CountsOf(second), wideCounts = CountsOf(widened), counts = new double[Kinds];
        for (int i = 0; i < Kinds; i++)
        {
            double widerBlock = wide.Grid != small.Grid ? (wideCounts[i] - smallCounts[i]) / (wide.Grid.Size - small.Grid.Size) : 0;
            if (walksTiles && !hasMoreTiles) // a longer signal filled the same tiles, or ran on other blocks: all that no block does once is the tiles'
            {
                counts[i] = Math.Max(0, widerBlock * full.Grid.Size + (largeCounts[i] - widerBlock * large.Grid.Size) / large.Tiles * full.Tiles);
                continue;
            }
            double once = Fixed(smallCounts[i], largeCounts[i]);
            double perBlock = wide.Grid != small.Grid ? widerBlock : small.Grid == large.Grid ? once / small.Grid.Size : 0;
            double perItem = once - perBlock * small.Grid.Size;
            counts[i] = Math.Max(0, perBlock * full.Grid.Size + perItem * batch + PerRow(smallCounts[i], largeCounts[i]) * all);
        }

        // What is touched goes by rows: those of a tile that do not exist are not. Which argument a buffer came by is what the three runs have in common.
        (from, to, all) = (rows.Small, rows.Large, (double)batch * rows.Full);
        var touches = new Dictionary<ulong, Touch>();
        foreach (AllocationTraffic traffic in second.Allocations)
        {
            int word = IndexOf(secondBuffers, traffic.Address);
            if (word < 0) continue; // a table of the module: small, and in the cache
            ulong buffer = full.Buffers[word];
            AllocationTraffic? before = first.Allocations.FirstOrDefault(other => other.Address == firstBuffers[word]);
            double Bytes(long a, long b) => Math.Clamp(32 * (Fixed(a, b) + PerRow(a, b) * all), 0, bufferBytes(buffer));
            double read = Bytes(before?.SectorsRead ?? 0, traffic.SectorsRead), written = Bytes(before?.SectorsWritten ?? 0, traffic.SectorsWritten);
            Touch known = touches.GetValueOrDefault(buffer);
            touches[buffer] = new Touch(buffer, Math.Max(known.Read, read), Math.Max(known.Written, written));
        }
        return new LaunchWork(full.Kernel, full.Grid, full.Tensor, counts, [.. touches.Values]) { IsEarly = full.IsEarly, Tiles = full.Tiles };
    }

    private static int IndexOf(IReadOnlyList<ulong> buffers, ulong buffer)
    {
        for (int i = 0; i < buffers.Count; i++)
            if (buffers[i] == buffer) return i;
        return -1;
    }
}
