using System.Globalization;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Reference values of one tensor.</summary>
/// <param name="Name">Name in the file.</param>
/// <param name="ShapeText">Shape in the file.</param>
/// <param name="Values">The values the file has.</param>
/// <param name="Stride">k: these are every k-th value of the tensor, from the first on.</param>
internal sealed record GoldenCheckSample(string Name, string ShapeText, double[] Values, int Stride)
{
    /// <summary>The same part of a whole tensor of ours.</summary>
    public double[] Of(double[] all)
    {
        double[] part = new double[all.Length == 0 ? 0 : (all.Length - 1) / Stride + 1];
        for (int i = 0; i < part.Length; i++) part[i] = all[i * Stride];
        return part;
    }

    /// <inheritdoc cref="Of(double[])"/>
    public double[] Of(float[] all) => Of(Array.ConvertAll(all, value => (double)value));
}

/// <summary>A file of reference tensors, and the lines its comparisons add to the report.</summary>
internal sealed class GoldenCheckFile(string path, List<CheckLine> lines, Precision precision) : IDisposable
{
    private readonly SafetensorsFile _data = SafetensorsFile.Open(path);
    private readonly string _name = System.IO.Path.GetFileName(path);

    public string Path => path;

    /// <summary>What the device computes with.</summary>
    public Precision Precision => precision;

    /// <summary>Whether the device computes a model; a line says why not.</summary>
    public bool Computes(ModelConfig config)
    {
        if (CudaOps.Problem(precision, config) is not { } problem) return true;
        Note(problem);
        return false;
    }

    /// <summary>File name without folder and extension.</summary>
    public string Stem => System.IO.Path.GetFileNameWithoutExtension(path);

    public IReadOnlyDictionary<string, string> Metadata => _data.Metadata;

    public IEnumerable<string> Names => _data.Entries.Select(entry => entry.Name);

    public bool Has(string name) => _data.Contains(name);

    public long[] Shape(string name) => _data.Entry(name).Shape;

    /// <summary>The shape as ints, which must have a number of dimensions and no empty one.</summary>
    public int[] Shape(string name, int rank)
    {
        long[] shape = Shape(name);
        if (shape.Length != rank || shape.Any(n => n is < 1 or > int.MaxValue)) throw new ModelFormatException(path, $"tensor '{name}' has shape {_data.Entry(name).ShapeText}, expected {rank} dimensions");
        return [.. shape.Select(n => (int)n)];
    }

    public float[] Floats(string name) => _data.ReadFloats(name);

    public double[] Doubles(string name) => _data.ReadDoubles(name);

    /// <summary>Integers or floats, as floats.</summary>
    public float[] Numbers(string name) => _data.Entry(name).DType is TensorType.F32 or TensorType.F64 ? Floats(name) : [.. _data.ReadInts(name).Select(n => (float)n)];

    /// <summary>A tensor cut along its first dimension into <paramref name="count"/> equal parts.</summary>
    public float[][] Items(string name, int count)
    {
        float[] all = Floats(name);
        if (all.Length == 0 || all.Length % count != 0) throw new ModelFormatException(path, $"tensor '{name}' {_data.Entry(name).ShapeText} does not divide into {count} items");
        return all.Chunk(all.Length / count).ToArray();
    }

    /// <summary>
    /// A tensor stored whole, or thinned to save space: <c>name#k</c> holds every k-th of its values in row-major order, from the first on. Null when the file has neither.
    /// </summary>
    public GoldenCheckSample? Sample(string name)
    {
        string? stored = Has(name) ? name : Names.FirstOrDefault(entry => entry.Length > name.Length && entry[name.Length] == '#' && entry.StartsWith(name, StringComparison.Ordinal));
        if (stored is null) return null;
        int stride = 1;
        if (stored != name && !(int.TryParse(stored.AsSpan(name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out stride) && stride > 0))
            throw new ModelFormatException(path, $"tensor '{stored}' has no number behind #, expected every how many values it holds one");
        return new GoldenCheckSample(stored, _data.Entry(stored).ShapeText, Doubles(stored), stride);
    }

    /// <summary>Compares with a tensor, if the file has it (whole or thinned) and the model has such values.</summary>
    public void Compare(string name, float[]? actual, double bound) => Compare(name, actual, bound, relative: false);

    /// <summary>Likewise; the bound is a fraction of the tensor's largest magnitude.</summary>
    public void CompareRelative(string name, float[]? actual, double fraction) => Compare(name, actual, fraction, relative: true);

    public void Compare(string name, float[]? actual, double bound, bool relative) => Compare(name, actual is null ? null : Array.ConvertAll(actual, value => (double)value), bound, relative);

    public void Compare(string name, double[]? actual, double bound, bool relative)
    {
        if (actual is null || Sample(name) is not { } sample) return;
        if (relative) bound *= sample.Values.Length == 0 ? 0 : sample.Values.Max(Math.Abs);
        Add(sample.Name, sample.ShapeText, sample.Values, sample.Of(actual), bound);
    }

    /// <summary>Compares numbers that are not a tensor of this file.</summary>
    public void Add(string name, string shape, double[] expected, double[] actual, double bound)
    {
        double error = expected.Length == actual.Length && expected.Length > 0 ? 0 : double.NaN;
        for (int i = 0; i < expected.Length && !double.IsNaN(error); i++)
        {
            double difference = expected[i] == actual[i] ? 0 : Math.Abs(expected[i] - actual[i]);
            error = double.IsNaN(difference) ? double.NaN : Math.Max(error, difference);
        }
        string note = expected.Length == actual.Length ? "" : $", {actual.Length} values computed";
        lines.Add(new CheckLine(_name, name, shape + note, error, bound, error <= bound));
    }

    /// <summary>Says what cannot be checked and why.</summary>
    public void Note(string reason) => lines.Add(new CheckLine(_name, reason, CheckLine.NotChecked, 0, 0, true));

    public void Dispose() => _data.Dispose();
}
