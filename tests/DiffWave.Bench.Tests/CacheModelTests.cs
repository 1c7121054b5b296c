using DiffWave.Bench.Costs;

namespace DiffWave.Bench.Tests;

/// <summary>Bytes of device memory, counted by hand for a cache of 1,000 bytes.</summary>
public class CacheModelTests
{
    private static double[] Dram(params Touch[][] launches) => CacheModel.DramBytes(launches, 1000);

    private static Touch Read(ulong buffer, double bytes) => new(buffer, bytes, 0);

    private static Touch Write(ulong buffer, double bytes) => new(buffer, 0, bytes);

    [Fact]
    public void WhatFitsStaysInTheCache() => Assert.Equal([0, 0], Dram([Read(1, 300), Write(2, 300)], [Read(2, 300), Write(1, 300)]));

    [Fact]
    public void WhatDoesNotFitIsReadAndWrittenEachTime() => Assert.Equal([1200, 1200], Dram([Read(1, 600), Write(2, 600)], [Read(2, 600), Write(1, 600)]));

    // 1 goes to the cache, from there to the second launch; the third brings 900 bytes in, so the next round finds neither 1 nor 2.
    [Fact]
    public void AResultIsWrittenBackOnlyWhenItIsPushedOut() =>
        Assert.Equal([400, 400, 900], Dram([Write(1, 400)], [Read(1, 400), Write(2, 400)], [Read(3, 900)]));

    [Fact]
    public void ReadingTwiceIsReadingOnce() => Assert.Equal([800, 0, 800], Dram([Read(1, 800)], [Read(1, 800)], [Read(2, 800)]));

    [Fact]
    public void ABufferUpdatedInPlaceIsReadAndWritten() => Assert.Equal([1600, 1800], Dram([new Touch(1, 800, 800)], [new Touch(2, 900, 900)]));

    [Fact]
    public void ABufferLargerThanTheCacheNeverStays() => Assert.Equal([1500, 1500], Dram([Read(1, 1500)], [Read(1, 1500)]));

    // Two pieces of one buffer, one after the other: each is still there when the second launch on it comes, but not when the round begins again.
    [Fact]
    public void PiecesComeAndGoByThemselves()
    {
        static Touch Piece(int piece, double read, double written) => new(1, read, written) { Piece = piece };
        Assert.Equal([800, 800, 800, 800], Dram([Piece(0, 800, 0)], [Piece(1, 800, 0)], [Piece(0, 800, 0)], [Piece(1, 800, 0)]));
        Assert.Equal([800, 0, 800, 0], Dram([Piece(0, 800, 0)], [Piece(0, 800, 0)], [Piece(1, 800, 0)], [Piece(1, 800, 0)]));
        Assert.Equal([0, 800, 0, 800], Dram([Piece(0, 0, 800)], [Piece(0, 800, 800)], [Piece(1, 0, 800)], [Piece(1, 800, 800)])); // written back once
    }
}
