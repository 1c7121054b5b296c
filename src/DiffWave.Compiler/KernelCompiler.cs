using System.Collections;
using System.Reflection;
using System.Text;
using DiffWave.Device;

namespace DiffWave.Compiler;

/// <summary>Choices of a compilation.</summary>
public sealed record CompileOptions
{
    /// <summary>Whether a * b + c may become one fused operation; null: as the kernel says.</summary>
    public bool? Contract { get; init; }

    /// <summary>Whether <c>.file</c> and <c>.loc</c> lines point to the C# source.</summary>
    public bool LineInfo { get; init; } = true;
}

/// <summary>Compiles a kernel's IL to PTX.</summary>
public static class KernelCompiler
{
    private const int MaxParameterBytes = 4096;

    /// <summary>Compiles one kernel.</summary>
    /// <param name="kernel">A static void method marked <see cref="KernelAttribute"/>, its type arguments given.</param>
    /// <param name="target">Architecture.</param>
    /// <param name="constants">Values of the parameters marked <see cref="ConstAttribute"/>, by name; null when there are none.</param>
    /// <param name="options">Choices; null: the defaults.</param>
    /// <exception cref="KernelCompileException">The kernel cannot be compiled: DWK id, file, line, reason and what to do.</exception>
    public static CompiledKernel Compile(MethodInfo kernel, PtxTarget target, IReadOnlyDictionary<string, object>? constants = null, CompileOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        var attribute = CheckSignature(kernel, target);
        constants ??= new Dictionary<string, object>();
        var names = kernel.GetParameters().Where(IsConstant).Select(parameter => parameter.Name!).ToList();
        if (constants.Keys.FirstOrDefault(name => !names.Contains(name)) is { } unknown)
            throw Fail(DiagnosticTable.Constants, kernel, $"'{unknown}' is no [Const] parameter of {kernel.Name}");
        var sites = new HashSet<string>();
        while (true)
        {
            Evaluator? evaluator = null;
            try
            {
                return Build(kernel, attribute, target, constants, options ?? new CompileOptions(), sites, out evaluator);
            }
            catch (LocalMemoryException demoted) when (sites.Add(demoted.Site))
            {
                // Once more, that array in memory.
            }
            catch (Exception e) when (e is not KernelCompileException)
            {
                throw new KernelCompileException(DiagnosticTable.Create(DiagnosticTable.Internal, evaluator is { Builder.Line: { Line: > 0 } line } ? line : FirstLine(kernel), $"{e.GetType().Name} in kernel {kernel.Name}: {e.Message}"), e);
            }
        }
    }

    private static CompiledKernel Build(MethodInfo kernel, KernelAttribute attribute, PtxTarget target, IReadOnlyDictionary<string, object> constants, CompileOptions options, HashSet<string> sites,
        out Evaluator evaluator)
    {
        (int X, int Y, int Z)? block = attribute.BlockX > 0 ? (attribute.BlockX, Math.Max(1, attribute.BlockY), Math.Max(1, attribute.BlockZ)) : null;
        evaluator = new Evaluator(target, options.Contract ?? attribute.Contract, sites) { Block = block, AllowLocalMemory = attribute.AllowLocalMemory };
        var parameters = new List<KernelParameter>();
        string entry = EntryName(kernel, attribute, constants);
        var walker = evaluator;
        evaluator.Run(kernel, parameter => IsConstant(parameter) ? ConstantOf(kernel, parameter, constants) : walker.Parameter(Place(kernel, parameter, parameters)));
        var function = new PtxFunction(evaluator.Builder.Blocks, evaluator.Builder.Prologues);
        Passes.Run(function);
        var writer = new PtxWriter(function, target, options.LineInfo);
        string text = writer.Write(entry, parameters, attribute, block, out int sharedBytes, out bool dynamic);
        if (sharedBytes > 48 * 1024) throw Fail(DiagnosticTable.SharedSize, kernel, $"{sharedBytes} bytes of static shared memory in all");
        var (x, y, z) = block ?? (0, 0, 0);
        return new CompiledKernel(entry, text, parameters, sharedBytes, dynamic, x, y, z, evaluator.Warnings);
    }

    private static KernelAttribute CheckSignature(MethodInfo kernel, PtxTarget target)
    {
        var attribute = kernel.GetCustomAttribute<KernelAttribute>() ?? throw Fail(DiagnosticTable.Signature, kernel, $"{kernel.Name} has no [Kernel] attribute");
        if (!kernel.IsStatic || kernel.ReturnType != typeof(void)) throw Fail(DiagnosticTable.Signature, kernel, $"{kernel.Name} is not a static void method");
        if (kernel.ContainsGenericParameters) throw Fail(DiagnosticTable.Signature, kernel, $"{kernel.Name} has open type arguments");
        if (attribute.Name.Length == 0 || !attribute.Name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '_') || char.IsAsciiDigit(attribute.Name[0]))
            throw Fail(DiagnosticTable.Signature, kernel, $"'{attribute.Name}' is no entry name");
        if (attribute.MinimumSm > target.Sm) throw Fail(DiagnosticTable.Architecture, kernel, $"kernel {attribute.Name} needs sm_{attribute.MinimumSm}, the target is {target.Name}");
        return attribute;
    }

    private static bool IsConstant(ParameterInfo parameter) => parameter.IsDefined(typeof(ConstAttribute), inherit: false);

    private static KernelCompileException Fail(string id, MethodInfo kernel, string reason) => new(DiagnosticTable.Create(id, FirstLine(kernel), reason));

    private static SourcePoint FirstLine(MethodInfo kernel) => SourceLines.Of(kernel.Module).Points(kernel.MetadataToken).FirstOrDefault().Point;

    private static Value ConstantOf(MethodInfo kernel, ParameterInfo parameter, IReadOnlyDictionary<string, object> constants)
    {
        if (!constants.TryGetValue(parameter.Name!, out object? value)) throw Fail(DiagnosticTable.Constants, kernel, $"no value for [Const] parameter {parameter.Name}");
        if (value.GetType() != parameter.ParameterType)
            throw Fail(DiagnosticTable.Constants, kernel, $"the value of [Const] parameter {parameter.Name} is of type {value.GetType().Name}, not {parameter.ParameterType.Name}");
        return Evaluator.Constant(value, parameter.ParameterType) ?? throw Fail(DiagnosticTable.Constants, kernel, $"[Const] parameter {parameter.Name} is of type {parameter.ParameterType.Name}");
    }

    private static KernelParameter Place(MethodInfo kernel, ParameterInfo parameter, List<KernelParameter> parameters)
    {
        var layout = Layout.Of(parameter.ParameterType);
        if (layout is null or { IsPointer: true }) throw Fail(DiagnosticTable.Parameter, kernel, $"parameter {parameter.Name} is of type {parameter.ParameterType.Name}");
        int end = parameters.Count == 0 ? 0 : parameters[^1].Offset + parameters[^1].Size;
        int alignment = layout.Alignment, offset = (end + alignment - 1) / alignment * alignment;
        if (offset + layout.Size > MaxParameterBytes) throw Fail(DiagnosticTable.Parameter, kernel, $"the parameters need more than {MaxParameterBytes} bytes");
        parameters.Add(new KernelParameter(parameter.Name!, parameter.ParameterType, offset, layout.Size));
        return parameters[^1];
    }

    // name, _type for each type argument, _name + value for each constant.
    private static string EntryName(MethodInfo kernel, KernelAttribute attribute, IReadOnlyDictionary<string, object> constants)
    {
        var text = new StringBuilder(attribute.Name);
        var types = new List<Type>();
        if (kernel.DeclaringType is { IsGenericType: true } declaring) types.AddRange(declaring.GetGenericArguments());
        if (kernel.IsGenericMethod) types.AddRange(kernel.GetGenericArguments());
        foreach (var type in types) text.Append('_').Append(SnakeCase(type.Name));
        foreach (var parameter in kernel.GetParameters().Where(IsConstant))
        {
            if (constants.TryGetValue(parameter.Name!, out object? value)) text.Append('_').Append(SnakeCase(parameter.Name!)).Append(ValueName(value));
        }
        return text.ToString();
    }

    private static string ValueName(object value) => string.Concat(Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture)!
        .Select(letter => char.IsAsciiLetterOrDigit(letter) ? char.ToLowerInvariant(letter).ToString() : letter == '-' ? "m" : letter == '.' ? "p" : "_"));

    private static string SnakeCase(string name)
    {
        var text = new StringBuilder();
        for (int i = 0; i < name.Length; i++)
        {
            if (!char.IsAsciiLetterOrDigit(name[i])) text.Append('_');
            else
            {
                if (char.IsAsciiLetterUpper(name[i]) && i > 0 && (char.IsAsciiLetterLower(name[i - 1]) || (i + 1 < name.Length && char.IsAsciiLetterLower(name[i + 1]) && char.IsAsciiLetterUpper(name[i - 1])))) text.Append('_');
                text.Append(char.ToLowerInvariant(name[i]));
            }
        }
        return text.ToString();
    }
}
