using System.Globalization;

namespace DiffWave.Compiler;

/// <summary>Splits the text of a device word into what stands there literally and the places of results and arguments.</summary>
internal static class PtxTemplate
{
    /// <summary>Parses <paramref name="template"/>.</summary>
    /// <param name="template">Text with <c>{r}</c>, <c>{0}</c>, <c>{#1}</c>, <c>{space}</c> and <c>{type}</c>; other braces are literal.</param>
    /// <param name="results">Number of result registers.</param>
    /// <param name="runs">Operands of each argument.</param>
    /// <param name="operands">All operands.</param>
    /// <param name="space">What <c>{space}</c> stands for.</param>
    /// <param name="type">What <c>{type}</c> stands for.</param>
    /// <param name="fail">Makes the exception for a reason.</param>
    public static TemplatePart[] Parse(string template, int results, (int Start, int Count)[] runs, List<Operand> operands, string space, string type, Func<string, Exception> fail)
    {
        var parts = new List<TemplatePart>();
        int literal = 0, at = 0;
        while (at < template.Length)
        {
            int close = template[at] == '{' ? template.IndexOf('}', at) : -1;
            string word = close < 0 ? "" : template[(at + 1)..close];
            TemplatePart? part = word switch
            {
                "r" => new TemplatePart("", IsResult: true, 0, results),
                "space" => new TemplatePart(space),
                "type" => type.Length > 0 ? new TemplatePart(type) : throw fail("the type has no PTX name"),
                ['#', .. var number] when int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < runs.Length =>
                    new TemplatePart(operands[runs[index].Start] is Imm constant ? constant.Signed.ToString(CultureInfo.InvariantCulture) : throw fail($"argument {index} is not a compile-time constant")),
                _ when int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < runs.Length => new TemplatePart("", false, runs[index].Start, runs[index].Count),
                _ => null,
            };
            if (part == null)
            {
                at++;
                continue;
            }
            if (at > literal) parts.Add(new TemplatePart(template[literal..at]));
            parts.Add(part.Value);
            literal = at = close + 1;
        }
        if (literal < template.Length) parts.Add(new TemplatePart(template[literal..]));
        return [.. parts];
    }
}
