namespace DiffWave.Kernels;

public static partial class MatrixProduct
{
    private const int TileV2 = 128, DepthV2 = 8;
    private const int Pitch = TileV2 + 4; // of the transposed tile of A: with 128 the two halves of each row's copy would meet in the same banks

    /// <summary>Version 2. Blocks of 256 threads: N / 128 along x, M / 128 along y, rounded up.</summary>
    /// <param name="a">M x K; the address a multiple of 16, like the others.</param>
    /// <param name="b">K x N.</param>
    /// <param name="c">Receives M x N.</param>
    /// <param name="m">M.</param>
    /// <param name="n">N, a multiple of 4.</param>
    /// <param name="k">K, a multiple of 4.</param>
    [Kernel("matrix_product_v2", BlockX = 256)]
    public static void ProductV2(ArrayView<float> a, ArrayView<float> b, ArrayView<float> c, int m, int n, int k)
    {
        ArrayView<float> aTile = SharedMemory.Allocate<float>(DepthV2 * Pitch), bTile = SharedMemory.Allocate<float>(DepthV2 * TileV2); // [k][m] and [k][n]
        ArrayView<Float4> aFours = aTile.Cast<Float4>(), bFours = bTile.Cast<Float4>();
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(16); // 8 rows of 2 fours
        int thread = Group.IdxX, firstRow = Grid.IdxY * TileV2, firstColumn = Grid.IdxX * TileV2;

        // A copy is one four of each operand a thread: A's along k, to be transposed, B's along n.
        int aRow = thread / 2, aDepth = thread % 2 * 4, bDepth = thread / 32, bColumn = thread % 32 * 4;
        int aLimit = firstRow + aRow < m ? k - aDepth : 0, bLimit = firstColumn + bColumn < n ? k - bDepth : 0;
        ArrayView<Float4> aSource = a.AsAligned16().Cast<Float4>(), bSource = b.AsAligned16().Cast<Float4>();
        int aFrom = ((firstRow + aRow) * k + aDepth) / 4, bFrom = (bDepth * n + firstColumn + bColumn) / 4;

        // The sums of a thread are 4 x 4 in each quarter of the tile, so that the fours read by neighbours lie side by side.
        int four = thread % 16, rowFour = thread / 16;
        for (int first = 0; first < k; first += DepthV2, aFrom += DepthV2 / 4, bFrom += DepthV2 / 4 * n)
        {
            Float4 aPart = new(0, 0, 0, 0), bPart = new(0, 0, 0, 0);
            if (first < aLimit) aPart = aSource[aFrom];
            if (first < bLimit) bPart = bSource[bFrom];
            Group.Barrier(); // all have read the last tile
            aTile[aDepth * Pitch + aRow] = aPart.X;
            aTile[(aDepth + 1) * Pitch + aRow] = aPart.Y;
            aTile[(aDepth + 2) * Pitch + aRow] = aPart.Z;
            aTile[(aDepth + 3) * Pitch + aRow] = aPart.W;
            bFours[bDepth * (TileV2 / 4) + bColumn / 4] = bPart;
            Group.Barrier(); // all have written this one
            for (int i = 0; i < DepthV2; i++)
            {
                Float4 b0 = bFours[i * (TileV2 / 4) + four], b1 = bFours[i * (TileV2 / 4) + 16 + four];
                for (int half = 0; half < 2; half++)
                {
                    Float4 part = aFours[i * (Pitch / 4) + 16 * half + rowFour];
                    Fours.AddOuter(sums, 8 * half, part.X, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 2, part.Y, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 4, part.Z, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 6, part.W, b0, b1);
                }
            }
        }

        ArrayView<Float4> target = c.AsAligned16().Cast<Float4>();
        for (int i = 0; i < 8; i++)
        {
            int row = firstRow + i / 4 * 64 + rowFour * 4 + i % 4;
            if (row >= m) continue;
            for (int half = 0; half < 2; half++)
            {
                int column = firstColumn + 64 * half + 4 * four;
                if (column < n) target[(row * n + column) / 4] = sums[2 * i + half];
            }
        }
    }
}
