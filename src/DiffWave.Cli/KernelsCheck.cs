using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary>Kernels of the catalogue at shapes drawn at random, against their references in float64.</summary>
internal static class KernelsCheck
{
    private const int MostDraws = 10_000;

    /// <summary>Runs a kernel at a shape; a line for each of its results, or one that says why it did not finish or was not run.</summary>
    public static IReadOnlyList<DeviceCheckLine> Run(KernelRunner runner, KernelVersion version, KernelShape shape)
    {
        KernelRun run = KernelRun.Of(runner, version, shape);
        if (run.NotRun is { } reason) return [new DeviceCheckLine(version.Name, $"{shape}", "", double.NaN, 0, "", NotRun: reason)];
        return run.Error is { } error ? [new DeviceCheckLine(version.Name, $"{shape}", "", double.NaN, 0, "", error.ReplaceLineEndings(" "))]
            : [.. run.Checks.Select(check => new DeviceCheckLine(version.Name, $"{shape}", check.Name, check.MaxError, check.Bound, check.BoundReason))];
    }

    /// <summary>
    /// A shape the kernel takes, no more work than the largest of the catalogue: each size is one of the catalogue's, or drawn below twice the largest of them, evenly or as a multiple of
    /// a power of 2.
    /// </summary>
    public static KernelShape Draw(KernelVersion version, Random random)
    {
        double most = version.Shapes.Max(Volume);
        for (int draw = 0; draw < MostDraws; draw++)
        {
            KernelShape start = version.Shapes[random.Next(version.Shapes.Count)];
            var shape = new KernelShape([.. start.Sizes.Select(size => (size.Name, Size(size.Name, size.Size)))]);
            if (Volume(shape) <= most && version.Problem(shape) is null) return shape;
        }
        return version.Shapes[random.Next(version.Shapes.Count)];

        long Size(string name, long usual)
        {
            long largest = version.Shapes.Max(shape => shape[name]), step = 1L << random.Next(1, 7);
            return random.Next(3) switch
            {
                0 => usual,
                1 => random.NextInt64(0, 2 * largest + 1),
                _ => random.NextInt64(0, 2 * largest / step + 1) * step,
            };
        }

        static double Volume(KernelShape shape) => shape.Sizes.Aggregate(1.0, (product, size) => product * Math.Max(1, size.Size));
    }
}
