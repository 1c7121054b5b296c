using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the residual block with resident weights was written for, in the emulator's counts, and that its bits depend on nothing but the signal.</summary>
public class ResidentBlockTests
{
    private const int SharedLimit = 227 << 10;

    // 8, 1, 2 and 32 neighbours; rows of 64, 96, 128 and 160 bytes.
    [Theory]
    [InlineData("residual_block_resident_v2", "dilation=8")]
    [InlineData("residual_block_resident_v2_bf16", "dilation=1")]
    [InlineData("residual_block_resident_v2", "rows=600,dilation=2,gateFirst=1")]
    [InlineData("residual_block_resident_v2", "rows=200,dilation=64,before=64,after=10,layer=0")]
    [InlineData("residual_block_resident_v2", "channels=32,bands=48,dilation=3")]
    [InlineData("residual_block_resident_v2", "channels=32,bands=0,layer=2")]
    public void MovesWholeSectorsWithoutBankConflicts(string name, string sizes)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        LaunchReport report = OnEmulator.Run(version, version.Shapes[0].With(sizes)).Reports[0];
        Assert.All(report.Shared, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        bool OfBiases(AccessSite site) => site.PtxText.StartsWith("ld.global.v4.f32", StringComparison.Ordinal); // 16 bytes of every 32, and the others next: a few that stay in the cache
        Assert.All(report.Global, site => Assert.True(site.Moved == (OfBiases(site) ? 2 : 1) * site.Ideal, site.ToString()));
        Assert.Equal((0, 0), (report.LocalBytes, report.LocalAccesses));
    }

    [Fact]
    public void ProductsAreOnTensorCoresAndWarpsStayTogether()
    {
        LaunchReport report = OnEmulator.Report("residual_block_resident_v2");
        Assert.Equal(256 * 2 * 128 * (3 * 64 + 80 + 64), report.TensorFlops);
        Assert.InRange(report.Flops, 1, 10 * 256 * 64);
        Assert.Empty(report.DivergentBranches);
    }

    [Fact]
    public void EachTileIsOneStreamOfTensorInstructions()
    {
        List<string> loop = Ptx.Loop(Ptx.Of("residual_block_resident_v2"), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        const int steps = 3 * 64 / 16 + 80 / 16, outputSteps = 64 / 16;
        Assert.Equal((2 * 16 * (steps + outputSteps), 2 * steps), (Count("mma.sync"), Count("ldmatrix.sync")));
        Assert.Equal(8 * (steps + outputSteps) + 8, Count("ld.shared.v4")); // a fragment of the weights for two products of each half, and x once more
        Assert.Equal((8, 16), (Count("ld.global.v4.u32"), Count("st.global.v4.u32")));
        Assert.Equal((128, 0), (Count("tanh.approx.f32"), Count("ex2")));
        Assert.Equal((1, 1, 1), (Count("bar.sync"), Count("bar.arrive"), Count("bar.warp.sync")));
    }

    [Theory]
    [InlineData(10, 1, 64, 80)]
    [InlineData(100_000, 512, 64, 80)]
    [InlineData(600, 64, 64, 80)]
    [InlineData(600, 64, 64, 0)]
    [InlineData(600, 64, 32, 80)]
    public void NeighboursFitIntoSharedMemory(int rows, int dilation, int channels, int bands)
    {
        int best = TimeTile.Neighbours(rows, dilation, ResidualBlock.ResidentRows), q = ResidualBlock.ResidentNeighbours(rows, dilation, channels, bands, SharedLimit);
        Assert.InRange(q, 1, best);
        Assert.InRange(ResidualBlock.ResidentSharedBytes(channels, bands, q), 1, SharedLimit);
        if (q < best) Assert.True(ResidualBlock.ResidentSharedBytes(channels, bands, 2 * q) > SharedLimit);
    }

    [Fact]
    public void WhatDoesNotFitHasNoNeighbours() => Assert.Equal(0, ResidualBlock.ResidentNeighbours(1000, 8, 128, 80, SharedLimit));

    // Six tiles, for one block, both teams of three, a block for each with and without work.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(9)]
    public void TheBitsDoNotDependOnTheBlocks(int blocks)
    {
        using var block = new Block(300, 8);
        block.Launch(0, 300, 4);
        Half[] y = block.Y(), skips = block.Skips();
        block.Clear();
        block.Launch(0, 300, blocks);
        Assert.Equal(y, block.Y());
        Assert.Equal(skips, block.Skips());
    }

    [Theory]
    [InlineData(1, new[] { 128 })]
    [InlineData(8, new[] { 1, 7, 150 })]
    [InlineData(512, new[] { 299 })]
    public void ASignalInPiecesHasTheSameBits(int dilation, int[] cuts)
    {
        using var block = new Block(300, dilation);
        block.Launch(0, 300, 2);
        Half[] y = block.Y(), skips = block.Skips();
        Assert.DoesNotContain(y, Half.IsNaN);
        block.Clear();
        foreach (var (first, end) in cuts.Prepend(0).Zip(cuts.Append(300))) block.Launch(first, end, 2);
        Assert.Equal(y, block.Y());
        Assert.Equal(skips, block.Skips());
    }

    // The first of two layers over two items on a device of its own.
    private sealed class Block : IDisposable
    {
        private const int Items = 2, Channels = 64, Bands = 80, Layers = 2;

        private readonly int rows, dilation;
        private readonly EmulatedDriver driver = new(new EmulatorOptions());
        private readonly KernelRunner runner;
        private readonly LoadedKernel kernel;
        private readonly Random random = new(7);
        private readonly ArrayView<Half> x, mel, weights, y, skips;
        private readonly ArrayView<float> bias, edges, outputBias;

        public Block(int rows, int dilation)
        {
            (this.rows, this.dilation, runner) = (rows, dilation, new KernelRunner(driver));
            kernel = runner.Load(typeof(ResidualBlock).GetMethod(nameof(ResidualBlock.ResidentV2))!.MakeGenericMethod(typeof(Half), typeof(F16)),
                new Dictionary<string, object> { ["channels"] = Channels, ["bands"] = Bands, ["gateFirst"] = false });
            (x, mel, weights) = (Halves(Items * rows * Channels, 1), Halves(Items * rows * Bands, 1), Halves(Layers * BlockWeights.Size(Channels, Bands), 0.2f));
            (y, skips) = (Halves(Items * rows * Channels, 1), Halves(Items * rows * Channels, 1));
            (bias, edges, outputBias) = (Floats(Items * Layers * 2 * Channels), Floats(Items * Layers * 4 * Channels), Floats(Items * Layers * 2 * Channels));
            Clear();
        }

        // Rows first to before end; the others exist as well.
        public void Launch(int first, int end, int blocks)
        {
            int neighbours = ResidualBlock.ResidentNeighbours(end - first, dilation, Channels, Bands, SharedLimit);
            Rows<Half> From(ArrayView<Half> values, int channels) => new(values, rows, first, channels);
            runner.Launch(kernel, new Dim3(blocks), new Dim3(ResidualBlock.ResidentThreads), ResidualBlock.ResidentSharedBytes(Channels, Bands, neighbours), 0, From(x, Channels), From(mel, Bands), weights,
                bias, edges, outputBias, From(y, Channels), From(skips, Channels), Items * TimeTile.Count(end - first, dilation, neighbours, ResidualBlock.ResidentRows), end - first, first, rows - end, dilation,
                neighbours, 0, Layers);
            driver.Synchronize();
        }

        public void Clear()
        {
            Half[] none = [.. Enumerable.Repeat(Half.NaN, (int)y.Length)];
            driver.CopyToDevice((ulong)y.Address, MemoryMarshal.AsBytes(none.AsSpan()));
            driver.CopyToDevice((ulong)skips.Address, MemoryMarshal.AsBytes(none.AsSpan()));
        }

        public Half[] Y() => Read(y);

        public Half[] Skips() => Read(skips);

        private Half[] Read(ArrayView<Half> values)
        {
            Half[] read = new Half[values.Length];
            driver.CopyToHost(MemoryMarshal.AsBytes(read.AsSpan()), (ulong)values.Address);
            return read;
        }

        private ArrayView<Half> Halves(int count, float scale) => OnDevice([.. Enumerable.Range(0, count).Select(_ => (Half)(scale * (2 * random.NextSingle() - 1)))]);

        private ArrayView<float> Floats(int count) => OnDevice([.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)]);

        private ArrayView<T> OnDevice<T>(T[] values) where T : unmanaged
        {
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
            ulong address = driver.Allocate(bytes.Length);
            driver.CopyToDevice(address, bytes);
            return new ArrayView<T>((nint)address, values.Length);
        }

        public void Dispose()
        {
            runner.Dispose();
            driver.Dispose();
        }
    }
}
