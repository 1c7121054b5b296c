using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>What a table of <see cref="Kernels.PackedSignals"/> depends on.</summary>
internal readonly record struct PackedTable(Segments Signals, long First, int Count, int Dilation, int Neighbours, int TileRows);

/// <summary>Tables of packed signals in device memory, each made once and kept, so that a recording finds them there. When there are very many all are forgotten.</summary>
internal sealed class PackedTables(DeviceMemoryPool pool, Func<bool> isCapturing)
{
    private const int Most = 1000;

    private readonly Dictionary<PackedTable, ArrayView<int>> tables = [];

    /// <summary>Changes whenever tables are forgotten.</summary>
    public int Version { get; private set; }

    /// <summary>A table on the device.</summary>
    /// <param name="key">Which.</param>
    /// <param name="make">Its content, where it is not there yet.</param>
    /// <param name="upload">Queues a copy to an address.</param>
    /// <exception cref="InvalidOperationException">It is not there yet, and the stream is being captured.</exception>
    public ArrayView<int> Take(PackedTable key, Func<int[]> make, Action<int[], ulong> upload)
    {
        if (tables.TryGetValue(key, out ArrayView<int> table)) return table;
        if (isCapturing()) throw new InvalidOperationException("a recording has packed signals that it did not have when it ran before; it must do the same every time");
        if (tables.Count == Most)
        {
            foreach (ArrayView<int> old in tables.Values) pool.Free((ulong)old.Address); // work queued before may still use it, all of one stream
            tables.Clear();
            Version++;
        }
        int[] values = make();
        table = new ArrayView<int>((nint)pool.Allocate(sizeof(int) * (long)values.Length), values.Length);
        tables.Add(key, table);
        upload(values, (ulong)table.Address);
        return table;
    }
}
