using System.CommandLine;
using System.Text.Json;
using DiffWave.Bench;
using DiffWave.Bench.Costs;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Engine;

var preset = new Option<string>("--preset") { Description = "model configuration: base, large, small or tiny", DefaultValueFactory = _ => "base" };
var rounds = new Option<int>("--rounds") { Description = "repetitions; medians are printed", DefaultValueFactory = _ => 7 };
var level = new Option<SimdLevel>("--simd") { Description = "vector instructions" };
var json = new Option<string?>("--json") { Description = "also write the results to this file", HelpName = "FILE" };

var device = new Option<string>("--device") { Description = "cpu, cuda, cuda:N or emulator", DefaultValueFactory = _ => "cpu" };

var threadList = new Option<int[]>("--threads") { Description = "thread counts to measure", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [1, 2] };
var layers = new Option<int[]>("--layers") { Description = "layers to measure (their dilations)", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [0, 5, 9] };
var block = new Command("block", "the residual block: GFLOP/s and share of the FMA peak measured in the same run") { preset, threadList, layers, level, rounds, json };
block.SetAction(p => Save(p.GetValue(json), "block", BlockBench.Run(ModelConfig.Preset(p.GetValue(preset)!), p.GetValue(threadList)!, p.GetValue(layers)!, p.GetValue(level), p.GetValue(rounds))));

var seconds = new Option<double>("--seconds") { Description = "length of the clip", DefaultValueFactory = _ => 5 };
var clips = new Option<int>("--batch") { Description = "clips made side by side", DefaultValueFactory = _ => 1 };
var full = new Option<bool>("--full") { Description = "all steps of the training schedule instead of the fast one" };
var threads = new Option<int>("--threads") { Description = "threads for both programs", DefaultValueFactory = _ => Environment.ProcessorCount };
var python = new Option<string?>("--peer") { Description = "Python with PyTorch to run bench/peers/torch_diffwave.py in alternation", HelpName = "PYTHON" };
var mode = new Option<string>("--peer-mode") { Description = "how the peer computes: fp32; on a GPU also tf32, amp or compile", DefaultValueFactory = _ => "fp32" };
var script = new Option<string>("--peer-script") { Description = "the peer program", DefaultValueFactory = _ => "bench/peers/torch_diffwave.py" };
var cached = new Option<bool>("--peer-cached") { Description = "the peer computes the conditioner once (needs several GB)" };
var inPrecision = new Option<Precision>("--precision") { Description = "fp32, tf32, fp16 or bf16; the last three on a GPU's tensor cores" };
var synthesis = new Command("synthesis", "whole syntheses: times real time, memory, and the ratio to PyTorch") { device, preset, seconds, clips, full, inPrecision, threads, level, rounds, python, script, mode, cached, json };
synthesis.SetAction(p => Save(p.GetValue(json), "synthesis", SynthesisBench.Run(p.GetValue(device)!, p.GetValue(preset)!, p.GetValue(seconds), p.GetValue(clips), p.GetValue(full), p.GetValue(threads), p.GetValue(level),
    p.GetValue(rounds), Peer(p), p.GetValue(inPrecision))));

var batch = new Option<int>("--batch") { Description = "crops a step", DefaultValueFactory = _ => 4 };
var cropFrames = new Option<int>("--crop-frames") { Description = "mel frames a crop", DefaultValueFactory = _ => 62 };
var recompute = new Option<bool>("--recompute") { Description = "compute the inputs of the gates again in backward instead of keeping them" };
var training = new Command("training", "optimiser steps: time, memory, and the ratio to PyTorch, both checked to compute the same") { device, preset, batch, cropFrames, recompute, inPrecision, threads, level, rounds, python, script, mode, json };
training.SetAction(p => Save(p.GetValue(json), "training", TrainingBench.Run(p.GetValue(device)!, p.GetValue(preset)!, p.GetValue(batch), p.GetValue(cropFrames), p.GetValue(recompute), p.GetValue(threads), p.GetValue(level),
    p.GetValue(rounds), Peer(p), p.GetValue(inPrecision))));

var compiler = new Command("compiler", "milliseconds from C# to PTX, for every kernel of the catalogue") { rounds, json };
compiler.SetAction(p => Save(p.GetValue(json), "compiler", KernelToolsBench.Compile(p.GetValue(rounds))));
var emulator = new Command("emulator", "thread-instructions the emulator executes a second, with all its checks") { threadList, rounds, json };
emulator.SetAction(p => Save(p.GetValue(json), "emulator", KernelToolsBench.Emulate(p.GetValue(threadList)!, p.GetValue(rounds))));

var gpuDevice = new Option<string>("--device") { Description = "cuda, cuda:N or emulator", DefaultValueFactory = _ => "cuda" };
var gpu = new Command("gpu", "everything that is first asked of a GPU: registers, spills, occupancy and time of every kernel; synthesis; training") { gpuDevice, preset, seconds, clips, rounds, json };
gpu.SetAction(p => Save(p.GetValue(json), "gpu", GpuBench.Run(p.GetValue(gpuDevice)!, p.GetValue(preset)!, p.GetValue(seconds), p.GetValue(clips), p.GetValue(rounds))));

var precisionDevice = new Option<string>("--device") { Description = "cuda, cuda:N or emulator", DefaultValueFactory = _ => "emulator" };
var models = new Option<string[]>("--models") { Description = "presets, with random weights, and folders of voices (voice.safetensors, clip.wav)", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => ["src/DiffWave.Cli/Voice", "base"] };
var shortSeconds = new Option<double>("--seconds") { Description = "length of the signal, in whole frames", DefaultValueFactory = _ => 0.05 };
var trainingSteps = new Option<int>("--training-steps") { Description = "train a small model for so many steps in each precision instead", HelpName = "N" };
var trainingData = new Option<string>("--training-data") { Description = "recordings to train it on", DefaultValueFactory = _ => "tests/Fixtures/audio/speech.wav" };
var precision = new Command("precision", "what tf32, fp16 and bf16 cost in accuracy: predicted noise and audio beside fp32, or losses of a training") { precisionDevice, models, shortSeconds, trainingSteps, trainingData, json };
precision.SetAction(p => Save(p.GetValue(json), "precision", p.GetValue(trainingSteps) is > 0 and int taken ? TrainingPrecisionBench.Run(p.GetValue(precisionDevice)!, p.GetValue(trainingData)!, taken)
    : PrecisionBench.Run(p.GetValue(precisionDevice)!, p.GetValue(models)!, p.GetValue(shortSeconds))));

var gpuName = new Option<string>("--gpu") { Description = $"the GPU: {string.Join(", ", GpuModel.All.Select(gpu => gpu.Name))}", DefaultValueFactory = _ => "h100" };
var costSeconds = new Option<double>("--seconds") { Description = "length of the clip", DefaultValueFactory = _ => 10 };
var costTraining = new Option<bool>("--training") { Description = "a training step instead of a synthesis" };
var countFrames = new Option<int?>("--count-frames") { Description = "mel frames at which launches are counted by the emulator, and at half of them; without it 16, on tensor cores 64" };
var measured = new Option<string?>("--measured") { Description = "results of bench gpu to put beside the predictions", HelpName = "FILE" };
var kernel = new Option<string?>("--kernel") { Description = "a kernel of the catalogue: what a tile of its rows costs; or an operation: a line for each of its versions", HelpName = "NAME" };
var shape = new Option<string?>("--shape") { Description = "sizes of --kernel; those not named are the usual ones", HelpName = "NAME=SIZE,.." };
var tileRows = new Option<int>("--tile-rows") { Description = "rows of a tile of --kernel", DefaultValueFactory = _ => 128 };
var costs = new Command("costs", "predicted time of every kernel of a synthesis or a training step on a GPU, from counts; needs no GPU")
{
    gpuName, preset, costSeconds, clips, full, inPrecision, costTraining, cropFrames, recompute, countFrames, measured, kernel, shape, tileRows, json,
};
costs.SetAction(p =>
{
    try
    {
        GpuModel chosen = GpuModel.Find(p.GetValue(gpuName)!);
        string model = p.GetValue(preset)!;
        Workload workload = p.GetValue(costTraining) ? new TrainingWork(model, p.GetValue(clips), p.GetValue(cropFrames), p.GetValue(recompute), p.GetValue(inPrecision))
            : new SynthesisWork(model, p.GetValue(clips), Workload.FramesOf(model, p.GetValue(costSeconds)), p.GetValue(full), p.GetValue(inPrecision));
        Save(p.GetValue(json), "costs", p.GetValue(kernel) is { } name
            ? CostsBench.Run(chosen, name, p.GetValue(shape), p.GetValue(tileRows), (long)workload.Batch * workload.Samples)
            : CostsBench.Run(chosen, workload, p.GetValue(countFrames) ?? (p.GetValue(inPrecision) == Precision.Fp32 ? 16 : 64), p.GetValue(measured)));
        return 0;
    }
    catch (Exception e) when (e is ArgumentException or FormatException or NotSupportedException or IOException or InvalidDataException)
    {
        Console.Error.WriteLine(e.Message);
        return 2;
    }
});

return new RootCommand("Benchmarks of DiffWaveKernels.") { block, synthesis, training, gpu, costs, compiler, emulator, precision }.Parse(args).Invoke();

TorchSetting? Peer(ParseResult p) => p.GetValue(python) is { } path ? new TorchSetting(path, p.GetValue(script)!, p.GetValue(mode)!, p.GetValue(cached)) : null;

static void Save(string? path, string name, object results)
{
    if (path is null) return;
    var document = new Dictionary<string, object> { ["benchmark"] = name, ["machine"] = Machine.Describe(), ["results"] = results };
    File.WriteAllText(path, JsonSerializer.Serialize(document, new JsonSerializerOptions { WriteIndented = true }) + "\n");
}
