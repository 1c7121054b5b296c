using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What <c>diffwave train</c> was asked for.</summary>
internal sealed record TrainRequest
{
    public string[] Data { get; init; } = [];
    public required string Output { get; init; }
    public string? Config { get; init; }
    public string[] Set { get; init; } = [];
    public required string Resume { get; init; }
    public string? Init { get; init; }
    public required DeviceName Device { get; init; }
    public int Threads { get; init; }
    public bool Json { get; init; }
    public required TrainingPlan Plan { get; init; }
    /// <summary>The options of the optimisation that the command line gives, over others.</summary>
    public required Func<TrainingOptions, TrainingOptions> Training { get; init; }
    /// <summary>The same for the recordings.</summary>
    public required Func<DatasetOptions, DatasetOptions> Dataset { get; init; }
}
