namespace DiffWave.Cpu.Tests;

public class TileWalkTests
{
    [Fact]
    public void EveryNeededRowIsInExactlyOneTile()
    {
        foreach (int d in new[] { 1, 2, 3, 4, 8, 16 })
            for (int first = 0; first < 9 * d; first += d < 4 ? 1 : d / 4)
                foreach (int count in Enumerable.Range(1, 4 * d).Append(5 * d - 1).Append(8 * d).Append(13 * d + 1))
                {
                    int end = first + count;
                    var walk = new TileWalk(first, end, d);
                    var starts = new int[walk.Count];
                    walk.FirstRows(0, starts);
                    var covered = new int[end];
                    foreach (int start in starts)
                    {
                        Assert.True(Enumerable.Range(0, 4).Any(j => start + j * d >= first && start + j * d < end), $"d={d} [{first}, {end}): the tile at {start} has no needed row");
                        Assert.True(start % (4 * d) < d, $"d={d}: a tile at {start} crosses its group");
                        for (int j = 0; j < 4; j++) if (start + j * d >= first && start + j * d < end) covered[start + j * d]++;
                    }
                    for (int row = first; row < end; row++) Assert.True(covered[row] == 1, $"d={d} [{first}, {end}): row {row} is in {covered[row]} tiles");
                    // Tiles asked for in pieces are the same tiles.
                    for (int tile = 0; tile < walk.Count; tile += 3)
                    {
                        var piece = new int[Math.Min(3, walk.Count - tile)];
                        walk.FirstRows(tile, piece);
                        Assert.Equal(starts[tile..(tile + piece.Length)], piece);
                    }
                }
    }
}
