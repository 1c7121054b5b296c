using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave train</c>: a model from recordings.</summary>
internal static class TrainCommand
{
    private const string Description = "Train a model on recordings; stop and go on at any time.";

    private const string Notes = """
        RUN holds everything: config.json, checkpoints step-N.safetensors (each is a model that synthesize takes),
        latest.json, log.jsonl (a line a step), events/ for TensorBoard, samples/, report.html (open it in a
        browser) and, once the last step is done, model.safetensors.

        Ctrl-C or SIGTERM finish the step, write a checkpoint and end; the same command goes on from there, and
        computes bit for bit what an unbroken run would have. --steps, --threads and the --..-every options may
        change between the parts, nothing else. A loss that is not finite stops the run with exit code 7;
        checkpoints hold finite numbers only.

        --device auto takes the first GPU that works, else the CPU; a GPU that fails before the first step is done
        is replaced by the CPU, with a warning. Later a failure ends the run: its folder holds the last checkpoint,
        and the same command goes on from there, on any device. Bit for bit holds on the same device.

        Held-out clips (--validation, --held-out) are never trained on. Their loss is measured over fixed
        diffusion steps and noise, with the moving average of the weights where one is kept (--ema above 0);
        the average is also what checkpoints offer to synthesize.

        --precision tf32, fp16 and bf16 compute the network on a GPU's tensor cores, for models of 32, 64, 128 or
        256 channels; weights, their gradients and Adam stay fp32. tf32 rounds what the residual blocks multiply to
        11 bits. fp16 and bf16 also halve the memory of activations, which then have 11 and 8 bits; under fp16
        gradients are scaled, by a factor that is halved when they overflow and doubled after 2000 good steps. The
        precision belongs to the run: it cannot change when it is taken up again, nor can the CPU take over.

        A batch is computed --micro-batch crops at a time, their gradients summed: memory depends on that number
        alone, the result does not depend on it.

        --json prints one object at the end: run, model, steps, loss, validation_loss, sample_mel_l1,
        step_seconds, audio_seconds_per_second, checkpoint, stopped, device, device_reason, precision,
        peak_memory_bytes, peak_gpu_memory_bytes (null on the CPU).
        """;

    private const string Examples = """
        # a small vocoder on a folder of recordings; look at run/report.html from time to time
        diffwave train --data recordings/ --out run --config small --steps 50000
        # go on after a stop, to more steps
        diffwave train --out run --steps 100000
        # on the GPU, or not at all; eight crops at a time keep it busy
        diffwave train --data recordings/ --out run --config base --device cuda --micro-batch 8
        # the same on tensor cores, with activations in half the memory
        diffwave train --data recordings/ --out run --config base --device cuda --micro-batch 16 --precision bf16
        # continue from an existing model with new data
        diffwave train --data new/ --out run2 --init run/model.safetensors --lr 1e-4 --warmup 500
        # spoken digits by folder name, 16 kHz, no mel
        diffwave train --data digits/ --out run --config sc09 --set channels=64 --set conditioner=label --set labels=10
        """;

    public static Command Create(Session session)
    {
        var data = new Option<string[]>("--data") { HelpName = "DIR", AllowMultipleArgumentsPerToken = true, Description = "Folders of recordings (searched recursively) or single files; see diffwave dataset" };
        var output = new Option<string>("--out", "-o") { HelpName = "RUN", Required = true, Description = "Folder of the run; one that holds a run is taken up again" };
        var config = new Option<string>("--config") { HelpName = "PRESET|FILE.json", Description = $"A preset ({string.Join(", ", ModelConfig.PresetNames)}) or a configuration file; default small" };
        var set = new Option<string[]>("--set") { HelpName = "KEY=VALUE", Description = "Change one field of the configuration, any number of times (keys: see diffwave init)" };
        var steps = Options.Whole("--steps", "N", 1, int.MaxValue, 100_000, "Optimiser steps the run ends with");
        var batch = Options.OptionalWhole("--batch", "B", 1, 65536, "Crops a step; default 16");
        var micro = Options.OptionalWhole("--micro-batch", "N", 1, 65536, "Crops computed at a time; a divisor of the batch; default 1");
        var crop = Options.OptionalWhole("--crop-frames", "F", 1, 100_000, "Length of a crop in mel frames (of 256 samples without a mel); default 62");
        var rate = Options.Number("--lr", "X", 1e-12, 1, "Learning rate of Adam; default 2e-4");
        var warmup = Options.OptionalWhole("--warmup", "N", 0, int.MaxValue, "Steps over which the learning rate rises from 0; default 0");
        var decay = Options.OptionalWhole("--decay", "N", 0, int.MaxValue, "Steps over which it then falls to a tenth; default 0, constant");
        var clip = Options.Number("--clip", "X", 0, 1e9, "Largest norm of the gradients; default 0, no limit");
        var average = Options.Number("--ema", "X", 0, 0.999999, "Decay of the moving average of the weights; 0 keeps none; default 0.999");
        var loss = new Option<string?>("--loss") { HelpName = "l1|mse", Description = "Distance between predicted and true noise; default l1" };
        loss.AcceptOnlyFromAmong("l1", "mse");
        var recompute = new Option<bool?>("--recompute") { Description = "Compute all inner activations again in backward, not only those a GPU has no memory to keep: a third of the memory, somewhat slower" };
        var precision = Options.Precision("fp32");
        var seed = new Option<ulong?>("--seed") { HelpName = "N", Description = "Seed of weights, order, crops, diffusion steps and noise; default 0" };
        var skip = new Option<bool?>("--skip-unreadable") { Description = "Leave out files that cannot be read instead of stopping" };
        var cache = Options.Whole("--cache-mb", "MB", 0, 1 << 20, 1024, "Memory for decoded recordings and their mels; the rest is read again when needed");
        var resume = new Option<string>("--resume") { HelpName = "auto|never|FILE", DefaultValueFactory = _ => "auto", Description = "auto: go on if RUN holds a run; never: only start new; FILE: start a new run from a checkpoint's whole state" };
        var init = new Option<string?>("--init") { HelpName = "MODEL", Description = "Start a new run from a model's weights instead of random ones" };
        var checkpointEvery = Options.Whole("--checkpoint-every", "N", 1, int.MaxValue, 1000, "Steps between checkpoints");
        var keep = Options.Whole("--keep", "K", 1, 10_000, 3, "Checkpoints to keep");
        var keepEvery = Options.Whole("--keep-every", "N", 0, int.MaxValue, 0, "Keep those whose step is a multiple of N for good; 0 for none");
        var validateEvery = Options.Whole("--validate-every", "N", 0, int.MaxValue, 500, "Steps between validations; 0 for none");
        var sampleEvery = Options.Whole("--sample-every", "N", 0, int.MaxValue, 5000, "Steps between sampled audio; 0 for none");
        Option<DeviceName> device = Options.Device();
        Option<int> threads = Options.Threads();
        Option<bool> json = Options.Json();
        var recordings = new DatasetArguments();
        var verb = new Verb("train", Description, Notes, Examples)
        {
            data, output, config, set, steps, batch, micro, crop, rate, warmup, decay, clip, average, loss, recompute, precision, seed, skip, cache,
            resume, init, checkpointEvery, keep, keepEvery, validateEvery, sampleEvery, device, threads, json,
        };
        recordings.AddTo(verb);
        verb.SetAction(parsed => new Training(session, new TrainRequest
        {
            Data = parsed.GetValue(data) ?? [],
            Output = parsed.GetRequiredValue(output),
            Config = parsed.GetValue(config),
            Set = parsed.GetValue(set) ?? [],
            Resume = parsed.GetValue(resume)!,
            Init = parsed.GetValue(init),
            Device = parsed.GetValue(device),
            Threads = parsed.GetValue(threads),
            Json = parsed.GetValue(json),
            Plan = new TrainingPlan
            {
                Steps = parsed.GetValue(steps), CheckpointEvery = parsed.GetValue(checkpointEvery), KeepLast = parsed.GetValue(keep), KeepEvery = parsed.GetValue(keepEvery),
                ValidateEvery = parsed.GetValue(validateEvery), SampleEvery = parsed.GetValue(sampleEvery),
            },
            Training = start => start with
            {
                Batch = parsed.GetValue(batch) ?? start.Batch,
                MicroBatch = parsed.GetValue(micro) ?? start.MicroBatch,
                CropFrames = parsed.GetValue(crop) ?? start.CropFrames,
                LearningRate = parsed.GetValue(rate) ?? start.LearningRate,
                WarmupSteps = parsed.GetValue(warmup) ?? start.WarmupSteps,
                DecaySteps = parsed.GetValue(decay) ?? start.DecaySteps,
                ClipNorm = parsed.GetValue(clip) ?? start.ClipNorm,
                AverageDecay = parsed.GetValue(average) ?? start.AverageDecay,
                Loss = parsed.GetValue(loss) is { } kind ? kind == "l1" ? LossKind.L1 : LossKind.Mse : start.Loss,
                Recompute = parsed.GetValue(recompute) ?? start.Recompute,
                Precision = Options.PrecisionOf(parsed.GetValue(precision)) ?? start.Precision,
                Seed = parsed.GetValue(seed) ?? start.Seed,
            },
            Dataset = start => recordings.Over(parsed, start) with { SkipUnreadable = parsed.GetValue(skip) ?? start.SkipUnreadable, CacheBytes = (long)parsed.GetValue(cache) << 20 },
        }).Run());
        return verb;
    }
}
