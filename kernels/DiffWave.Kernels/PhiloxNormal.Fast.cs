namespace DiffWave.Kernels;

public static partial class PhiloxNormal
{
    /// <summary>Version 2. Grid: x any number of blocks, y over items. The address of <paramref name="normals"/> is a multiple of 16.</summary>
    /// <param name="normals">Receives [B, T, 1].</param>
    /// <param name="rows">T, at most 2^30.</param>
    /// <param name="seed">Key in the first element, origin in the second, below 2^63.</param>
    /// <param name="stream">Independent sequence of item 0.</param>
    /// <param name="streamStride">What the stream grows by from item to item.</param>
    /// <param name="step">Which draw of the sequence.</param>
    /// <param name="first">Number of the first element of item 0, at least 0.</param>
    /// <param name="firstStride">What it grows by from item to item.</param>
    [Kernel("philox_normal_v2", BlockX = 256)]
    public static void FillV2(Rows<float> normals, int rows, ArrayView<ulong> seed, uint stream, uint streamStride, uint step, long first, long firstStride)
    {
        int item = Grid.IdxY;
        ulong key = seed[0];
        uint sequence = stream + (uint)item * streamStride;
        long start = (long)seed[1] + first + item * firstStride, place = (long)item * normals.ItemRows + normals.First;
        ArrayView<float> values = normals.Run(item, rows);
        ArrayView<Float4> fours = normals.Values.AsAligned16().Cast<Float4>();
        bool aligned = (place - start & 3) == 0; // blocks of four normals lie on multiples of 16 bytes
        int before = (int)(start & 3);
        for (int row = 4 * Grid.GlobalIndex.X - before; row < rows; row += 4 * Grid.DimX * Group.DimX)
        {
            Words words = Philox(key, sequence, step, (start + row) / 4);
            if (aligned && row >= 0 && row + 3 < rows)
            {
                Pair(words.X, words.Y, out float normal0, out float normal1);
                Pair(words.Z, words.W, out float normal2, out float normal3);
                fours[(place + row) / 4] = new Float4(normal0, normal1, normal2, normal3);
            }
            else Store(values, row, words);
        }
    }
}
