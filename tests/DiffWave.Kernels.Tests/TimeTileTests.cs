namespace DiffWave.Kernels.Tests;

/// <summary>Tiles of time: which rows they hold, and how many of them are in vain.</summary>
public class TimeTileTests
{
    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(256)]
    public void EveryRowIsInOneTile(int tileRows)
    {
        for (int dilation = 1; dilation <= 512; dilation *= 2)
            for (int rows = 1; rows <= 5000; rows += rows < 1100 ? 1 : 13) Covered(1, rows, dilation, TimeTile.Neighbours(rows, dilation, tileRows), tileRows);
    }

    [Fact]
    public void SoForEveryNumberOfNeighboursOddDilationsAndSeveralItems()
    {
        foreach (int dilation in new[] { 1, 3, 4, 6, 7, 12, 24, 100, 512 })
            foreach (int rows in new[] { 1, 2, 11, 12, 13, 63, 64, 65, 127, 128, 129, 511, 1025, 5000 })
                for (int neighbours = 1; neighbours <= 64 && dilation % neighbours == 0; neighbours *= 2) Covered(3, rows, dilation, neighbours, 64);
    }

    // Every row of every item exactly once, and every tile has one.
    private static void Covered(int batch, int rows, int dilation, int neighbours, int tileRows)
    {
        int count = TimeTile.Count(rows, dilation, neighbours, tileRows);
        var seen = new byte[batch * rows];
        for (int index = 0; index < batch * count; index++)
        {
            var tile = new TimeTile(index, rows, dilation, neighbours, tileRows);
            if (tile.Item != index / count || tile.First >= rows) Assert.Fail($"tile {index} of {count} an item: item {tile.Item}, first {tile.First}");
            for (int row = 0; row < tileRows; row++)
                if (tile.Time(row) < rows) seen[tile.Item * rows + tile.Time(row)]++;
        }
        if (seen.AsSpan().ContainsAnyExcept((byte)1)) Assert.Fail($"rows {rows}, dilation {dilation}, {neighbours} neighbours, tiles of {tileRows}");
    }

    [Theory]
    [InlineData(1, 1, 64)]
    [InlineData(4, 4, 64)]
    [InlineData(512, 64, 128)]
    [InlineData(12, 2, 32)]
    [InlineData(64, 16, 16)]
    public void ATapIsAsManyLocalRowsAwayAsThereAreNeighbours(int dilation, int neighbours, int tileRows)
    {
        for (int index = 0; index < TimeTile.Count(3000, dilation, neighbours, tileRows); index++)
        {
            var tile = new TimeTile(index, 3000, dilation, neighbours, tileRows);
            for (int row = 0; row < tileRows; row++)
            {
                Assert.Equal(tile.First + row / neighbours * dilation + row % neighbours, tile.Time(row));
                Assert.Equal((tile.Time(row) - dilation, tile.Time(row) + dilation), (tile.Time(row - neighbours), tile.Time(row + neighbours)));
            }
        }
    }

    [Theory]
    [InlineData(5000, 1, 128, 1)]    // no dilation, no choice
    [InlineData(5000, 7, 128, 1)]    // nor for an odd one
    [InlineData(1, 512, 128, 1)]     // one row: one tile, with the smallest halo
    [InlineData(220500, 512, 128, 2)] // a long signal: the halo decides
    [InlineData(1024, 512, 128, 64)]  // two dilations: what is computed in vain decides
    public void TheNeighboursMakeHaloAndWasteFewest(int rows, int dilation, int tileRows, int expected) => Assert.Equal(expected, TimeTile.Neighbours(rows, dilation, tileRows));

    [Fact]
    public void NoOtherNumberOfNeighboursCostsLess()
    {
        foreach (int rows in new[] { 1, 100, 640, 1000, 5000, 22050 })
            for (int dilation = 1; dilation <= 2048; dilation *= 2)
            {
                double Cost(int q) => (double)TimeTile.Count(rows, dilation, q, 128) * 128 / rows + 2.0 * q / 128;
                int chosen = TimeTile.Neighbours(rows, dilation, 128);
                for (int q = 1; q <= Math.Min(dilation, 64); q *= 2) Assert.True(Cost(chosen) <= Cost(q) + 1e-9, $"{rows} rows, dilation {dilation}: {chosen} chosen, {q} costs less");
            }
    }

    // Every row of every part is in one tile of its own part.
    [Theory]
    [InlineData(new[] { 300, 1, 64, 2000 }, 8, 8, 128)]
    [InlineData(new[] { 5, 5, 5 }, 512, 64, 64)]
    [InlineData(new[] { 77 }, 3, 1, 16)]
    public void TheTilesOfPackedSignalsCoverEachRowOnce(int[] parts, int dilation, int neighbours, int tileRows)
    {
        int[] table = PackedSignals.Table(parts, dilation, neighbours, tileRows);
        var seen = new byte[parts.Sum()];
        Assert.Equal(4 * parts.Length, table.Length);
        for (int part = 0, tiles = 0, row = 0; part < parts.Length; part++)
        {
            int count = TimeTile.Count(parts[part], dilation, neighbours, tileRows), end = row + parts[part];
            Assert.Equal([tiles, tiles += count, row, end], table[(4 * part)..(4 * part + 4)]);
            for (int index = 0; index < count; index++)
            {
                var tile = new TimeTile(index, row, parts[part], dilation, neighbours, tileRows);
                Assert.InRange(tile.First, row, end - 1);
                for (int local = 0; local < tileRows; local++)
                    if (tile.Time(local) < end) seen[tile.Time(local)]++;
            }
            row = end;
        }
        Assert.DoesNotContain(seen, times => times != 1);
    }

    [Fact]
    public void PackedSignalsShareTheNeighboursThatCostLeast()
    {
        int[] parts = [220500, 700, 1];
        double Cost(int q) => parts.Sum(rows => (double)TimeTile.Count(rows, 512, q, 128) * 128 * 128 + 2.0 * q * rows);
        int chosen = PackedSignals.Neighbours(parts, 512, 128);
        for (int q = 1; q <= 64; q *= 2) Assert.True(Cost(chosen) <= Cost(q));
        Assert.Equal(TimeTile.Neighbours(700, 512, 128), PackedSignals.Neighbours([700], 512, 128));
        Assert.Contains("1 to 2^30 rows", Assert.Throws<ArgumentOutOfRangeException>(() => PackedSignals.Neighbours([5, 0], 1, 64)).Message);
    }

    [Fact]
    public void WhatIsOutOfRangeIsRefused()
    {
        Assert.Contains("1 to 2^30 rows", Assert.Throws<ArgumentOutOfRangeException>(() => TimeTile.Neighbours(0, 1, 64)).Message);
        Assert.Contains("1 to 2^20", Assert.Throws<ArgumentOutOfRangeException>(() => TimeTile.Neighbours(1, 0, 64)).Message);
        Assert.Contains("power of two up to 1024", Assert.Throws<ArgumentOutOfRangeException>(() => TimeTile.Neighbours(1, 1, 96)).Message);
        Assert.Contains("divides a dilation of 12", Assert.Throws<ArgumentOutOfRangeException>(() => TimeTile.Count(100, 12, 8, 64)).Message);
    }
}
