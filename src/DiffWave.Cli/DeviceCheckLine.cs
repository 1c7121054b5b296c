using System.Globalization;
using System.Text.Json.Nodes;

namespace DiffWave.Cli;

/// <summary>One result of a kernel or an operation on a device, against what it should be.</summary>
/// <param name="Name">The kernel or the operation.</param>
/// <param name="Shape">Where it was tried.</param>
/// <param name="Result">Which of its results; empty when it did not finish.</param>
/// <param name="MaxError">Largest absolute error, not finite when a value is not.</param>
/// <param name="Bound">Largest error accepted; 0 means bit for bit.</param>
/// <param name="Reason">Where the bound comes from.</param>
/// <param name="Failure">Why it did not finish, or null.</param>
/// <param name="NotRun">What the device lacks for it, or null.</param>
internal sealed record DeviceCheckLine(string Name, string Shape, string Result, double MaxError, double Bound, string Reason, string? Failure = null, string? NotRun = null)
{
    public bool Failed => NotRun is null && (Failure is not null || !(MaxError <= Bound));

    private bool HasResult => Failure is null && NotRun is null;

    public override string ToString() => NotRun is not null ? $"--    {Name}  {Shape}  not run: {NotRun}" : Failure is not null ? $"FAIL  {Name}  {Shape}  {Failure}"
        : string.Create(CultureInfo.InvariantCulture, $"{(Failed ? "FAIL" : "ok  ")}  {Name}  {Shape}  {Result}  error {MaxError:0.0E+00}  bound {Bound:0.0E+00}  ({Reason})");

    public JsonObject ToJson() => new()
    {
        ["name"] = Name,
        ["shape"] = Shape,
        ["result"] = HasResult ? Result : null,
        ["max_error"] = HasResult && double.IsFinite(MaxError) ? MaxError : null, // JSON has no word for a value that is not finite
        ["bound"] = HasResult ? Bound : null,
        ["bound_reason"] = HasResult ? Reason : null,
        ["error"] = Failure,
        ["not_run"] = NotRun,
        ["ok"] = NotRun is null ? !Failed : null,
    };
}
