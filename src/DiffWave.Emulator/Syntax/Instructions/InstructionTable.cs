using System.Collections.Frozen;

namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Every instruction the emulator's parser knows.</summary>
internal static class InstructionTable
{
    // Before the forms: they are read with it.
    private static readonly Dictionary<string, string[]> Named = new(StringComparer.Ordinal)
    {
        ["int"] = ["u16", "u32", "u64", "s16", "s32", "s64"],
        ["byteint"] = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"],
        ["bits"] = ["b16", "b32", "b64"],
        ["signed"] = ["s16", "s32", "s64"],
        ["round"] = ["rn", "rz", "rm", "rp"],
        ["memory"] = ["b8", "b16", "b32", "b64", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64"],
        ["bool"] = ["and", "or", "xor"],
        ["equal"] = ["eq", "ne"],
        ["signedcompare"] = ["eq", "ne", "lt", "le", "gt", "ge"],
        ["unsignedcompare"] = ["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"],
        ["floatcompare"] = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"],
        ["scope"] = ["cta", "cluster", "gpu", "sys"],
        ["shared"] = ["shared", "shared::cta"],
        ["evict"] = ["L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"],
        ["ahead"] = ["L2::64B", "L2::128B", "L2::256B"],
    };

    // Modifiers younger than the forms they stand in.
    private static readonly Dictionary<string, (int Version, int Sm)> Needs = new(StringComparer.Ordinal)
    {
        ["weak"] = (60, 70), ["relaxed"] = (60, 70), ["acquire"] = (60, 70), ["release"] = (60, 70), ["acq_rel"] = (60, 70), ["cluster"] = (78, 90), ["shared::cta"] = (78, 30),
        ["L2::64B"] = (74, 75), ["L2::128B"] = (74, 75), ["L2::256B"] = (74, 80),
    };

    private static readonly FrozenDictionary<string, InstructionForm[]> Forms = IntegerForms.Rows.Concat(FloatForms.Rows).Concat(ComparisonForms.Rows).Concat(ConversionForms.Rows)
        .Concat(MemoryForms.Rows).Concat(AtomicForms.Rows).Concat(WarpForms.Rows).Concat(MatrixForms.Rows).Concat(ControlForms.Rows)
        .SelectMany(row => row.Opcodes.Split(' ').SelectMany(opcode => row.Forms.Select(form => (Opcode: opcode, Form: InstructionForm.Read(form)))))
        .GroupBy(pair => pair.Opcode, pair => pair.Form).ToFrozenDictionary(group => group.Key, group => group.ToArray(), StringComparer.Ordinal);

    /// <summary>The forms of an opcode, or null.</summary>
    public static InstructionForm[]? Find(string opcode) => Forms.GetValueOrDefault(opcode);

    /// <summary>First PTX version, as major * 10 + minor, and first architecture a modifier needs whatever it stands in; zeros when only the form decides.</summary>
    public static (int Version, int Sm) Need(string modifier) => Needs.GetValueOrDefault(modifier);

    /// <summary>The members of a named choice.</summary>
    public static string[] Choices(string name) => Named[name];

    /// <summary>Whether PTX has an instruction that begins so although the emulator has not.</summary>
    /// <param name="opcode">Opcode and modifiers with dots, e.g. <c>wgmma.fence.sync.aligned</c>.</param>
    public static bool IsBeyond(string opcode)
        => BeyondForms.Prefixes.Any(prefix => opcode.StartsWith(prefix, StringComparison.Ordinal) && (opcode.Length == prefix.Length || prefix[^1] == ':' || opcode[prefix.Length] == '.'));
}
