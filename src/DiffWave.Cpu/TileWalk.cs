namespace DiffWave.Cpu;

/// <summary>
/// The tiles of a dilated convolution over a range. Rows are taken in groups of 4 d from the start of the range; the tile with residue r of a group holds its rows
/// r, r + d, r + 2d, r + 3d, so that the three taps of neighbouring outputs are neighbouring rows of the tile, whatever the dilation. Tiles without a row in [first, end)
/// are left out; the others are numbered in order of group and residue.
/// </summary>
internal readonly struct TileWalk
{
    private readonly int _first, _end, _dilation, _span, _firstGroup, _countInFirst;

    /// <summary>Number of tiles.</summary>
    public int Count { get; }

    /// <param name="first">First row needed, relative to the range.</param>
    /// <param name="end">Row after the last row needed.</param>
    /// <param name="dilation">d.</param>
    public TileWalk(int first, int end, int dilation)
    {
        (_first, _end, _dilation, _span) = (first, end, dilation, MinimalFilter.Outputs * dilation);
        _firstGroup = first / _span;
        int lastGroup = (end - 1) / _span;
        _countInFirst = Residues(_firstGroup).Count;
        Count = lastGroup == _firstGroup ? _countInFirst : _countInFirst + (lastGroup - _firstGroup - 1) * dilation + Residues(lastGroup).Count;
    }

    /// <summary>Writes the first row of tiles [tile, tile + rows.Length), relative to the range.</summary>
    public void FirstRows(int tile, Span<int> rows)
    {
        int group = _firstGroup, index = tile;
        if (index >= _countInFirst)
        {
            index -= _countInFirst;
            group += 1 + index / _dilation;
            index %= _dilation;
        }
        var (start, count) = Residues(group);
        for (int i = 0; i < rows.Length; i++)
        {
            if (index == count)
            {
                index = 0;
                (start, count) = Residues(++group);
            }
            int residue = start + index++;
            rows[i] = group * _span + (residue < _dilation ? residue : residue - _dilation);
        }
    }

    // Residues of a group that have a needed row: count of them from start on, modulo d. Any d rows in a row hold each residue once.
    private (int Start, int Count) Residues(int group)
    {
        int from = Math.Max(_first, group * _span), to = Math.Min(_end, (group + 1) * _span);
        return ((from - group * _span) % _dilation, Math.Min(_dilation, to - from));
    }
}
