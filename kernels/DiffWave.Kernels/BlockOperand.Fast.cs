namespace DiffWave.Kernels;

/// <summary>
/// How the fused residual block multiplies, gates and stores values of a type. Everything that is the same for 16 bits and 32 is counted in bytes: a step of a product is 32 bytes of a row, a lane's part of
/// a fragment four words, and a lane of an accumulator holds four tiles of a group of 32 channels: eight consecutive channels, as four pairs.
/// </summary>
/// <typeparam name="T">What activations and packed weights are stored as.</typeparam>
public interface IBlockOperand<T> : IMatrixOperand<T> where T : unmanaged
{
    /// <summary>A fragment of stored activations as the product takes it.</summary>
    /// <param name="stored">This lane's part, as ldmatrix reads it.</param>
    static abstract UInt4 Operand(UInt4 stored);

    /// <summary>tanh(filter) sigmoid(gate).</summary>
    /// <param name="filter">First half of h.</param>
    /// <param name="gate">Second half of h.</param>
    static abstract float Gate(float filter, float gate);

    /// <summary>Stores columns 2j and 2j + 1 of a tile of z, so that ldmatrix reads the left operand of the second product.</summary>
    /// <param name="words">Shared memory in words.</param>
    /// <param name="word">Word j of the tile's first 16 bytes in this row.</param>
    /// <param name="pair">Both columns.</param>
    static abstract void StoreGated(ArrayView<uint> words, int word, Float2 pair);

    /// <summary>Which 16 bytes of a row's group a lane accesses first in global memory; the others follow <see cref="PieceStride"/> after.</summary>
    /// <param name="j">Lane % 4.</param>
    static abstract int FirstPiece(int j);

    /// <summary>Distance of a lane's accesses, in 16 bytes.</summary>
    static abstract int PieceStride { get; }

    /// <summary>Gives the lanes of a row their values in the order in which they access global memory: whole sectors each time.</summary>
    /// <param name="pairs">Four pairs, columns of the group's four tiles; on return the values of the lane's accesses in order.</param>
    static abstract void Arrange(ArrayView<Float2> pairs);

    /// <summary>Stored values as four pairs.</summary>
    /// <param name="pieces">Holds a lane's 16 or 32 bytes.</param>
    /// <param name="first">The first of them.</param>
    /// <param name="pairs">Receives four pairs.</param>
    static abstract void Unpack(ArrayView<UInt4> pieces, int first, ArrayView<Float2> pairs);

    /// <summary>Four pairs as they are stored.</summary>
    /// <param name="pairs">Four pairs.</param>
    /// <param name="pieces">Receives a lane's 16 or 32 bytes.</param>
    static abstract void Pack(ArrayView<Float2> pairs, ArrayView<UInt4> pieces);
}

/// <summary>The same for numbers of 16 bits, two in a word: a lane's eight channels are one access. The gate is the hardware's tanh, with an absolute error up to 2^-11 + 2^-12.</summary>
/// <typeparam name="T">Half or BFloat16.</typeparam>
/// <typeparam name="P">The operand itself.</typeparam>
public interface IBlockPair<T, P> : IBlockOperand<T>, IMatrixPair<T> where T : unmanaged where P : struct, IMatrixPair<T>
{
    static UInt4 IBlockOperand<T>.Operand(UInt4 stored) => stored;

    static float IBlockOperand<T>.Gate(float filter, float gate) => GatedActivation.Approximate(filter, gate);

    static void IBlockOperand<T>.StoreGated(ArrayView<uint> words, int word, Float2 pair) => words[word] = P.Pack(pair.X, pair.Y);

    static int IBlockOperand<T>.FirstPiece(int j) => j;

    static int IBlockOperand<T>.PieceStride => 0;

    static void IBlockOperand<T>.Arrange(ArrayView<Float2> pairs) { }

    static void IBlockOperand<T>.Unpack(ArrayView<UInt4> pieces, int first, ArrayView<Float2> pairs)
    {
        UInt4 piece = pieces[first];
        pairs[0] = P.Unpack(piece.X);
        pairs[1] = P.Unpack(piece.Y);
        pairs[2] = P.Unpack(piece.Z);
        pairs[3] = P.Unpack(piece.W);
    }

    static void IBlockOperand<T>.Pack(ArrayView<Float2> pairs, ArrayView<UInt4> pieces) =>
        pieces[0] = new(P.Pack(pairs[0].X, pairs[0].Y), P.Pack(pairs[1].X, pairs[1].Y), P.Pack(pairs[2].X, pairs[2].Y), P.Pack(pairs[3].X, pairs[3].Y));
}

public readonly partial struct F16 : IBlockPair<Half, F16>;

public readonly partial struct BF16 : IBlockPair<BFloat16, BF16>;

public readonly partial struct TF32 : IBlockOperand<float>
{
    private const float Log2E = 1.44269504f;

    /// <inheritdoc/>
    public static UInt4 Operand(UInt4 stored) => new(Bits(Interop.IntAsFloat(stored.X)), Bits(Interop.IntAsFloat(stored.Y)), Bits(Interop.IntAsFloat(stored.Z)), Bits(Interop.IntAsFloat(stored.W)));

    /// <summary>
    /// tanh(filter) sigmoid(gate) as (1 - u) / ((1 + u) (1 + v)) with u = exp(-2 |filter|) and v = exp(-gate) by ex2.approx: absolute error below 2^-20, a relative error of 2^-22 in both exponentials
    /// and a rounding in each of the other operations. Where v is infinite the quotient is 0, as it should be.
    /// </summary>
    /// <inheritdoc/>
    public static float Gate(float filter, float gate)
    {
        float u = Ptx.Ex2ApproxFtz(-2 * Log2E * MathF.Abs(filter)), v = Ptx.Ex2ApproxFtz(-Log2E * gate);
        return MathF.CopySign((1 - u) * Ptx.RcpApproxFtz((1 + u) * (1 + v)), filter);
    }

    /// <inheritdoc/>
    public static void StoreGated(ArrayView<uint> words, int word, Float2 pair)
    {
        words[word] = Bits(pair.X);
        words[word + 4] = Bits(pair.Y);
    }

    /// <inheritdoc/>
    public static int FirstPiece(int j) => 2 * j - j % 2;

    /// <inheritdoc/>
    public static int PieceStride => 2;

    /// <summary>A lane's eight channels are 32 bytes, the two lanes of a pair exchange 16: each then stores two halves of sectors whose other halves its partner stores in the same access.</summary>
    /// <inheritdoc/>
    public static void Arrange(ArrayView<Float2> pairs)
    {
        bool odd = Group.IdxX % 2 != 0;
        for (int i = 0; i < 2; i++)
        {
            float x = Warp.ShuffleXor(odd ? pairs[i].X : pairs[i + 2].X, 1), y = Warp.ShuffleXor(odd ? pairs[i].Y : pairs[i + 2].Y, 1);
            if (odd) pairs[i] = new Float2(x, y);
            else pairs[i + 2] = new Float2(x, y);
        }
    }

    /// <inheritdoc/>
    public static void Unpack(ArrayView<UInt4> pieces, int first, ArrayView<Float2> pairs)
    {
        for (int i = 0; i < 2; i++)
        {
            UInt4 piece = pieces[first + i];
            pairs[2 * i] = new Float2(Interop.IntAsFloat(piece.X), Interop.IntAsFloat(piece.Y));
            pairs[2 * i + 1] = new Float2(Interop.IntAsFloat(piece.Z), Interop.IntAsFloat(piece.W));
        }
    }

    /// <inheritdoc/>
    public static void Pack(ArrayView<Float2> pairs, ArrayView<UInt4> pieces)
    {
        for (int i = 0; i < 2; i++)
            pieces[i] = new UInt4(Interop.FloatAsInt(pairs[2 * i].X), Interop.FloatAsInt(pairs[2 * i].Y), Interop.FloatAsInt(pairs[2 * i + 1].X), Interop.FloatAsInt(pairs[2 * i + 1].Y));
    }
}
