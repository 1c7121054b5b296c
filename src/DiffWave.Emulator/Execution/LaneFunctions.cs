using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>The instructions that work on registers alone.</summary>
internal static class LaneFunctions
{
    /// <summary>What an instruction does, or null when it touches memory or control flow.</summary>
    /// <param name="instruction">A valid instruction.</param>
    /// <exception cref="PtxException">The instruction is valid but beyond the emulator.</exception>
    public static LaneFunction? Find(PtxInstruction instruction) => throw new NotImplementedException();
}
