using System.Runtime.ExceptionServices;

namespace DiffWave.Cuda;

/// <summary>Gives several things back although one of them fails.</summary>
internal static class Cleanup
{
    /// <summary>Does everything, then throws the first exception there was.</summary>
    public static void Run(params ReadOnlySpan<Action> actions)
    {
        Exception? first = null;
        foreach (Action action in actions)
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                first ??= e;
            }
        }
        if (first is not null) ExceptionDispatchInfo.Throw(first);
    }
}
