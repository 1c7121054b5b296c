using System.Buffers.Binary;

namespace DiffWave.Engine;

/// <summary>Containers a model file can have.</summary>
internal enum FileKind
{
    Safetensors,
    /// <summary>torch.save since 1.6: a zip archive.</summary>
    TorchZip,
    /// <summary>torch.save before 1.6: pickles followed by raw storages.</summary>
    TorchLegacy,
}

internal static class FileKinds
{
    /// <summary>Tells the container from the first bytes, never from the name.</summary>
    /// <exception cref="ModelFormatException">None of the known ones.</exception>
    public static FileKind Detect(Stream stream, string path)
    {
        Span<byte> start = stackalloc byte[9];
        start = start[..(int)Math.Min(9, stream.Length)];
        ModelStream.ReadAt(stream, path, 0, start);
        if (start.StartsWith("PK\x03\x04"u8)) return FileKind.TorchZip;
        if (start.Length >= 2 && start[0] == 0x80 && start[1] is >= 1 and <= 5) return FileKind.TorchLegacy; // any pickle: its reader says more about one torch.save did not write
        if (start.Length == 9 && start[8] == (byte)'{' && BinaryPrimitives.ReadUInt64LittleEndian(start) <= SafetensorsFile.MaxHeaderLength) return FileKind.Safetensors;
        throw new ModelFormatException(path, "is not a model file: expected safetensors or a PyTorch checkpoint (.pt, .pkl)");
    }

    public static string Describe(FileKind kind) => kind switch
    {
        FileKind.TorchZip => "zip container",
        FileKind.TorchLegacy => "legacy container",
        _ => "safetensors",
    };
}
