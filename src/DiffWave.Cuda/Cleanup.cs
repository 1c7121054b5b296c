namespace DiffWave.Cuda;

/// <summary>Gives several things back, each although another fails.</summary>
internal static class Cleanup
{
    /// <summary>Does everything. What the driver says meanwhile is about earlier work or a context that is lost; thrown here it would hide the exception that led to the cleaning up.</summary>
    public static void Run(params IEnumerable<Action> actions)
    {
        foreach (Action action in actions)
        {
            try
            {
                action();
            }
            catch (CudaException)
            {
            }
        }
    }
}
