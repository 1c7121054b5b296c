using System.Collections.Concurrent;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace DiffWave.Compiler;

/// <summary>Lines of C# source of an assembly's IL, from its portable PDB, embedded or beside it.</summary>
internal sealed class SourceLines
{
    private static readonly ConcurrentDictionary<Module, SourceLines> Known = new();

    private readonly MetadataReaderProvider? provider; // owns the memory the reader looks at
    private readonly MetadataReader? reader;
    private readonly ConcurrentDictionary<int, (int Offset, SourcePoint Point)[]> methods = new();

    private SourceLines(Module module)
    {
        provider = Open(module);
        reader = provider?.GetMetadataReader();
    }

    public static SourceLines Of(Module module) => Known.GetOrAdd(module, m => new SourceLines(m));

    /// <summary>Sequence points of a method in order of their IL offsets; empty without a PDB.</summary>
    public (int Offset, SourcePoint Point)[] Points(int methodToken) => methods.GetOrAdd(methodToken, Read);

    /// <summary>Line of each instruction of a method; no file without a PDB.</summary>
    public SourcePoint[] Lines(int methodToken, List<IlInstruction> code)
    {
        var points = Points(methodToken);
        var lines = new SourcePoint[code.Count];
        int next = 0;
        for (int i = 0; i < lines.Length && points.Length > 0; i++)
        {
            while (next + 1 < points.Length && points[next + 1].Offset <= code[i].Offset) next++;
            lines[i] = points[next].Point;
        }
        return lines;
    }

    private static MetadataReaderProvider? Open(Module module)
    {
        string path = module.FullyQualifiedName;
        if (!File.Exists(path)) return null;
        try
        {
            var image = new PEReader(new MemoryStream(File.ReadAllBytes(path)));
            var embedded = image.ReadDebugDirectory().FirstOrDefault(entry => entry.Type == DebugDirectoryEntryType.EmbeddedPortablePdb);
            if (embedded.Type == DebugDirectoryEntryType.EmbeddedPortablePdb) return image.ReadEmbeddedPortablePdbDebugDirectoryData(embedded);
            string pdb = Path.ChangeExtension(path, ".pdb");
            return File.Exists(pdb) ? MetadataReaderProvider.FromPortablePdbStream(new MemoryStream(File.ReadAllBytes(pdb))) : null;
        }
        catch (Exception e) when (e is BadImageFormatException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return null; // lines are a help, not a need
        }
    }

    private (int Offset, SourcePoint Point)[] Read(int methodToken)
    {
        if (reader == null) return [];
        int row = methodToken & 0xFFFFFF;
        if (row == 0 || row > reader.MethodDebugInformation.Count) return [];
        var points = new List<(int, SourcePoint)>();
        foreach (var point in reader.GetMethodDebugInformation(MetadataTokens.MethodDebugInformationHandle(row)).GetSequencePoints())
        {
            if (!point.IsHidden) points.Add((point.Offset, new SourcePoint(reader.GetString(reader.GetDocument(point.Document).Name), point.StartLine)));
        }
        return [.. points];
    }
}
