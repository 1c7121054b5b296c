using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>What tuning found is kept for the device, the driver and the kernels it was found with, and for nothing else.</summary>
public sealed class TileTuningTests : IDisposable
{
    private static readonly BlockShape Shape = new(Precision.Fp16, 64, 80, 8, 1 << 17);

    private readonly string folder = Path.Combine(Path.GetTempPath(), $"tuning-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    private TileTuning Open(int sm = 90)
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Sm = sm });
        return TileTuning.Open(driver, folder);
    }

    private static TunedBlock Found(BlockShape shape, int neighbours, double microseconds) => new(shape, new BlockCut("resident", neighbours), microseconds, new BlockCut("resident", 8), 50);

    [Fact]
    public void WhatWasFoundIsThereAgain()
    {
        Assert.Null(Open().Find(Shape));
        Open().Keep([Found(Shape, 2, 40.5), Found(Shape with { Dilation = 1 }, 1, 41)]);
        Open().Keep([Found(Shape, 4, 39)]); // measured again
        TileTuning kept = Open();
        Assert.Equal(2, kept.Count);
        Assert.Equal(new BlockCut("resident", 4), kept.Find(Shape));
        Assert.Equal(new BlockCut("resident", 1), kept.Find(Shape with { Dilation = 1 }));
        Assert.Null(kept.Find(Shape with { Precision = Precision.Bf16 }));
        Assert.Null(Open(sm: 80).Find(Shape)); // another device
        Assert.Equal(kept.Path, Assert.Single(Directory.GetFiles(folder)));
    }

    [Fact]
    public void RowsAreRoundedToPowersOfTwo() => Assert.Equal((1, 1024, 1024, 2048), (BlockShape.Rounded(1), BlockShape.Rounded(1024), BlockShape.Rounded(2047), BlockShape.Rounded(2048)));

    [Theory]
    [InlineData("{}"), InlineData(""), InlineData("null"), InlineData("[1"), InlineData("other driver"), InlineData("other kernels"), InlineData("other format"), InlineData("unknown key"), InlineData("large")]
    public void AFileThatIsNotOursCountsAsAbsentAndIsReplaced(string content)
    {
        Open().Keep([Found(Shape, 2, 40)]);
        string path = Open().Path, good = File.ReadAllText(path);
        File.WriteAllText(path, content switch
        {
            "other driver" => good.Replace("\"driver\": \"emulator", "\"driver\": \"another", StringComparison.Ordinal),
            "other kernels" => good.Replace("\"kernels\": \"", "\"kernels\": \"0", StringComparison.Ordinal),
            "other format" => good.Replace("\"format\": 1", "\"format\": 2", StringComparison.Ordinal),
            "unknown key" => good.Replace("\"format\": 1", "\"format\": 1, \"more\": 2", StringComparison.Ordinal),
            "large" => good + new string(' ', 2 << 20),
            _ => content,
        });
        Assert.NotEqual(good, File.ReadAllText(path));
        Assert.Equal(0, Open().Count);
        Open().Keep([Found(Shape, 2, 40)]);
        Assert.Equal(good, File.ReadAllText(path));
    }
}
