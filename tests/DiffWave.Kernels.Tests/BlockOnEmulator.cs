using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the versions of the residual block share in their tests.</summary>
internal static class BlockReports
{
    /// <summary>Whole sectors, no bank conflict, nothing in local memory; the biases are read 16 bytes of every 32, the others next: a few that stay in the cache.</summary>
    /// <param name="report">Of a launch.</param>
    /// <param name="biasLoad">How the PTX of the loads of biases begins.</param>
    public static void AssertWholeSectorsWithoutBankConflicts(LaunchReport report, string biasLoad)
    {
        Assert.All(report.Shared, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        bool OfBiases(AccessSite site) => site.PtxText.StartsWith(biasLoad, StringComparison.Ordinal);
        Assert.All(report.Global, site => Assert.True(site.Moved == (OfBiases(site) ? 2 : 1) * site.Ideal, site.ToString()));
        Assert.Equal((0, 0), (report.LocalBytes, report.LocalAccesses));
    }
}

/// <summary>How a version of the residual block is launched.</summary>
/// <param name="Kernel">Its method, the type arguments given.</param>
/// <param name="Threads">Threads of a block.</param>
/// <param name="TileRows">R.</param>
/// <param name="SharedBytes">Dynamic shared memory of q.</param>
internal sealed record BlockKernel(MethodInfo Kernel, int Threads, int TileRows, Func<int, int> SharedBytes)
{
    private const int SharedLimit = 227 << 10; // sm_90

    /// <summary>q for parts of these rows.</summary>
    public int Neighbours(int dilation, params int[] rows)
    {
        int q = PackedSignals.Neighbours(rows, dilation, TileRows);
        while (SharedBytes(q) > SharedLimit) q /= 2;
        return q;
    }
}

/// <summary>The first of two layers over two items on a device of its own.</summary>
internal sealed class BlockOnEmulator<T, P> : IDisposable where T : unmanaged where P : struct, IMatrixOperand<T>
{
    private const int Items = 2, Layers = 2, Signals = 4; // biases for so many

    private readonly BlockKernel version;
    private readonly int channels, bands, rows, dilation;
    private readonly EmulatedDriver driver = new(new EmulatorOptions());
    private readonly KernelRunner runner;
    private readonly LoadedKernel kernel, keeping, packing, beginning;
    private readonly Random random = new(7);
    private readonly ArrayView<T> x, mel, weights, y, skips, h;
    private readonly ArrayView<float> bias, edges, outputBias;

    public BlockOnEmulator(BlockKernel version, int channels, int bands, int rows, int dilation)
    {
        (this.version, this.channels, this.bands, this.rows, this.dilation, runner) = (version, channels, bands, rows, dilation, new KernelRunner(driver));
        LoadedKernel Load(bool keep, bool packed, bool early = false) =>
            runner.Load(version.Kernel, new Dictionary<string, object> { ["channels"] = channels, ["bands"] = bands, ["gateFirst"] = false, ["keep"] = keep, ["packed"] = packed, ["early"] = early });
        (kernel, keeping, packing, beginning) = (Load(false, false), Load(true, false), Load(true, true), Load(false, false, early: true));
        (x, mel, weights) = (Values(Items * rows * channels, 1), Values(Items * rows * bands, 1), Values(Layers * BlockWeights.Size(channels, bands), 0.2f));
        (y, skips, h) = (Values(Items * rows * channels, 1), Values(Items * rows * channels, 1), Values(2 * Items * rows * channels, 1));
        (bias, edges, outputBias) = (Floats(Signals * Layers * 2 * channels), Floats(Signals * Layers * 4 * channels), Floats(Signals * Layers * 2 * channels));
        None = MemoryMarshal.AsBytes(Enumerable.Repeat(P.Round(float.NaN), Items * rows * channels).ToArray().AsSpan()).ToArray();
        Clear();
    }

    // What y and the skips hold before a launch: NaN.
    public byte[] None { get; }

    // Rows first to before end; the others exist as well.
    public void Launch(int first, int end, int blocks, bool keep = false, bool early = false)
    {
        int count = end - first, neighbours = version.Neighbours(dilation, count);
        Rows<T> From(ArrayView<T> values, int width) => new(values, rows, first, width);
        Launch(keep ? keeping : early ? beginning : kernel, blocks, neighbours, early, From(x, channels), From(mel, bands), weights, bias, edges, outputBias, From(y, channels), From(skips, channels),
            keep ? From(h, 2 * channels) : default, default(ArrayView<int>), Items * TimeTile.Count(count, dilation, neighbours, version.TileRows), count, first, rows - end, dilation, neighbours, 0, Layers);
    }

    private void Launch(LoadedKernel chosen, int blocks, int neighbours, bool early, params object[] arguments) => Launch(chosen.Function, chosen.Compiled, blocks, neighbours, early, arguments);

    private void Launch(nint function, CompiledKernel compiled, int blocks, int neighbours, bool early, params object[] arguments)
    {
        int sharedBytes = version.SharedBytes(neighbours);
        driver.SetMaxDynamicShared(function, sharedBytes);
        driver.Launch(function, new Dim3(blocks), new Dim3(version.Threads), sharedBytes, 0, KernelArguments.Pack(compiled, arguments), early);
        driver.Synchronize();
    }

    /// <summary>Launched early it has the same bits, and until the kernels before it are complete it touches nothing but weights: cut off there it runs without anything else.</summary>
    public void AssertItTouchesOnlyWeightsBeforeOthersAreComplete()
    {
        (byte[] expectedY, byte[] expectedSkips) = Whole(2);
        Launch(0, rows, 3, early: true);
        Assert.Equal(expectedY, Y());
        Assert.Equal(expectedSkips, Skips());

        CompiledKernel compiled = beginning.Compiled;
        int neighbours = version.Neighbours(dilation, rows), count = Items * TimeTile.Count(rows, dilation, neighbours, version.TileRows);
        void Without(string ptx)
        {
            nint module = driver.LoadModule(ptx);
            Launch(driver.GetFunction(module, compiled.EntryName), compiled, 2, neighbours, false, default(Rows<T>), default(Rows<T>), weights, default(ArrayView<float>), default(ArrayView<float>), default(ArrayView<float>),
                default(Rows<T>), default(Rows<T>), default(Rows<T>), default(ArrayView<int>), count, rows, 0, 0, dilation, neighbours, 0, Layers);
        }
        Without(compiled.Ptx.Replace("griddepcontrol.wait;", "ret;", StringComparison.Ordinal));
        Assert.ThrowsAny<CudaException>(() => Without(compiled.Ptx));
    }

    // Both items as one of twice the rows, in which signals of these lengths lie: some rows of one and those behind it, packed, or rows of that one as an item alone.
    private void LaunchOne(int[] lengths, int signal, int first, int end, int blocks, bool packed)
    {
        int start = lengths.Take(signal).Sum(), last = signal, lastEnd = start + lengths[signal];
        List<int> parts = [Math.Min(end, lastEnd) - first];
        while (lastEnd < end)
        {
            parts.Add(Math.Min(end - lastEnd, lengths[++last]));
            lastEnd += lengths[last];
        }
        int neighbours = version.Neighbours(dilation, [.. parts]);
        object table = packed ? OnDevice(PackedSignals.Table([.. parts], dilation, neighbours, version.TileRows)) : default(ArrayView<int>);
        Rows<T> From(ArrayView<T> values, int width) => new(values, Items * rows, first, width);
        ArrayView<float> Of(ArrayView<float> all) => all.SubView(all.Length / Signals * signal);
        Launch(packed ? packing : keeping, blocks, neighbours, false, From(x, channels), From(mel, bands), weights, Of(bias), Of(edges), Of(outputBias), From(y, channels), From(skips, channels), From(h, 2 * channels),
            table, parts.Sum(part => TimeTile.Count(part, dilation, neighbours, version.TileRows)), end - first, Math.Min(dilation, first - start), Math.Min(dilation, lastEnd - end), dilation, neighbours, 0, Layers);
    }

    /// <summary>Packed signals have the bits that each has alone, whatever the blocks, and in pieces that begin and end inside a signal too.</summary>
    public void AssertPackedSignalsHaveTheBitsTheyHaveAlone(int[] lengths, int[] cuts)
    {
        Assert.Equal((Signals, Items * rows), (lengths.Length, lengths.Sum()));
        for (int signal = 0, first = 0; signal < Signals; first += lengths[signal++]) LaunchOne(lengths, signal, first, first + lengths[signal], 1, packed: false);
        (byte[] Y, byte[] Skips, byte[] H) alone = (Y(), Skips(), Read(h));
        Assert.DoesNotContain(MemoryMarshal.Cast<byte, T>(alone.Y).ToArray(), value => float.IsNaN(P.Widen(value)));
        foreach (int blocks in new[] { 1, 2, 5, 12 })
        {
            Clear();
            LaunchOne(lengths, 0, 0, Items * rows, blocks, packed: true);
            AssertSame();
        }
        Clear();
        foreach (var (first, end) in cuts.Prepend(0).Zip(cuts.Append(Items * rows)))
            LaunchOne(lengths, Enumerable.Range(0, Signals).Last(signal => lengths.Take(signal).Sum() <= first), first, end, 2, packed: true);
        AssertSame();

        void AssertSame()
        {
            Assert.Equal(alone.Y, Y());
            Assert.Equal(alone.Skips, Skips());
            Assert.Equal(alone.H, Read(h));
        }
    }

    /// <summary>The same bits whether h is kept or not; the same h for other blocks and a signal cut in two.</summary>
    public void AssertKeepingChangesNoBit()
    {
        (byte[] expectedY, byte[] expectedSkips) = Whole(2);
        Launch(0, rows, 3, keep: true);
        byte[] kept = Read(h);
        Assert.Equal(expectedY, Y());
        Assert.Equal(expectedSkips, Skips());
        Clear();
        Launch(0, rows / 3, 1, keep: true);
        Launch(rows / 3, rows, 2, keep: true);
        Assert.Equal(kept, Read(h));
    }

    /// <summary>The same bits for other blocks.</summary>
    public void AssertBitsDoNotDependOnBlocks(int some, int others)
    {
        (byte[] expectedY, byte[] expectedSkips) = Whole(some);
        Launch(0, rows, others);
        Assert.Equal(expectedY, Y());
        Assert.Equal(expectedSkips, Skips());
    }

    /// <summary>The same bits for a signal cut in pieces.</summary>
    public void AssertBitsDoNotDependOnPieces(int[] cuts)
    {
        (byte[] expectedY, byte[] expectedSkips) = Whole(2);
        Assert.Equal(None, Y());
        foreach (var (first, end) in cuts.Prepend(0).Zip(cuts.Append(rows))) Launch(first, end, 2);
        Assert.Equal(expectedY, Y());
        Assert.Equal(expectedSkips, Skips());
    }

    // y and skips of one launch, and the device as before it.
    private (byte[] Y, byte[] Skips) Whole(int blocks)
    {
        Launch(0, rows, blocks);
        (byte[] wholeY, byte[] wholeSkips) = (Y(), Skips());
        Assert.DoesNotContain(MemoryMarshal.Cast<byte, T>(wholeY).ToArray(), value => float.IsNaN(P.Widen(value)));
        Clear();
        return (wholeY, wholeSkips);
    }

    private void Clear()
    {
        driver.CopyToDevice((ulong)y.Address, None);
        driver.CopyToDevice((ulong)skips.Address, None);
        driver.CopyToDevice((ulong)h.Address, [.. None, .. None]);
    }

    public byte[] Y() => Read(y);

    public byte[] Skips() => Read(skips);

    private byte[] Read(ArrayView<T> values)
    {
        byte[] read = new byte[values.LengthInBytes];
        driver.CopyToHost(read, (ulong)values.Address);
        return read;
    }

    private ArrayView<T> Values(int count, float scale) => OnDevice([.. Enumerable.Range(0, count).Select(_ => P.Round(scale * (2 * random.NextSingle() - 1)))]);

    private ArrayView<float> Floats(int count) => OnDevice([.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)]);

    private ArrayView<TValue> OnDevice<TValue>(TValue[] values) where TValue : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
        ulong address = driver.Allocate(bytes.Length);
        driver.CopyToDevice(address, bytes);
        return new ArrayView<TValue>((nint)address, values.Length);
    }

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }
}
