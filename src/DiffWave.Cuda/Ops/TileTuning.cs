using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DiffWave.Audio;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>What decides how fast a cut of a residual block is.</summary>
/// <param name="Precision">What it computes with.</param>
/// <param name="Channels">C.</param>
/// <param name="Bands">M; 0 without a mel.</param>
/// <param name="Dilation">d.</param>
/// <param name="Rows">Rows of all items of a launch, rounded down to a power of two.</param>
public sealed record BlockShape(Precision Precision, int Channels, int Bands, int Dilation, long Rows)
{
    /// <summary>Rows as <see cref="Rows"/> has them.</summary>
    /// <param name="rows">At least 1.</param>
    public static long Rounded(long rows) => 1L << BitOperations.Log2((ulong)rows);
}

/// <summary>How a residual block is cut: the kernel's tile and the neighbours in it. All cuts of a shape give the same bits.</summary>
/// <param name="Tile">Name of the tile.</param>
/// <param name="Neighbours">q of <see cref="TimeTile"/>.</param>
public sealed record BlockCut(string Tile, int Neighbours);

/// <summary>A cut that was found to be the fastest.</summary>
/// <param name="Shape">Of what.</param>
/// <param name="Cut">The cut.</param>
/// <param name="Microseconds">Its time a launch.</param>
/// <param name="Usual">The cut that is taken without tuning.</param>
/// <param name="UsualMicroseconds">That one's time.</param>
public sealed record TunedBlock(BlockShape Shape, BlockCut Cut, double Microseconds, BlockCut Usual, double UsualMicroseconds);

/// <summary>
/// The fastest cuts of residual blocks on one device, measured by <see cref="CudaOps.Tune"/> and kept in a file. It holds for one device, driver and build of the kernels; a file for others, or one that
/// cannot be read, counts as absent, and so does a cut that is none of those there are. It decides about time alone.
/// </summary>
public sealed class TileTuning
{
    private const int Format = 1;
    private const long MostBytes = 1 << 20;

    private static readonly JsonSerializerOptions JsonOptions = StrictJson.Options();

    private readonly Identity identity;
    private readonly Dictionary<BlockShape, TunedBlock> blocks;

    private TileTuning(string path, Identity identity, Dictionary<BlockShape, TunedBlock> blocks) => (Path, this.identity, this.blocks) = (path, identity, blocks);

    /// <summary>The environment variable that names another folder, or is <c>off</c>.</summary>
    public const string Variable = "DIFFWAVE_TUNING";

    /// <summary>For tests: the variable's value for the flow of calls it is set in.</summary>
    internal static AsyncLocal<string?> Substitute { get; } = new();

    /// <summary>The file, which need not exist.</summary>
    public string Path { get; }

    /// <summary>Shapes that were measured.</summary>
    public int Count => blocks.Count;

    /// <summary>What was found on a device before; null when it is off or there is no place for it.</summary>
    /// <param name="driver">The device.</param>
    public static TileTuning? Open(ICudaDriver driver) => CacheFolder.Find("tuning", Substitute.Value ?? Environment.GetEnvironmentVariable(Variable)) is { } folder ? Open(driver, folder) : null;

    /// <summary>What was found on a device before.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="folder">Where the files are.</param>
    public static TileTuning Open(ICudaDriver driver, string folder)
    {
        CudaDeviceInfo device = driver.Device;
        var identity = new Identity { Device = device.Name, Sm = device.Sm, Multiprocessors = device.Multiprocessors, Driver = driver.Description, Kernels = typeof(TimeTile).Module.ModuleVersionId.ToString() };
        string key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{identity.Device} {identity.Sm} {identity.Multiprocessors}")))[..16];
        string path = System.IO.Path.Combine(folder, $"{key}.json");
        Dictionary<BlockShape, TunedBlock> blocks = Read(path) is { Format: Format } kept && kept.Identity == identity ? kept.Blocks.GroupBy(block => block.Shape).ToDictionary(group => group.Key, group => group.Last()) : [];
        return new TileTuning(path, identity, blocks);
    }

    /// <summary>The fastest cut of a shape; null when it was not measured.</summary>
    /// <param name="shape">The shape.</param>
    public BlockCut? Find(BlockShape shape) => blocks.GetValueOrDefault(shape)?.Cut;

    /// <summary>Adds what was measured, in place of what was known of the same shapes, and writes the file.</summary>
    /// <param name="found">What was measured.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder is not the user's to write to.</exception>
    public void Keep(IEnumerable<TunedBlock> found)
    {
        foreach (TunedBlock block in found) blocks[block.Shape] = block;
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path)!);
        var content = new Content { Format = Format, Identity = identity, Blocks = [.. blocks.Values.OrderBy(block => $"{block.Shape}", StringComparer.Ordinal)] };
        AtomicFile.Write(Path, stream => JsonSerializer.Serialize(stream, content, JsonOptions));
    }

    private static Content? Read(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
            return file.Length > MostBytes ? null : JsonSerializer.Deserialize<Content>(file, JsonOptions);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NotSupportedException or ArgumentException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    private sealed record Identity
    {
        public required string Device { get; init; }
        public required int Sm { get; init; }
        public required int Multiprocessors { get; init; }
        public required string Driver { get; init; }
        public required string Kernels { get; init; }
    }

    private sealed record Content
    {
        public required int Format { get; init; }
        public required Identity Identity { get; init; }
        public required IReadOnlyList<TunedBlock> Blocks { get; init; }
    }
}
