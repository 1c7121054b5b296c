namespace DiffWave.Kernels;

// Kernels that may be launched while the one before them still runs, on sm_90 and later.
internal static class EarlyLaunch
{
    // From here on a kernel may touch what others write: those before it are complete. The next one may have multiprocessors as they become free, but not before: what it reads before it waits itself, weights,
    // may come from any kernel but this one.
    public static void AwaitOthers()
    {
        Ptx.GridDependencyWait();
        Ptx.GridDependencyLaunch();
    }
}
