using System.Globalization;
using System.Text.Json.Nodes;

namespace DiffWave.Cli;

/// <summary>Range, mean and standard deviation of a tensor's finite values.</summary>
internal sealed record TensorStatistics(string Name, string Shape, double Min, double Max, double Mean, double Std, long NotFinite)
{
    public static TensorStatistics Of(string name, string shape, ReadOnlySpan<float> values)
    {
        double min = double.PositiveInfinity, max = double.NegativeInfinity, sum = 0, squares = 0;
        long count = 0;
        foreach (float value in values)
        {
            if (!float.IsFinite(value)) continue;
            count++;
            min = Math.Min(min, value);
            max = Math.Max(max, value);
            sum += value;
        }
        double mean = count > 0 ? sum / count : 0;
        foreach (float value in values)
            if (float.IsFinite(value)) squares += (value - mean) * (value - mean);
        return new TensorStatistics(name, shape, count > 0 ? min : 0, count > 0 ? max : 0, mean, count > 0 ? Math.Sqrt(squares / count) : 0, values.Length - count);
    }

    public JsonObject ToJson() => new()
    {
        ["name"] = Name,
        ["shape"] = Shape,
        ["min"] = Min,
        ["max"] = Max,
        ["mean"] = Mean,
        ["std"] = Std,
        ["not_finite"] = NotFinite,
    };

    public static void WriteTable(TextWriter output, IReadOnlyList<TensorStatistics> tensors)
    {
        int name = Math.Max(6, tensors.Max(tensor => tensor.Name.Length)), shape = Math.Max(5, tensors.Max(tensor => tensor.Shape.Length));
        output.WriteLine();
        output.WriteLine($"{"tensor".PadRight(name)}  {"shape".PadRight(shape)}  {"min",11}  {"max",11}  {"mean",11}  {"std",11}");
        foreach (TensorStatistics tensor in tensors)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{tensor.Name.PadRight(name)}  {tensor.Shape.PadRight(shape)}  {tensor.Min,11:G5}  {tensor.Max,11:G5}  {tensor.Mean,11:G4}  {tensor.Std,11:G4}{(tensor.NotFinite > 0 ? $"  {tensor.NotFinite} not finite" : "")}"));
    }
}
