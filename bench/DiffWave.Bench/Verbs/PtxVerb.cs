using System.CommandLine;
using System.Text;
using DiffWave.Audio;
using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary><c>ptx</c>: the kernels of whole works as the engine compiles them for a GPU, where <c>diffwave kernels ptx</c> has each at one shape.</summary>
internal static class PtxVerb
{
    public static Command Create()
    {
        var gpu = new Option<string>("--gpu") { Description = $"the GPU: {string.Join(", ", GpuModel.All.Select(known => known.Name))}", DefaultValueFactory = _ => "h100" };
        var presets = new Option<string[]>("--preset") { Description = "models; without it all presets", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. ModelConfig.PresetNames] };
        var precisions = new Option<Precision[]>("--precision") { Description = "fp32, tf32, fp16, bf16; without it all of them", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => Enum.GetValues<Precision>() };
        var output = new Option<string>("--output", "-o") { Description = "folder to write into, a file for each kernel", HelpName = "FOLDER", Required = true };
        var verb = new Command("ptx", "the PTX of every kernel that syntheses and training steps launch on a GPU, for ptxas; needs no GPU") { gpu, presets, precisions, output };
        verb.SetAction(parsed => Failures.Guard(() =>
        {
            GpuModel chosen = GpuModel.Find(parsed.GetValue(gpu)!);
            string folder = Directory.CreateDirectory(parsed.GetValue(output)!).FullName;
            var written = new HashSet<string>();
            foreach (Precision precision in parsed.GetValue(precisions)!)
                foreach (string preset in parsed.GetValue(presets)!)
                {
                    if (Problem(chosen, preset, precision) is { } problem)
                    {
                        Console.Error.WriteLine($"{preset}: {problem}");
                        continue;
                    }
                    foreach ((string name, string ptx) in Works(preset, precision).SelectMany(work => Of(chosen, work)))
                        if (written.Add(name)) AtomicFile.Write(Path.Combine(folder, name), stream => stream.Write(Encoding.ASCII.GetBytes(ptx)));
                }
            Console.WriteLine($"{written.Count} kernels for {chosen.Name} in {folder}");
            return 0;
        }));
        return verb;
    }

    /// <summary>Modules that a work loads, by file names: entries name the constants too.</summary>
    public static IEnumerable<(string Name, string Ptx)> Of(GpuModel gpu, Workload work)
    {
        using var recorder = new LaunchRecorder(gpu);
        work.Record(recorder);
        foreach (string ptx in recorder.Modules)
        {
            string entry = ptx[(ptx.IndexOf(".entry ", StringComparison.Ordinal) + ".entry ".Length)..].Split('(', 2)[0].Trim();
            yield return ($"{entry}.ptx", ptx);
        }
    }

    private static string? Problem(GpuModel gpu, string preset, Precision precision)
    {
        using var recorder = new LaunchRecorder(gpu);
        using var ops = new CudaOps(recorder, new CudaOptions { Precision = precision });
        return ops.Problem(ModelConfig.Preset(preset));
    }

    // Half a second, ten seconds, many clips equally long and not, and training steps that keep the inputs of the gates or compute them again: small works have other tiles than large ones.
    private static IEnumerable<Workload> Works(string preset, Precision precision)
    {
        int brief = Workload.FramesOf(preset, 0.5), clip = Workload.FramesOf(preset, 10), crop = Workload.FramesOf(preset, 0.7);
        SynthesisWork Synthesis(int batch, int frames, bool unequal = false) => new(preset, batch, frames, Full: false, precision) { Unequal = unequal };
        TrainingWork Training(int batch, bool recompute) => new(preset, batch, crop, recompute, precision);
        return [Synthesis(1, brief), Synthesis(2, brief, unequal: true), Synthesis(1, clip), Synthesis(16, clip), Synthesis(16, clip, unequal: true), Training(1, false), Training(16, false), Training(16, true)];
    }
}
