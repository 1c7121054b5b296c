using System.CommandLine;

namespace DiffWave.Bench;

/// <summary><c>peers</c>: ours beside PyTorch.</summary>
internal static class PeersVerb
{
    public static Command Create()
    {
        var filter = new Argument<string?>("FILTER") { Arity = ArgumentArity.ZeroOrOne, Description = "a part of a case's name, such as synthesis or training" };
        var python = new Option<string?>("--peer") { Description = "Python with PyTorch; default: the first python3 on PATH that has it, else /usr/bin/python3", HelpName = "PYTHON" };
        var script = new Option<string>("--peer-script") { Description = "the peer program", DefaultValueFactory = _ => "bench/peers/torch_diffwave.py", HelpName = "FILE" };
        var modes = new Option<string[]>("--modes") { Description = $"on a GPU, how PyTorch computes: {string.Join(", ", PeersBench.Modes)}; ours computes in fp32, tf32, fp16 and fp16", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => PeersBench.Modes };
        modes.AcceptOnlyFromAmong(PeersBench.Modes);
        return new BenchVerb("peers", "a synthesis and a training step in alternation with PyTorch, once both are found to do the same work", (parsed, settings) =>
        {
            if (settings.Device is not ("cpu" or "cuda")) throw new ArgumentException($"--device {settings.Device}, expected cpu or cuda: PyTorch has no other, and takes the first GPU");
            PeerCase[] cases = [.. PeersBench.Usual(settings, parsed.GetValue(modes)!).Where(one => parsed.GetValue(filter) is not { } part || one.Name.Contains(part, StringComparison.Ordinal))];
            if (cases.Length == 0) throw new ArgumentException($"no case holds '{parsed.GetValue(filter)}' in its name");
            var torch = new TorchSetting(TorchPeer.FindPython(parsed.GetValue(python)), parsed.GetValue(script)!);
            var notes = new List<string>
            {
                "seconds: ours; PyTorch / ours: round by round, ours and PyTorch's in alternation. cached: PyTorch computes the mel's part once a synthesis, as ours does; else at each step, as the reference implementation does.",
            };
            Result result = Suite.Run("peers", "ours and PyTorch in alternation", settings, [.. PeersBench.Cases(settings, torch, cases, notes)], notes);
            return result.Rows.Count > 0 ? result : throw new InvalidOperationException(result.Notes[^1]);
        }, filter, python, script, modes) { UsualSeconds = 18 }; // rounds take seconds, most of them PyTorch's
    }
}
