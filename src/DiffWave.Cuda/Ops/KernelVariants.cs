using System.Reflection;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>A kernel with every set of constants it is launched with, each compiled and loaded at its first launch.</summary>
/// <param name="runner">Compiles and loads.</param>
/// <param name="kernel">The kernel, its type arguments given.</param>
/// <param name="constants">Names of its constants, at most six, in the order of <see cref="With"/>.</param>
internal sealed class KernelVariants(KernelRunner runner, Delegate kernel, params string[] constants)
{
    private readonly Dictionary<(int, int, int, int, int, int), LoadedKernel> loaded = [];

    /// <summary>Begins the arguments of a launch.</summary>
    /// <param name="values">Values of the constants; switches are 0 or 1.</param>
    public KernelArguments With(params ReadOnlySpan<int> values)
    {
        if (values.Length != constants.Length) throw new ArgumentException($"{kernel.Method.Name}: {values.Length} constants were given, expected {constants.Length}");
        var key = (At(values, 0), At(values, 1), At(values, 2), At(values, 3), At(values, 4), At(values, 5));
        if (!loaded.TryGetValue(key, out LoadedKernel? variant)) loaded.Add(key, variant = Load(values));
        return variant.Arguments;
    }

    private LoadedKernel Load(ReadOnlySpan<int> values)
    {
        Dictionary<string, object> named = [];
        foreach (ParameterInfo parameter in kernel.Method.GetParameters())
        {
            int index = Array.IndexOf(constants, parameter.Name);
            if (index >= 0) named.Add(parameter.Name!, parameter.ParameterType == typeof(bool) ? values[index] != 0 : values[index]);
        }
        return runner.Load(kernel.Method, named);
    }

    private static int At(ReadOnlySpan<int> values, int index) => index < values.Length ? values[index] : 0;
}
