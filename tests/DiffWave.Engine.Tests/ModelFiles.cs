using System.Buffers.Binary;
using System.Text;

namespace DiffWave.Engine.Tests;

/// <summary>What the tests of model files share.</summary>
internal static class ModelFiles
{
    public static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden", name);

    /// <summary>A safetensors file of the given header text (not padded) and data.</summary>
    public static byte[] Safetensors(string header, int dataLength = 0) => Safetensors(Encoding.UTF8.GetBytes(header), dataLength);

    public static byte[] Safetensors(byte[] header, int dataLength)
    {
        byte[] file = new byte[8 + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    public static Parameters RandomParameters(ModelConfig config, int seed)
    {
        var parameters = new Parameters(config);
        var random = new Random(seed);
        foreach (ref float value in parameters.Arena.AsSpan()) value = (float)(random.NextDouble() - 0.5);
        return parameters;
    }

    public static ModelConfig SmallConfig { get; } = ModelConfig.Preset("tiny") with { Channels = 4, Layers = 2, DilationCycle = 2 };
}

/// <summary>A folder that goes away with the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("diffwave-test-").FullName;
    public string File(string name) => System.IO.Path.Combine(Path, name);
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
