namespace DiffWave.Kernels;

/// <summary>Placeholder until the first kernel is in.</summary>
public static class GatedActivation;
