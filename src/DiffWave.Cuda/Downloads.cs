using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>
/// Copies from the device into page-locked memory in the order of one stream, each with an event behind it: the host goes on at once, and waits for the values when it wants them. Blocks are used
/// again; few are kept. Not for several threads at once, nor while the stream is being captured.
/// </summary>
/// <param name="driver">The device; stays the caller's.</param>
/// <param name="stream">The stream all copies are queued on.</param>
internal sealed class Downloads(ICudaDriver driver, nint stream) : IDisposable
{
    private const int LeastBytes = 1 << 16;
    private const int Kept = 2; // one whose values are handed on, one that is filled meanwhile

    private readonly List<Block> all = []; // kept and in use
    private readonly List<Block> kept = [];

    private sealed class Block
    {
        public nint Memory, Event;
        public long Bytes;
        public bool IsPending;
    }

    /// <summary>Begins to copy values of the device behind everything queued on the stream.</summary>
    /// <param name="source">The first.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <returns>The values; given up without a wait, a copy under way ends in memory that later copies write over.</returns>
    /// <exception cref="CudaException">The driver refuses.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public IDownload Begin(ulong source, int count)
    {
        if (driver.IsCapturing(stream)) throw new InvalidOperationException("downloads are not recorded: a graph would copy to memory that is used for something else by then");
        long bytes = (long)count * sizeof(float);
        Block block = Take(bytes);
        try
        {
            driver.CopyToHostAsync(block.Memory, source, bytes, stream);
            block.IsPending = true;
            driver.RecordEvent(block.Event, stream);
            return new Download(this, block, count);
        }
        catch
        {
            kept.Add(block);
            throw;
        }
    }

    private sealed class Download(Downloads owner, Block block, int count) : IDownload
    {
        private bool given;

        public unsafe ReadOnlySpan<float> Wait()
        {
            ObjectDisposedException.ThrowIf(given || block.Memory == 0, this);
            owner.Wait(block);
            return new ReadOnlySpan<float>((void*)block.Memory, count);
        }

        public void Dispose()
        {
            if (given || block.Memory == 0) return;
            given = true;
            owner.GiveBack(block);
        }
    }

    /// <summary>Waits for the copies under way, then gives all memory back, also that of downloads still held.</summary>
    public void Dispose()
    {
        Cleanup.Run([.. all.Where(block => block.IsPending).Select(block => (Action)(() => Wait(block))), .. all.ToArray().Select(block => (Action)(() => Release(block)))]);
        kept.Clear();
    }

    // The smallest kept block that is large enough. Else those that are too small make way for one that is.
    private Block Take(long bytes)
    {
        Block? block = kept.Where(one => one.Bytes >= bytes).MinBy(one => one.Bytes);
        if (block is not null)
        {
            kept.Remove(block);
            return block;
        }
        foreach (Block small in kept.ToArray()) Release(small);
        block = new Block { Bytes = Math.Max(LeastBytes, (long)BitOperations.RoundUpToPowerOf2((ulong)bytes)) };
        all.Add(block);
        try
        {
            block.Memory = driver.AllocateHost(block.Bytes);
            block.Event = driver.CreateEvent();
            return block;
        }
        catch
        {
            Cleanup.Run(() => Release(block));
            throw;
        }
    }

    // Work queued later writes over what a copy given up has written: all of one stream.
    private void GiveBack(Block block)
    {
        if (kept.Count < Kept) kept.Add(block);
        else Release(block);
    }

    private void Wait(Block block)
    {
        if (!block.IsPending) return;
        driver.SynchronizeEvent(block.Event);
        block.IsPending = false;
    }

    private void Release(Block block)
    {
        all.Remove(block);
        kept.Remove(block);
        (nint memory, nint mark) = (block.Memory, block.Event);
        (block.Memory, block.Event) = (0, 0);
        List<Action> actions = [];
        if (block.IsPending) actions.Add(() => driver.SynchronizeEvent(mark));
        if (memory != 0) actions.Add(() => driver.FreeHost(memory));
        if (mark != 0) actions.Add(() => driver.DestroyEvent(mark));
        Cleanup.Run(actions);
    }
}
