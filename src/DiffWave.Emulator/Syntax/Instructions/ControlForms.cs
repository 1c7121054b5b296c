namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Branches, barriers, fences.</summary>
internal static class ControlForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("bra", ["uni? : label"]),
        ("ret", ["uni? :"]),
        ("exit trap brkpt", [" :"]),
        ("nanosleep", ["u32 : u32; ptx63 sm70"]),
        ("bar", [
            "sync : b32",
            "sync : b32, b32",
            "arrive : b32, b32",
            "red popc u32 : =u32, b32, !p",
            "red popc u32 : =u32, b32, b32, !p",
            "red and|or pred : =p, b32, !p",
            "red and|or pred : =p, b32, b32, !p",
            "warp sync : b32; ptx60 sm30"]),
        ("barrier", [
            "sync aligned? : b32; ptx60 sm30",
            "sync aligned? : b32, b32; ptx60 sm30",
            "arrive aligned? : b32, b32; ptx60 sm30",
            "red popc aligned? u32 : =u32, b32, !p; ptx60 sm30",
            "red popc aligned? u32 : =u32, b32, b32, !p; ptx60 sm30",
            "red and|or aligned? pred : =p, b32, !p; ptx60 sm30",
            "red and|or aligned? pred : =p, b32, b32, !p; ptx60 sm30"]),
        ("membar", ["cta|gl|sys :"]),
        ("fence", ["sc|acq_rel? <scope> : ; ptx60 sm70"]),
        ("griddepcontrol", ["launch_dependents|wait : ; ptx78 sm90"]),
    ];
}
