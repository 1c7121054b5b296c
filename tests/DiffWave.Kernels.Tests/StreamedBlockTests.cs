using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the residual block with streamed weights was written for, in the emulator's counts, and that its bits depend on nothing but the signal.</summary>
public class StreamedBlockTests
{
    private const int SharedLimit = 227 << 10;

    // Rows of 64 to 1024 bytes, of mel 160 and 320; 1, 2, 8 and more neighbours.
    [Theory]
    [InlineData("residual_block_streamed_v3", "")]
    [InlineData("residual_block_streamed_v3", "rows=200,dilation=64,before=64,after=10,layer=0,bands=0")]
    [InlineData("residual_block_streamed_v3_bf16", "rows=300,dilation=2,gateFirst=1")]
    [InlineData("residual_block_streamed_v3_rows256", "dilation=64")]
    [InlineData("residual_block_streamed_v3_c256", "dilation=1")]
    [InlineData("residual_block_streamed_v3_tf32", "")]
    [InlineData("residual_block_streamed_v3_tf32_c256", "dilation=3,rows=150")]
    [InlineData("residual_block_streamed_v3_tf32_c64", "layer=2")]
    [InlineData("residual_block_streamed_v3_tf32_c64_rows256", "")]
    [InlineData("residual_block_streamed_v3_tf32_c32", "channels=96,bands=16")]
    public void MovesWholeSectorsWithoutBankConflicts(string name, string sizes)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        LaunchReport report = sizes.Length == 0 ? OnEmulator.Report(name) : OnEmulator.Run(version, version.Shapes[0].With(sizes)).Reports[0];
        Assert.All(report.Shared, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        bool OfBiases(AccessSite site) => site.PtxText.StartsWith("ld.global.nc.v4.f32", StringComparison.Ordinal); // 16 bytes of every 32, and the others next: a few that stay in the cache
        Assert.All(report.Global, site => Assert.True(site.Moved == (OfBiases(site) ? 2 : 1) * site.Ideal, site.ToString()));
        Assert.Equal((0, 0), (report.LocalBytes, report.LocalAccesses));
    }

    [Theory]
    [InlineData("residual_block_streamed_v3", 128)]
    [InlineData("residual_block_streamed_v3_c256", 256)]
    [InlineData("residual_block_streamed_v3_tf32_c32", 32)]
    public void EveryProductIsOnTensorCoresOnceAndWarpsStayTogether(string name, long channels)
    {
        LaunchReport report = OnEmulator.Report(name);
        Assert.Equal(256 * 2 * 2 * channels * (3 * channels + 80 + channels), report.TensorFlops);
        Assert.Empty(report.DivergentBranches);
    }

    // The shortest loop: of 16 bits a tap's, of TF32 the second product's, which rounds no operand and copies x of the next tile too.
    [Theory]
    [InlineData("residual_block_streamed_v3", 2 * 4, 4)]
    [InlineData("residual_block_streamed_v3_bf16", 2 * 4, 4)]
    [InlineData("residual_block_streamed_v3_tf32", 2 * 4, 4 + 1)]
    [InlineData("residual_block_streamed_v3_tf32_c64", 4 * 2, 4 + 1)]
    public void AStepOfTheRingHoldsItsProductsLoadsAndCopies(string name, int fragments, int copies)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((8 * fragments, fragments), (Count("mma.sync"), Count("ldmatrix.sync")));
        Assert.Equal((copies, 1, 1, 1), (Count("cp.async.cg"), Count("cp.async.commit_group"), Count("cp.async.wait_group"), Count("bar.sync")));
        Assert.Equal((0, 0), (Count("ld.global"), Count("st.")));
    }

    [Theory]
    [InlineData(10, 1, 128, 80)]
    [InlineData(100_000, 512, 128, 80)]
    [InlineData(600, 64, 128, 0)]
    [InlineData(16_000, 2048, 256, 0)]
    [InlineData(100_000, 512, 256, 80)]
    public void NeighboursFitIntoSharedMemory(int rows, int dilation, int channels, int bands)
    {
        int best = TimeTile.Neighbours(rows, dilation, StreamedTile128Wide.Rows), q = ResidualBlock.StreamedNeighbours<StreamedTile128Wide>(rows, dilation, channels, bands, 2, SharedLimit);
        Assert.InRange(q, 1, best);
        Assert.InRange(ResidualBlock.StreamedBytes<StreamedTile128Wide>(channels, bands, q, 2), 1, SharedLimit);
        if (q < best) Assert.True(ResidualBlock.StreamedBytes<StreamedTile128Wide>(channels, bands, 2 * q, 2) > SharedLimit);
    }

    [Fact]
    public void WhatDoesNotFitSaysSo()
    {
        string Refusal<S>(int channels, int bands, int size) where S : struct, IStreamedTile =>
            Assert.Throws<ArgumentOutOfRangeException>(() => ResidualBlock.StreamedNeighbours<S>(1000, 8, channels, bands, size, SharedLimit)).Message;
        Assert.Contains("256 channels of 4 bytes and 80 bands need", Refusal<StreamedTile128Wide>(256, 80, 4));
        Assert.Contains("StreamedTile128 takes multiples of 128 channels of 2 bytes", Refusal<StreamedTile128>(64, 80, 2));
        Assert.Contains("StreamedTile32Channels takes multiples of 64 channels of 2 bytes", Refusal<StreamedTile32Channels>(32, 80, 2));
        Assert.Contains("expected a multiple of 8 bands", Refusal<StreamedTile128>(128, 20, 2));
    }

    [Fact]
    public void TheGateOfTf32IsWithinTwoToTheMinus20()
    {
        double worst = 0;
        for (int i = -400; i <= 400; i++)
            for (int j = -400; j <= 400; j++)
            {
                float filter = i * 0.031f, gate = j * 0.053f;
                worst = Math.Max(worst, Math.Abs(TF32.Gate(filter, gate) - Math.Tanh(filter) / (1 + Math.Exp(-gate))));
            }
        Assert.InRange(worst, 1e-9, 1.0 / (1 << 20));
        float[] far = [-1e4f, -100, 0, 100, 1e4f];
        Assert.All(far, filter => Assert.All(far, gate => Assert.Equal((float)(Math.Tanh(filter) / (1 + Math.Exp(-gate))), TF32.Gate(filter, gate), 1e-9f)));
        Assert.True(float.IsNaN(TF32.Gate(float.NaN, 0)) && float.IsNaN(TF32.Gate(0, float.NaN)));
    }

    // Six tiles: all for one block, one each, and blocks without any.
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(9)]
    public void TheBitsDoNotDependOnTheBlocks(int blocks)
    {
        BitsDoNotDependOnTheBlocks<Half, F16, StreamedTile128>(128, blocks);
        BitsDoNotDependOnTheBlocks<float, TF32, StreamedTile32Channels>(32, blocks);
    }

    private static void BitsDoNotDependOnTheBlocks<T, P, S>(int channels, int blocks) where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        using var block = new Block<T, P, S>(channels, 300, 8);
        block.Launch(0, 300, 2);
        (byte[] y, byte[] skips) = (block.Y(), block.Skips());
        block.Clear();
        block.Launch(0, 300, blocks);
        Assert.Equal(y, block.Y());
        Assert.Equal(skips, block.Skips());
    }

    [Fact]
    public void NorOnTheRowsOfATile()
    {
        using var small = new Block<Half, F16, StreamedTile128>(128, 300, 8);
        using var large = new Block<Half, F16, StreamedTile256>(128, 300, 8);
        small.Launch(0, 300, 2);
        large.Launch(0, 300, 2);
        Assert.NotEqual(small.None, small.Y());
        Assert.Equal(small.Y(), large.Y());
        Assert.Equal(small.Skips(), large.Skips());
    }

    [Theory]
    [InlineData(1, new[] { 128 })]
    [InlineData(8, new[] { 1, 7, 150 })]
    [InlineData(512, new[] { 299 })]
    public void ASignalInPiecesHasTheSameBits(int dilation, int[] cuts)
    {
        BitsDoNotDependOnPieces<BFloat16, BF16, StreamedTile128>(128, dilation, cuts);
        BitsDoNotDependOnPieces<float, TF32, StreamedTile64Channels>(64, dilation, cuts);
    }

    private static void BitsDoNotDependOnPieces<T, P, S>(int channels, int dilation, int[] cuts) where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        using var block = new Block<T, P, S>(channels, 300, dilation);
        block.Launch(0, 300, 2);
        (byte[] y, byte[] skips) = (block.Y(), block.Skips());
        Assert.NotEqual(block.None, y);
        block.Clear();
        Assert.Equal(block.None, block.Y());
        foreach (var (first, end) in cuts.Prepend(0).Zip(cuts.Append(300))) block.Launch(first, end, 2);
        Assert.Equal(y, block.Y());
        Assert.Equal(skips, block.Skips());
    }

    // The first of two layers over two items on a device of its own.
    private sealed class Block<T, P, S> : IDisposable where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        private const int Items = 2, Bands = 16, Layers = 2;

        private readonly int channels, rows, dilation;
        private readonly EmulatedDriver driver = new(new EmulatorOptions());
        private readonly KernelRunner runner;
        private readonly LoadedKernel kernel;
        private readonly Random random = new(7);
        private readonly ArrayView<T> x, mel, weights, y, skips;
        private readonly ArrayView<float> bias, edges, outputBias;

        public Block(int channels, int rows, int dilation)
        {
            (this.channels, this.rows, this.dilation, runner) = (channels, rows, dilation, new KernelRunner(driver));
            kernel = runner.Load(typeof(ResidualBlock).GetMethod(nameof(ResidualBlock.StreamedV3))!.MakeGenericMethod(typeof(T), typeof(P), typeof(S)),
                new Dictionary<string, object> { ["channels"] = channels, ["bands"] = Bands, ["gateFirst"] = false });
            (x, mel, weights) = (Values(Items * rows * channels, 1), Values(Items * rows * Bands, 1), Values(Layers * BlockWeights.Size(channels, Bands), 0.2f));
            (y, skips) = (Values(Items * rows * channels, 1), Values(Items * rows * channels, 1));
            (bias, edges, outputBias) = (Floats(Items * Layers * 2 * channels), Floats(Items * Layers * 4 * channels), Floats(Items * Layers * 2 * channels));
            None = MemoryMarshal.AsBytes(Enumerable.Repeat(P.Round(float.NaN), Items * rows * channels).ToArray().AsSpan()).ToArray();
            Clear();
        }

        // What y and the skips hold before a launch: NaN.
        public byte[] None { get; }

        // Rows first to before end; the others exist as well.
        public void Launch(int first, int end, int blocks)
        {
            int count = end - first, size = Unsafe.SizeOf<T>(), neighbours = ResidualBlock.StreamedNeighbours<S>(count, dilation, channels, Bands, size, SharedLimit);
            Rows<T> From(ArrayView<T> values, int width) => new(values, rows, first, width);
            runner.Launch(kernel, new Dim3(blocks), new Dim3(ResidualBlock.StreamedThreads), ResidualBlock.StreamedBytes<S>(channels, Bands, neighbours, size), 0, From(x, channels), From(mel, Bands), weights,
                bias, edges, outputBias, From(y, channels), From(skips, channels), Items * TimeTile.Count(count, dilation, neighbours, S.Rows), count, first, rows - end, dilation, neighbours, 0, Layers);
            driver.Synchronize();
        }

        public void Clear()
        {
            driver.CopyToDevice((ulong)y.Address, None);
            driver.CopyToDevice((ulong)skips.Address, None);
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
}
