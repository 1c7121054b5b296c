using System.Reflection;

namespace DiffWave.Kernels;

/// <summary>Every kernel that is shipped, with shapes to try it at and what must come out.</summary>
public static partial class KernelCatalog
{
    private static readonly Func<KernelShape, IReadOnlyDictionary<string, object>> NoConstants = _ => new Dictionary<string, object>();

    /// <summary>All versions of all kernels, op by op.</summary>
    public static IReadOnlyList<KernelVersion> All { get; } =
    [
        .. GatedActivations, .. BlockSums, .. MatrixProducts, .. DilatedConvs, .. ResidualOutputs,
        .. PointwiseConvs, .. InputProjections, .. Heads, .. WeightLayouts, .. DataGradients, .. WeightGradients, .. BlockWeightsBackwards, .. ResidualBlockBackwards,
        .. Signals, .. Rearrangements, .. Losses, .. GradientNorms, .. Adams, .. VectorLinears,
        .. LabelEmbeddings, .. InputProjectionBackwards, .. MelUpsamplers, .. BlockWeightsVersions, .. BlockBiases, .. ResidualBlocks, .. ResidentBlocks, .. StreamedBlocks,
    ];

    /// <summary>A kernel by its name, or null.</summary>
    /// <param name="name">As in <see cref="KernelVersion.Name"/>.</param>
    public static KernelVersion? Find(string name) => All.FirstOrDefault(version => version.Name == name);

    // Switches of a shape, 0 or 1, as constants of the same names.
    private static IReadOnlyDictionary<string, object> Flags(KernelShape shape, params string[] names) => names.ToDictionary(name => name, name => (object)(shape[name] != 0));

    private static string? NoFlag(KernelShape shape, params string[] names) => names.FirstOrDefault(name => shape[name] is not (0 or 1)) is { } wrong ? $"{wrong} is 0 or 1" : null;

    private static MethodInfo Method(Type op, string name, params Type[] arguments)
    {
        MethodInfo method = op.GetMethod(name) ?? throw new MissingMethodException(op.FullName, name);
        return arguments.Length == 0 ? method : method.MakeGenericMethod(arguments);
    }

    // Values between -scale and scale from a fixed seed.
    private static float[] Random(int seed, long length, float scale)
    {
        var random = new Random(seed);
        float[] values = new float[length];
        for (int i = 0; i < values.Length; i++) values[i] = scale * (2 * random.NextSingle() - 1);
        return values;
    }

    // An output starts as NaN, so that what a kernel leaves out is an error.
    private static float[] Unwritten(long length)
    {
        float[] values = new float[length];
        Array.Fill(values, float.NaN);
        return values;
    }

    // Rows of an activation in a larger buffer [B, itemRows, C]: row r of an item at (first + r) % itemRows, every other value as given.
    private static T[] Placed<T>(T[] values, int rows, int channels, int itemRows, int first, T around)
    {
        int items = values.Length / (rows * channels);
        T[] buffer = new T[items * itemRows * channels];
        Array.Fill(buffer, around);
        for (int row = 0; row < items * rows; row++)
            Array.Copy(values, row * channels, buffer, (row / rows * itemRows + (first + row % rows) % itemRows) * channels, channels);
        return buffer;
    }

    // Values at an address that is no multiple of 8, as tensors of an arena may lie.
    private static PartOf Misaligned(float[] values) => new([float.NaN, .. values], 1);

    private static float[] Absolute(float[] values) => [.. values.Select(Math.Abs)];

    private static int Blocks(long items, int perBlock) => (int)((items + perBlock - 1) / perBlock);
}
