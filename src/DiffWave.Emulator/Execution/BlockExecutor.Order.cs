namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    private static void OrderWarp(Warp warp, uint members) { }
    private static void OrderBarrier(uint arrived, uint waiting) { }
    private static void CopyArrived(Warp warp, int pc, in AsyncCopy copy) { }
}
