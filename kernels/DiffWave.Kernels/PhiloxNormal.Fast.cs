namespace DiffWave.Kernels;

public static partial class PhiloxNormal
{
    /// <summary>Version 2. Threads: any number along x.</summary>
    /// <param name="normals">Receives the elements from <paramref name="first"/> on; the address a multiple of 16.</param>
    /// <param name="seed">Key.</param>
    /// <param name="stream">Which independent sequence.</param>
    /// <param name="step">Which draw of the sequence.</param>
    /// <param name="first">Number of the first element, at least 0.</param>
    [Kernel("philox_normal_v2", BlockX = 256)]
    public static void FillV2(ArrayView<float> normals, ulong seed, uint stream, uint step, long first)
    {
        ArrayView<Float4> fours = normals.AsAligned16().Cast<Float4>();
        bool aligned = first % 4 == 0;
        for (long block = first / 4 + Grid.GlobalIndex.X; 4 * block - first < normals.Length; block += Grid.DimX * Group.DimX)
        {
            Words words = Philox(seed, stream, step, block);
            Pair(words.X, words.Y, out float normal0, out float normal1);
            Pair(words.Z, words.W, out float normal2, out float normal3);
            long j = 4 * block - first;
            if (aligned && j + 3 < normals.Length) fours[j / 4] = new Float4(normal0, normal1, normal2, normal3);
            else
            {
                Store(normals, j, normal0);
                Store(normals, j + 1, normal1);
                Store(normals, j + 2, normal2);
                Store(normals, j + 3, normal3);
            }
        }
    }
}
