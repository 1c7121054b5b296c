namespace DiffWave.Cuda;

/// <summary>The NVIDIA driver.</summary>
public sealed class NvidiaDriver;
