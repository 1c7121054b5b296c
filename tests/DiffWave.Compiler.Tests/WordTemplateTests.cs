using System.Reflection;
using System.Text.RegularExpressions;
using DiffWave.Device;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Compiler.Tests;

// Every device word with a template, written out with registers of its parameters' types for its earliest architecture, is PTX that the emulator's parser takes.
public class WordTemplateTests
{
    private static readonly Dictionary<Type, (string Register, int Count)> Types = new()
    {
        [typeof(bool)] = ("pred", 1), [typeof(int)] = ("b32", 1), [typeof(uint)] = ("b32", 1), [typeof(long)] = ("b64", 1), [typeof(ulong)] = ("b64", 1), [typeof(float)] = ("f32", 1),
        [typeof(double)] = ("f64", 1), [typeof(ushort)] = ("b16", 1), [typeof(BFloat16)] = ("b16", 1), [typeof(Half2)] = ("b32", 1), [typeof(BFloat162)] = ("b32", 1),
        [typeof(Float2)] = ("f32", 2), [typeof(Float4)] = ("f32", 4), [typeof(UInt2)] = ("b32", 2), [typeof(UInt4)] = ("b32", 4),
    };

    private static IEnumerable<(MethodInfo Method, PtxInstructionAttribute Word)> Words() =>
        from type in typeof(Grid).Assembly.GetTypes()
        from method in type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.DeclaredOnly)
        let word = method.GetCustomAttribute<PtxInstructionAttribute>()
        where word is not null
        select (method, word);

    [Fact]
    public void EveryWordIsValidAtItsEarliestArchitecture()
    {
        var refused = new List<string>();
        int count = 0;
        foreach (var (method, word) in Words())
            foreach (string space in word.Template.Contains("{space}", StringComparison.Ordinal) ? ["global", "shared"] : new[] { "global" })
            {
                string ptx = Expand(method, word, space);
                count++;
                try
                {
                    PtxParser.Parse(ptx);
                }
                catch (PtxException exception)
                {
                    refused.Add($"{method.DeclaringType!.Name}.{method.Name}: {exception.Message}\n{ptx}");
                }
            }
        Assert.True(refused.Count == 0, string.Join("\n", refused));
        Assert.True(count > 180, $"only {count} words were found");
    }

    private static string Expand(MethodInfo method, PtxInstructionAttribute word, string space)
    {
        string declarations = "";
        string[] spaces = word.Spaces.Split(',', StringSplitOptions.RemoveEmptyEntries);
        var arguments = new List<string>();
        int addresses = 0;
        foreach (var parameter in method.GetParameters())
        {
            string name = $"%a{arguments.Count}";
            if (parameter.ParameterType.IsByRef)
            {
                bool shared = (addresses < spaces.Length ? spaces[addresses] : space) == "shared";
                addresses++;
                declarations += shared ? $".reg .b32 {name}; .shared .align 16 .b8 tile{arguments.Count}[64]; mov.u32 {name}, tile{arguments.Count};\n" : $".reg .b64 {name}; mov.u64 {name}, 0;\n";
                arguments.Add(name);
            }
            else arguments.Add(Declare(parameter.ParameterType, name));
        }
        string result = method.ReturnType == typeof(void) ? "" : Declare(method.ReturnType, "%r");
        string text = Regex.Replace(word.Template, @"\{(r|space|#?\d)\}", match => match.Groups[1].Value switch
        {
            "r" => result, "space" => "." + space, ['#', ..] => "3", var number => arguments[number[0] - '0'],
        });
        return $".version {(word.MinimumSm >= 90 ? "7.8" : "7.0")}\n.target sm_{word.MinimumSm}\n.address_size 64\n.visible .entry word()\n{{\n{declarations}{text};\nret;\n}}\n";

        string Declare(Type type, string name)
        {
            var (register, number) = Types[type];
            declarations += number == 1 ? $".reg .{register} {name};\n" : $".reg .{register} {name}_<{number}>;\n";
            return number == 1 ? name : "{" + string.Join(", ", Enumerable.Range(0, number).Select(i => $"{name}_{i}")) + "}";
        }
    }
}
