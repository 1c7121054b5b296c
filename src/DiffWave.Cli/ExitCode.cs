using DiffWave.Audio;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Exit codes of the program, and which failure has which.</summary>
internal static class ExitCode
{
    public const int Ok = 0, Failure = 1, Usage = 2, BadInput = 3, BadModel = 4, NoDevice = 5, OutOfMemory = 6, NotFinite = 7;
    public const int HungUp = 129, Interrupted = 130, Terminated = 143; // 128 + signal number, as shells report it

    public const string Table = """
        Exit codes:
          0  ok
          1  failure (output cannot be written, a check failed)
          2  wrong usage
          3  bad input file (audio, mel)
          4  bad model or configuration file
          5  no such device, or it failed
          6  out of memory
          7  stopped: the result is not finite
          130, 143  interrupted by SIGINT, SIGTERM
        """;

    /// <summary>The exit code of a failure and its message on one line.</summary>
    public static (int Code, string Message) Of(Exception e)
    {
        (int code, string message) = e switch
        {
            UsageException => (Usage, e.Message),
            UnsupportedPrecisionException => (Usage, $"--precision {e.Message}"),
            UnsupportedKernelException => (Usage, $"the device cannot run this kernel: {e.Message}"),
            InputFileException => (BadInput, e.Message),
            ModelFormatException => (BadModel, e.Message),
            NoSuchDeviceException => (NoDevice, e.Message),
            OutOfMemoryException => (OutOfMemory, "out of memory: use a shorter --chunk-seconds, shorter audio or a smaller model"),
            NotFiniteException => (NotFinite, e.Message),
            CudaException { Error: "CUDA_ERROR_OUT_OF_MEMORY" } => (OutOfMemory, e.Message),
            CudaException => (NoDevice, e.Message),
            KernelCompileException => (Failure, e.Message),
            IOException or UnauthorizedAccessException => (Failure, e.Message),
            _ => (Failure, $"internal: {e.GetType().Name}: {e.Message}"),
        };
        return (code, message.ReplaceLineEndings(" "));
    }
}

/// <summary>The command line asks for something that does not exist or does not fit.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The device asked for is not there.</summary>
internal sealed class NoSuchDeviceException(string message) : Exception(message);

/// <summary>The network produced a value that is NaN or infinite.</summary>
internal sealed class NotFiniteException(string message) : Exception(message);
