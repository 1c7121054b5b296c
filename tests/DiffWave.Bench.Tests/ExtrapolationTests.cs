using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Reports;

namespace DiffWave.Bench.Tests;

/// <summary>Counts at full length from counts at two smaller ones.</summary>
public class ExtrapolationTests
{
    private static readonly (long, long, long) Rows = (100, 200, 1000);

    // A launch on buffers at some addresses that issues so many instructions, reads sectors of the first buffer and writes sectors of the second.
    private static RecordedLaunch Counted(int blocks, ulong first, long instructions, long read, long written) => new("kernel", new Dim3(blocks), new Dim3(32), TensorKind.None, [first, first + 1])
    {
        Counted = (new LaunchReport
        {
            Kernel = "kernel", Grid = new Dim3(blocks), Block = new Dim3(32), DeclaredRegisters = 0, LocalBytes = 0, StaticSharedBytes = 0, DynamicSharedBytes = 0,
            Instructions = [new InstructionCount(InstructionClass.Float32, instructions, 32 * instructions), new InstructionCount(InstructionClass.Move, 5, 160)], WarpInstructions = instructions + 5, ThreadInstructions = 0,
            Flops = 64 * instructions, TensorFlops = 0, Global = [], Shared = [], DivergentBranches = [], LocalAccesses = 0, Barriers = 0,
            Allocations = [new AllocationTraffic(first, "", 1 << 20, read, 0), new AllocationTraffic(first + 1, "", 1 << 20, 0, written)],
        }, [first, first + 1]),
    };

    private static RecordedLaunch Full(int blocks) => new("kernel", new Dim3(blocks), new Dim3(32), TensorKind.None, [7, 8]);

    private static LaunchWork Scaled(RecordedLaunch small, RecordedLaunch large, RecordedLaunch full, (long, long, long) rows, int batch, Func<ulong, long> bufferBytes, RecordedLaunch? wide = null) =>
        LaunchWork.Extrapolate(new CountedLaunch(small, large, wide ?? small), full, rows, batch, bufferBytes);

    [Fact]
    public void AGridThatGrowsCostsEveryItemTheSame()
    {
        // 10 instructions and 3 a row an item; weights of 4 sectors; 2 sectors a row written.
        LaunchWork work = Scaled(Counted(1, 1, 310, 4, 200), Counted(2, 3, 610, 4, 400), Full(50), Rows, 5, _ => 1 << 20);
        Assert.Equal(5 * (10 + 3 * 1000), work[Count.Float32]);
        Assert.Equal(work[Count.Float32], work[Count.Issued]); // moves take no slot
        Assert.Equal(64.0 * 5 * 3010, work[Count.Flops]);
        Assert.Equal([new Touch(7, 4 * 32, 0), new Touch(8, 0, 5 * 2 * 1000 * 32)], work.Touches);
    }

    [Fact]
    public void AGridThatDoesNotGrowPaysOnceABlockAndForAllRows()
    {
        // One block: 1,000 instructions to begin with and 3 a row; in full 132 blocks share the rows of 5 items.
        LaunchWork work = Scaled(Counted(1, 1, 1300, 4, 200), Counted(1, 3, 1600, 4, 400), Full(132), Rows, 5, _ => 1 << 20);
        Assert.Equal(132 * 1000 + 3 * 5 * 1000, work[Count.Float32]);
    }

    [Fact]
    public void AKernelThatWalksTilesCostsWhatItsTilesCost()
    {
        // 1,000 instructions a block, 200 more at the ends of an item and 30 a tile; 16 and 32 tiles are counted, 16 also with two blocks. In full 132 blocks walk 270 tiles of 2 items.
        RecordedLaunch wide = Counted(2, 1, 2680, 4, 32) with { Tiles = 16 };
        LaunchWork work = Scaled(Counted(1, 1, 1680, 4, 32) with { Tiles = 16 }, Counted(1, 3, 2160, 4, 64) with { Tiles = 32 }, Full(132) with { Tiles = 270 }, Rows, 2, _ => 1 << 20, wide);
        Assert.Equal(132 * 1000 + 2 * 200 + 30 * 270, work[Count.Float32]);
        Assert.Equal([new Touch(7, 4 * 32, 0), new Touch(8, 0, 640 * 32)], work.Touches); // by rows
        Assert.Equal(270.0 / (3 * 132), CostModel.Fill(work, 132), 12); // three rounds
    }

    [Fact]
    public void NothingTouchesMoreThanTheBufferHolds()
    {
        LaunchWork work = Scaled(Counted(1, 1, 310, 4, 200), Counted(2, 3, 610, 4, 400), Full(50), Rows, 5, buffer => buffer == 8 ? 1000 : 100);
        Assert.Equal([new Touch(7, 100, 0), new Touch(8, 0, 1000)], work.Touches);
    }

    [Fact]
    public void AFillWritesItsBytes() =>
        Assert.Equal([new Touch(9, 0, 4096)], Scaled(Fill(1), Fill(2), Fill(9), Rows, 5, _ => 1 << 20).Touches);

    private static RecordedLaunch Fill(ulong buffer) => new("(fill)", default, default, TensorKind.None, [buffer]) { Bytes = 4096 };
}
