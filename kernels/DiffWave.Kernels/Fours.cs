namespace DiffWave.Kernels;

/// <summary>Numbers four at a time.</summary>
internal static class Fours
{
    /// <summary>A view in fours; its address is a multiple of 16.</summary>
    public static ArrayView<Float4> Of(ArrayView<float> values) => values.AsAligned16().Cast<Float4>();

    /// <summary>a + b.</summary>
    public static Float4 Sum(Float4 a, Float4 b) => new(a.X + b.X, a.Y + b.Y, a.Z + b.Z, a.W + b.W);

    /// <summary>a times a number.</summary>
    public static Float4 Scaled(Float4 a, float factor) => new(a.X * factor, a.Y * factor, a.Z * factor, a.W * factor);

    /// <summary>sums[index] += a b0 and sums[index + 1] += a b1: a row of an outer product.</summary>
    public static void AddOuter(ArrayView<Float4> sums, int index, float a, Float4 b0, Float4 b1)
    {
        AddScaled(ref sums[index], a, b0);
        AddScaled(ref sums[index + 1], a, b1);
    }

    private static void AddScaled(ref Float4 sum, float a, Float4 b)
    {
        sum.X += a * b.X;
        sum.Y += a * b.Y;
        sum.Z += a * b.Z;
        sum.W += a * b.W;
    }
}

/// <summary>Rows of one item in fours of channels: what products load from and finish to.</summary>
internal readonly struct FourRows
{
    private readonly ArrayView<Float4> fours;
    private readonly int first, width, itemRows;

    /// <summary>The rows of an item; the address of the buffer a multiple of 16, the channels a multiple of 4.</summary>
    public FourRows(Rows rows, int item)
    {
        fours = Fours.Of(rows.Values.SubView((long)item * rows.ItemRows * rows.Channels));
        first = rows.First;
        width = rows.Channels / 4;
        itemRows = rows.ItemRows;
    }

    /// <summary>Where a row begins, counted from the start of the item in fours.</summary>
    public int Place(int row) => (first + row) * width;

    /// <summary>Where a row of a ring begins, see <see cref="Rows.RingRow"/>.</summary>
    public int RingPlace(int row) => Place(first + row < itemRows ? row : row - itemRows);

    /// <summary>Four channels of the row that begins at a place.</summary>
    public ref Float4 At(int place, int four) => ref fours[place + four];
}
