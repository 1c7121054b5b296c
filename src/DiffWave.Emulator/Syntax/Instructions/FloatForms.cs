namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Floating-point arithmetic.</summary>
internal static class FloatForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("add sub mul", [
            "<round>? ftz? sat? f32 : =T, T, T",
            "<round>? f64 : =T, T, T",
            "rn? ftz? sat? f16|f16x2 : =T, T, T; ptx42 sm53",
            "rn? bf16|bf16x2 : =T, T, T; ptx78 sm90"]),
        ("fma", [
            "<round> ftz? sat? f32 : =T, T, T, T",
            "<round> f64 : =T, T, T, T",
            "rn ftz? sat? f16|f16x2 : =T, T, T, T; ptx42 sm53",
            "rn ftz? relu f16|f16x2 : =T, T, T, T; ptx70 sm80",
            "rn relu? bf16|bf16x2 : =T, T, T, T; ptx70 sm80"]),
        ("mad", [
            "<round> ftz? sat? f32 : =T, T, T, T",
            "<round> f64 : =T, T, T, T"]),
        ("div", [
            "approx|full|<round> ftz? f32 : =T, T, T",
            "<round> f64 : =T, T, T"]),
        ("rcp", [
            "approx|<round> ftz? f32 : =T, T",
            "<round> f64 : =T, T",
            "approx ftz f64 : =T, T"]),
        ("sqrt", [
            "approx|<round> ftz? f32 : =T, T",
            "<round> f64 : =T, T"]),
        ("rsqrt", [
            "approx ftz? f32 : =T, T",
            "approx f64 : =T, T",
            "approx ftz f64 : =T, T; ptx40"]),
        ("sin cos lg2", ["approx ftz? f32 : =T, T"]),
        ("ex2", [
            "approx ftz? f32 : =T, T",
            "approx f16|f16x2 : =T, T; ptx70 sm75",
            "approx ftz bf16|bf16x2 : =T, T; ptx78 sm90"]),
        ("tanh", [
            "approx f32 : =T, T; ptx70 sm75",
            "approx f16|f16x2 : =T, T; ptx70 sm75",
            "approx bf16|bf16x2 : =T, T; ptx78 sm90"]),
        ("abs neg", [
            "ftz? f32 : =T, T",
            "f64 : =T, T",
            "bf16|bf16x2 : =T, T; ptx70 sm80"]),
        ("abs", ["ftz? f16|f16x2 : =T, T; ptx65 sm53"]),
        ("neg", ["ftz? f16|f16x2 : =T, T; ptx60 sm53"]),
        ("min max", [
            "ftz? f32 : =T, T, T",
            "ftz? NaN f32 : =T, T, T; ptx70 sm80",
            "ftz? NaN? xorsign abs f32 : =T, T, T; ptx72 sm86",
            "f64 : =T, T, T",
            "ftz? NaN? f16|f16x2 : =T, T, T; ptx70 sm80",
            "ftz? NaN? xorsign abs f16|f16x2 : =T, T, T; ptx72 sm86",
            "NaN? bf16|bf16x2 : =T, T, T; ptx70 sm80",
            "NaN? xorsign abs bf16|bf16x2 : =T, T, T; ptx72 sm86"]),
        ("copysign", ["f32|f64 : =T, T, T"]),
        ("testp", ["finite|infinite|number|notanumber|normal|subnormal f32|f64 : =p, T"]),
    ];
}
