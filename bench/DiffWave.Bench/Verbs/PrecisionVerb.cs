using System.CommandLine;

namespace DiffWave.Bench;

/// <summary><c>precision</c>: accuracy, not time.</summary>
internal static class PrecisionVerb
{
    public static Command Create()
    {
        var output = new OutputOptions();
        var precisionDevice = new Option<string>("--device") { Description = "cuda, cuda:N or emulator", DefaultValueFactory = _ => "emulator" };
        var models = new Option<string[]>("--models") { Description = "presets, with random weights, and folders of voices (voice.safetensors, clip.wav)", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => ["src/DiffWave.Cli/Voice", "base"] };
        var shortSeconds = new Option<double>("--seconds") { Description = "length of the signal, in whole frames", DefaultValueFactory = _ => 0.05 };
        var trainingSteps = new Option<int>("--training-steps") { Description = "train a small model for so many steps in each precision instead", HelpName = "N" };
        var trainingData = new Option<string>("--training-data") { Description = "recordings to train it on", DefaultValueFactory = _ => "tests/Fixtures/audio/speech.wav" };
        var precision = new Command("precision", "what tf32, fp16 and bf16 cost in accuracy: predicted noise and audio beside fp32, or losses of a training") { precisionDevice, models, shortSeconds, trainingSteps, trainingData };
        output.AddTo(precision);
        precision.SetAction(p => Failures.Guard(() =>
        {
            output.Write(p, p.GetValue(trainingSteps) is > 0 and int taken ? TrainingPrecisionBench.Run(p.GetValue(precisionDevice)!, p.GetValue(trainingData)!, taken)
                : PrecisionBench.Run(p.GetValue(precisionDevice)!, p.GetValue(models)!, p.GetValue(shortSeconds)));
            return 0;
        }));
        return precision;
    }
}
