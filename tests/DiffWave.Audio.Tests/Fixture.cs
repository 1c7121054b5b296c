using System.Runtime.InteropServices;
using System.Text.Json;

namespace DiffWave.Audio.Tests;

/// <summary>Files of tests/Fixtures/audio, and a folder of its own for each test.</summary>
internal static class Fixture
{
    public static string At(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "audio", name);

    /// <summary>A tensor of a trusted .safetensors file as float64.</summary>
    public static (double[] Data, int[] Shape) Tensor(string file, string tensor)
    {
        byte[] bytes = File.ReadAllBytes(At(file));
        int header = (int)BitConverter.ToInt64(bytes);
        JsonElement entry = JsonDocument.Parse(bytes.AsMemory(8, header)).RootElement.GetProperty(tensor);
        int[] offsets = [.. entry.GetProperty("data_offsets").EnumerateArray().Select(e => e.GetInt32())];
        int[] shape = [.. entry.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())];
        ReadOnlySpan<byte> data = bytes.AsSpan(8 + header + offsets[0], offsets[1] - offsets[0]);
        return entry.GetProperty("dtype").GetString() switch
        {
            "F32" => ([.. MemoryMarshal.Cast<byte, float>(data).ToArray().Select(x => (double)x)], shape),
            "F64" => (MemoryMarshal.Cast<byte, double>(data).ToArray(), shape),
            var other => throw new NotSupportedException(other),
        };
    }

    public static double MaxDifference(IEnumerable<double> a, IEnumerable<double> b)
    {
        double[] x = [.. a], y = [.. b];
        Assert.Equal(x.Length, y.Length);
        return x.Zip(y, (p, q) => Math.Abs(p - q)).Max();
    }

    public static double MaxDifference(float[] a, IEnumerable<double> b) => MaxDifference(a.Select(x => (double)x), b);

    public static double MaxDifference(float[] a, float[] b) => MaxDifference(a, b.Select(x => (double)x));

    public static InputFileException Refused(Action action, params string[] words)
    {
        var error = Assert.Throws<InputFileException>(action);
        foreach (string word in words) Assert.Contains(word, error.Message);
        return error;
    }
}

/// <summary>A folder that is removed at the end of the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("diffwave-audio-");

    public string At(string name) => Path.Combine(_folder.FullName, name);

    public string[] Files => [.. _folder.GetFiles().Select(f => f.Name).Order()];

    public void Dispose() => _folder.Delete(recursive: true);
}

/// <summary>A pipe: forward only, and it hands out bytes in small pieces.</summary>
internal sealed class PipeStream(byte[] bytes, int piece = 7) : Stream
{
    private int _at;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override int Read(byte[] buffer, int offset, int count)
    {
        int n = Math.Min(Math.Min(count, piece), bytes.Length - _at);
        Array.Copy(bytes, _at, buffer, offset, n);
        _at += n;
        return n;
    }
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
