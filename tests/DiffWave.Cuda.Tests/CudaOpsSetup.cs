using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

/// <summary>The engine on a device, both disposed of together: the emulator, or the first GPU where the environment variable <c>DIFFWAVE_TEST_DEVICE</c> is <c>cuda</c>.</summary>
internal sealed class OpsUnderTest : IDisposable
{
    private const string Variable = "DIFFWAVE_TEST_DEVICE";

    private readonly ICudaDriver driver;

    /// <param name="checks">Whether the emulator checks every access; a GPU has no such thing.</param>
    /// <param name="threads">Threads of the emulator.</param>
    /// <param name="options">Choices of the engine.</param>
    /// <param name="races">Whether the emulator also checks that blocks of a launch, and launches that begin early, keep out of others' way, which takes time.</param>
    public OpsUnderTest(bool checks = true, int threads = 0, CudaOptions? options = null, bool races = false)
    {
        driver = Environment.GetEnvironmentVariable(Variable) switch
        {
            null or "" or "emulator" => new EmulatedDriver(new EmulatorOptions { Checks = checks, BlockRaces = races, Threads = threads }),
            "cuda" => NvidiaDriver.Open(),
            var other => throw new InvalidOperationException($"{Variable} is '{other}', expected emulator or cuda"),
        };
        try
        {
            Ops = new CudaOps(driver, options);
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    public CudaOps Ops { get; }

    public void Dispose()
    {
        Ops.Dispose();
        driver.Dispose();
    }
}
