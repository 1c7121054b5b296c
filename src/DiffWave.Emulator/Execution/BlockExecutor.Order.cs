namespace DiffWave.Emulator.Execution;

// What happened before what. The block has one counter of barrier events; a warp's accesses are stamped with its value at the warp's last event, and each warp knows for every other up to
// which stamp its accesses are ordered before its own next one. Barriers merge that knowledge, exactly as vector clocks do.
internal sealed unsafe partial class BlockExecutor
{
    // Stamps grow from block to block, so that shadows need not be cleared in between.
    private const uint LastTime = 1u << 31;

    private readonly uint[][] arrivedTimes;
    private uint time = 1, blockStart, everyoneKnows;
    private bool partialSince;

    private void StartOrder()
    {
        if (time > LastTime)
        {
            time = 1;
            int units = checks ? (launch.SharedBytes + Warp.Lanes) >> unitShift : 0;
            foreach (nint shadow in (nint[])[(nint)writers, (nint)readers, (nint)otherReaders]) new Span<ulong>((void*)shadow, units).Clear();
        }
        blockStart = everyoneKnows = time++;
        partialSince = false;
        foreach (Warp warp in warps)
        {
            warp.Now = time;
            warp.Synchronised = blockStart;
            warp.PairSynchronised = null;
            Array.Clear(warp.Known);
        }
        foreach (uint[] times in arrivedTimes) Array.Clear(times);
    }

    // bar.warp.sync orders the accesses of the lanes it names.
    private void OrderWarp(Warp warp, uint members)
    {
        if ((warp.Live & ~members) == 0) warp.Synchronised = warp.Now;
        else
        {
            uint[] pairs = warp.PairSynchronised ??= new uint[Warp.Lanes * Warp.Lanes];
            for (uint first = members; first != 0; first &= first - 1)
                for (uint second = members; second != 0; second &= second - 1) pairs[FirstLane(first) * Warp.Lanes + FirstLane(second)] = warp.Now;
        }
        warp.Now = ++time;
    }

    // What a warp has done when it reaches a barrier, and what it knows, is handed to those who wait there.
    private void ReachBarrier(Warp warp, int number, bool isWaiting)
    {
        uint[] times = arrivedTimes[number];
        for (int i = 0; i < times.Length; i++) times[i] = Math.Max(times[i], warp.Known[i]);
        times[warp.Index] = warp.Now;
        if (isWaiting) warp.Synchronised = warp.Now;
        warp.Now = ++time;
    }

    private void PassBarrier(int number, uint waiting)
    {
        uint[] times = arrivedTimes[number];
        if (waiting == (warps.Length == 32 ? ~0u : (1u << warps.Length) - 1))
        {
            everyoneKnows = time;
            partialSince = false;
        }
        else partialSince = true;
        time++;
        foreach (Warp warp in warps)
        {
            if ((waiting >> warp.Index & 1) == 0) continue;
            for (int i = 0; i < times.Length; i++) warp.Known[i] = Math.Max(warp.Known[i], times[i]);
            warp.Now = time;
        }
        Array.Clear(times);
    }
}
