namespace DiffWave.Kernels;

/// <summary>Rows of an activation [B, rows, C] in device memory, channel-last and densely packed, from one row on.</summary>
/// <typeparam name="T">float, or the 16 bits a value is stored in.</typeparam>
/// <param name="values">The whole activation, B x rows x C.</param>
/// <param name="itemRows">Rows an item holds.</param>
/// <param name="first">The row that counts as row 0 here.</param>
/// <param name="channels">C.</param>
public readonly struct Rows<T>(ArrayView<T> values, int itemRows, int first, int channels) where T : unmanaged
{
    /// <summary>The whole activation, B x rows x C.</summary>
    public readonly ArrayView<T> Values = values;

    /// <summary>Rows an item holds.</summary>
    public readonly int ItemRows = itemRows;

    /// <summary>The row that counts as row 0 here.</summary>
    public readonly int First = first;

    /// <summary>C.</summary>
    public readonly int Channels = channels;

    /// <summary>The C values of a row.</summary>
    /// <param name="item">0 to B - 1.</param>
    /// <param name="row">Counted from the first; negative for rows before it.</param>
    public ArrayView<T> Row(int item, int row) => Values.SubView(((long)item * ItemRows + First + row) * Channels, Channels);

    /// <summary>The values of the first <paramref name="rows"/> rows of an item, row after row: rows x C.</summary>
    /// <param name="item">0 to B - 1.</param>
    /// <param name="rows">Rows, with fewer than 2^31 values.</param>
    public ArrayView<T> Run(int item, int rows) => Values.SubView(((long)item * ItemRows + First) * Channels, rows * Channels);

    /// <summary>The C values of a row of a ring: rows past the end of an item continue at its start.</summary>
    /// <param name="item">0 to B - 1.</param>
    /// <param name="row">Counted from the first; at least 0 and before the first row comes round again.</param>
    public ArrayView<T> RingRow(int item, int row) => Row(item, First + row < ItemRows ? row : row - ItemRows);
}
