using DiffWave.Compiler;
using DiffWave.Cuda;

namespace DiffWave.Cli;

/// <summary>The GPUs of this machine, by number. Whatever is wrong with them comes as an exception that <see cref="IsFailure"/> knows.</summary>
internal static class Gpus
{
    private const string TooOld = "GPU too old", NoDriver = "no NVIDIA driver", NoDevice = "CUDA_ERROR_NO_DEVICE", NoMemory = "CUDA_ERROR_OUT_OF_MEMORY";

    /// <summary>Opens a GPU that kernels can be compiled for.</summary>
    /// <exception cref="CudaException">There is none of this number, or it cannot be used.</exception>
    public static ICudaDriver Open(int index)
    {
        ICudaDriver driver = NvidiaDriver.Open(index);
        try
        {
            PtxTarget.For(driver.Device.Sm);
            return driver;
        }
        catch (ArgumentException e)
        {
            driver.Dispose();
            throw new CudaException($"open {driver.Device.Name}", TooOld, e.Message, "use another device");
        }
    }

    /// <summary>Opens a GPU that was asked for by name.</summary>
    /// <exception cref="NoSuchDeviceException">It is not there or cannot be opened.</exception>
    /// <exception cref="CudaException">Its memory is full.</exception>
    public static ICudaDriver Open(DeviceName device)
    {
        try { return Open(device.Index); }
        catch (CudaException e) when (e.Error != NoMemory) { throw new NoSuchDeviceException($"--device {device}: {e.Message}"); }
    }

    /// <summary>The first GPU that opens, or why there is none.</summary>
    public static (ICudaDriver? Driver, int Index, Exception? WhyNone) First()
    {
        Exception? first = null;
        for (int index = 0; index < Math.Max(1, NvidiaDriver.Devices(out _).Count); index++)
        {
            try { return (Open(index), index, null); }
            catch (Exception e) when (IsFailure(e)) { first ??= e; }
        }
        return (null, 0, first);
    }

    /// <summary>True for what a GPU, its driver or its memory can fail with, as opposed to mistakes of the user or of the program.</summary>
    public static bool IsFailure(Exception e) => e is CudaException or KernelCompileException;

    /// <summary>True when there is nothing to use, and so nothing wrong.</summary>
    public static bool IsAbsence(Exception e) => e is CudaException { Error: NoDriver or NoDevice };

    /// <summary>Why a GPU cannot be used, on one line.</summary>
    public static string Reason(Exception e) => e switch
    {
        CudaException { Error: NoDriver } => $"{(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1")} not found",
        CudaException { Error: NoDevice } => "the NVIDIA driver shows no GPU",
        _ => e.Message.ReplaceLineEndings(" "),
    };
}
