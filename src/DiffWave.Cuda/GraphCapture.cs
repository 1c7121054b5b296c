namespace DiffWave.Cuda;

/// <summary>Records work as a graph.</summary>
public static class GraphCapture
{
    /// <summary>Records what is queued on a stream. When the work fails the recording is given up and the stream is as before.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="stream">Not the default stream.</param>
    /// <param name="work">Queues the work; it must not wait for the stream, nor ask the driver for memory.</param>
    /// <returns>The graph, ready to launch; end it with <see cref="ICudaDriver.DestroyGraph"/>.</returns>
    /// <exception cref="CudaException">The driver refuses; or what <paramref name="work"/> throws.</exception>
    public static nint Record(this ICudaDriver driver, nint stream, Action work)
    {
        driver.BeginCapture(stream);
        try
        {
            work();
        }
        catch
        {
            try
            {
                driver.DestroyGraph(driver.EndCapture(stream));
            }
            catch (CudaException) { } // what came first says more
            throw;
        }
        return driver.EndCapture(stream);
    }
}
