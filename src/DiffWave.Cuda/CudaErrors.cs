namespace DiffWave.Cuda;

/// <summary>What to do about errors of the driver.</summary>
internal static class CudaErrors
{
    public const string OutOfMemory = "CUDA_ERROR_OUT_OF_MEMORY";

    public const string UpdateDriver = "update the driver of the GPU";

    private const string Broken = "the context is lost: start the program again; compute-sanitizer or the emulator shows the access";

    private static readonly Dictionary<string, string> Fixes = new(StringComparer.Ordinal)
    {
        [OutOfMemory] = "use a smaller batch or length, or free the GPU of other programs (nvidia-smi lists them)",
        ["CUDA_ERROR_UNKNOWN"] = "start the program again; the kernel's log (dmesg) tells of faults of the GPU as Xid",
        ["CUDA_ERROR_OPERATING_SYSTEM"] = "the limit for locked memory may be too low (ulimit -l), or the GPU's device files are not open to this user",
        ["CUDA_ERROR_NO_DEVICE"] = "no GPU is visible to the driver: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use another device",
        ["CUDA_ERROR_INVALID_DEVICE"] = "nvidia-smi lists the GPUs and their numbers",
        ["CUDA_ERROR_STUB_LIBRARY"] = "the toolkit's stub of libcuda was found before the driver's: take its folder out of LD_LIBRARY_PATH",
        ["CUDA_ERROR_DEVICE_UNAVAILABLE"] = "another program holds the GPU for itself (compute mode exclusive)",
        ["CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"] = "the driver's library and its kernel module differ: restart the machine after an update",
        ["CUDA_ERROR_SYSTEM_NOT_READY"] = "the GPU's services (nvidia-fabricmanager on NVSwitch machines) are not running yet",
        ["CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"] = UpdateDriver,
        ["CUDA_ERROR_INVALID_PTX"] = "the log above names the line of the PTX",
        ["CUDA_ERROR_UNSUPPORTED_PTX_VERSION"] = "compile for an older target, or " + UpdateDriver,
        ["CUDA_ERROR_NO_BINARY_FOR_GPU"] = "compile for the architecture of this GPU or an older one",
        ["CUDA_ERROR_JIT_COMPILER_NOT_FOUND"] = "the driver's installation lacks libnvidia-ptxjitcompiler",
        ["CUDA_ERROR_INVALID_IMAGE"] = "the text is no PTX",
        ["CUDA_ERROR_NOT_FOUND"] = "the module has no entry of this name",
        ["CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"] = "use fewer threads a block or fewer registers a thread",
        ["CUDA_ERROR_INVALID_VALUE"] = "a size is out of range: blocks have at most 1024 threads, and dynamic shared memory above 48 KiB must be allowed first",
        ["CUDA_ERROR_LAUNCH_TIMEOUT"] = "the display's watchdog stopped the kernel: use smaller launches or a GPU without a display",
        ["CUDA_ERROR_ILLEGAL_ADDRESS"] = Broken,
        ["CUDA_ERROR_MISALIGNED_ADDRESS"] = Broken,
        ["CUDA_ERROR_INVALID_ADDRESS_SPACE"] = Broken,
        ["CUDA_ERROR_INVALID_PC"] = Broken,
        ["CUDA_ERROR_ILLEGAL_INSTRUCTION"] = Broken,
        ["CUDA_ERROR_HARDWARE_STACK_ERROR"] = Broken,
        ["CUDA_ERROR_LAUNCH_FAILED"] = Broken,
        ["CUDA_ERROR_ASSERT"] = Broken,
        ["CUDA_ERROR_ECC_UNCORRECTABLE"] = "the GPU's memory is damaged: look at nvidia-smi -q -d ECC",
        ["CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"] = "a call that cannot be recorded was made while a stream was being captured",
        ["CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"] = "an earlier call broke the recording of this stream",
        ["CUDA_ERROR_STREAM_CAPTURE_UNJOINED"] = "a stream that joined the recording was not waited for before its end",
        ["CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"] = "the default stream was used while another was being captured",
    };

    /// <summary>What to do about an error, empty when there is nothing to say.</summary>
    public static string Fix(string error) => Fixes.GetValueOrDefault(error, "");
}
