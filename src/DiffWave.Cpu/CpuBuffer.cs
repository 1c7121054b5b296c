using System.Runtime.InteropServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// Rows in ordinary memory, aligned to 64 bytes. A row takes <see cref="Stride"/> floats: the channels rounded up to <see cref="ChannelGrain"/>,
/// so that whole vectors can be read and written; the padding lanes hold values nobody reads. Signals are packed, one float a row.
/// </summary>
internal sealed unsafe partial class CpuBuffer : IBuffer
{
    public const int ChannelGrain = 32;
    private const int SlackRows = 8; // the eight-row kernel may read past the last row
    private const nuint HugePage = 2 << 20;
    private const int WantHugePages = 14; // MADV_HUGEPAGE

    public int Batch { get; }
    public int Rows { get; }
    public int Channels { get; }
    public int Stride { get; }
    private readonly BufferMemory _memory;
    private readonly long _floats;
    private float* _data;

    public CpuBuffer(BufferMemory memory, int batch, int rows, int channels, bool packed = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        (Batch, Rows, Channels) = (batch, rows, channels);
        Stride = packed ? channels : RoundUp(channels);
        (_memory, _floats) = (memory, ((long)batch * rows + SlackRows) * Stride + ChannelGrain);
        _data = memory.Take(_floats);
    }

    ~CpuBuffer() => Free();

    public static int RoundUp(int channels) => (channels + ChannelGrain - 1) / ChannelGrain * ChannelGrain;

    /// <summary>
    /// Zero-filled floats aligned to 64 bytes; freed with <see cref="NativeMemory.AlignedFree"/>. Large ones lie in pages of 2 MiB where Linux has them: to get those of 4 KiB takes longer than to clear them.
    /// </summary>
    public static float* AllocateFloats(long count)
    {
        nuint bytes = checked((nuint)count * sizeof(float));
        bool isLarge = bytes >= HugePage && OperatingSystem.IsLinux();
        var data = (float*)NativeMemory.AlignedAlloc(bytes, isLarge ? HugePage : 64);
        if (isLarge) Advise(data, bytes / HugePage * HugePage, WantHugePages); // only advice: without it the memory is as good, but slower
        NativeMemory.Clear(data, bytes);
        return data;
    }

    [LibraryImport("libc", EntryPoint = "madvise")] private static partial int Advise(void* start, nuint length, int advice);

    public float* Row(int item, long row)
    {
        ObjectDisposedException.ThrowIf(_data == null, this);
        return _data + ((long)item * Rows + row) * Stride;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_data != null) _memory.Give(_data, _floats);
        _data = null;
    }
}
