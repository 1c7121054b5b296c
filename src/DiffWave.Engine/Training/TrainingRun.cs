using System.Diagnostics;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>When a run stops and what it writes on the way; none of it changes the weights.</summary>
public sealed record TrainingPlan
{
    /// <summary>Optimiser steps the run ends with.</summary>
    public required long Steps { get; init; }
    /// <summary>Steps between checkpoints; 0 for only the last.</summary>
    public long CheckpointEvery { get; init; } = 1000;
    /// <summary>How many of the newest checkpoints stay.</summary>
    public int KeepLast { get; init; } = 3;
    /// <summary>Checkpoints at multiples of this stay for good; 0 for none.</summary>
    public long KeepEvery { get; init; }
    /// <summary>Steps between validations; 0 for none.</summary>
    public long ValidateEvery { get; init; } = 500;
    /// <summary>Steps between sampled audio; 0 for none.</summary>
    public long SampleEvery { get; init; } = 5000;
    /// <summary>Whether something that comes every so many steps (0: never) is due at a step; at the last step it always is.</summary>
    internal bool IsDue(long step, long every) => every > 0 && (step % every == 0 || step == Steps);
}

/// <summary>
/// A training run in its folder: step, log, validate, sample, checkpoint, until the last step or until it is told to stop. The average of the weights, where one is kept, is what is
/// validated and sampled.
/// </summary>
public sealed class TrainingRun
{
    private readonly RunFolder _folder;
    private readonly EventFile _events;
    private readonly Trainer _trainer;
    private readonly TrainingState _state;
    private readonly TrainingPlan _plan;
    private readonly TrainingSamples? _samples;
    private readonly Validation? _validation;
    private readonly string _fingerprint;
    private readonly ModelCard _card;
    private readonly int _clips;
    private long _saved, _logged;

    /// <param name="folder">Where everything goes.</param>
    /// <param name="events">The same for TensorBoard.</param>
    /// <param name="trainer">Takes the steps.</param>
    /// <param name="state">The trainer's state.</param>
    /// <param name="plan">What to write when.</param>
    /// <param name="validation">Measures the held-out clips; null when nothing is held out.</param>
    /// <param name="samples">Makes audio; null when none is asked for.</param>
    /// <param name="clips">Clips of an epoch.</param>
    /// <param name="fingerprint">Tells the training data from other data.</param>
    /// <param name="card">Where the model comes from, with the steps its weights had seen before this run.</param>
    public TrainingRun(RunFolder folder, EventFile events, Trainer trainer, TrainingState state, TrainingPlan plan, Validation? validation, TrainingSamples? samples, int clips, string fingerprint, ModelCard card)
    {
        (_folder, _events, _trainer, _state, _plan) = (folder, events, trainer, state, plan);
        (_validation, _samples, _clips, _fingerprint, _card) = (validation, samples, clips, fingerprint, card);
        _logged = state.Step;
        _saved = state.Step > 0 ? state.Step : -1; // a run that goes on has the checkpoint it goes on from
    }

    /// <summary>The newest checkpoint this run wrote or started from; null before the first.</summary>
    public string? LastCheckpoint => _saved < 0 ? null : _folder.CheckpointPath(_saved);

    /// <summary>Trains until the plan's last step or until <paramref name="cancel"/>; the step at hand is finished and a checkpoint written in both cases.</summary>
    /// <param name="report">Told every line of the log.</param>
    /// <param name="cancel">Ends the run after the step at hand.</param>
    /// <exception cref="TrainingDivergedException">Something is not finite. The checkpoints are those of before.</exception>
    /// <exception cref="IOException">Something cannot be written.</exception>
    /// <exception cref="InputFileException">A recording cannot be read any more, or has changed.</exception>
    /// <remarks>After these two there is a checkpoint of the last step in the log if one could be written, and those of before in any case.</remarks>
    public void Run(Action<JsonObject> report, CancellationToken cancel)
    {
        try { Train(report, cancel); }
        catch (Exception e) when (e is IOException or InputFileException && _logged == _state.Step)
        {
            try { Save(); }
            catch (IOException) { } // what failed first is what the user needs to know
            throw;
        }
    }

    private void Train(Action<JsonObject> report, CancellationToken cancel)
    {
        if (_state.Step == 0)
        {
            var start = new JsonObject { ["step"] = 0L, ["epoch"] = 0.0 };
            Examine(start, report, cancel);
            if (start.Count > 2) Log(start, report);
            Save();
        }
        while (_state.Step < _plan.Steps && !cancel.IsCancellationRequested)
        {
            long begun = Stopwatch.GetTimestamp();
            TrainingStep step = _trainer.Step();
            var line = new JsonObject
            {
                ["step"] = step.Step, ["epoch"] = (double)step.Step * step.Items.Count / _clips, ["loss"] = step.Loss, ["grad_norm"] = step.GradientNorm,
                ["learning_rate"] = step.LearningRate, ["step_seconds"] = Stopwatch.GetElapsedTime(begun).TotalSeconds,
            };
            if (step.LossScale != 1) line["loss_scale"] = step.LossScale;
            Examine(line, report, cancel);
            Log(line, report);
            if (_plan.IsDue(step.Step, _plan.CheckpointEvery)) Save();
        }
        Save();
    }

    // Validation loss and samples, where they are due.
    private void Examine(JsonObject line, Action<JsonObject> report, CancellationToken cancel)
    {
        bool validate = _validation is not null && _plan.IsDue(_state.Step, _plan.ValidateEvery), sample = _samples is not null && _plan.IsDue(_state.Step, _plan.SampleEvery);
        if (!validate && !sample || cancel.IsCancellationRequested) return;
        Parameters weights = _trainer.ReadState().Best;
        if (validate)
        {
            var (loss, byStep) = _validation!.Measure(weights);
            if (!double.IsFinite(loss)) throw new TrainingDivergedException(_state.Step, $"the validation loss is {loss} after step {_state.Step}");
            line["validation_loss"] = loss;
            line["loss_by_t"] = new JsonArray([.. byStep.Select(part => new JsonObject { ["from"] = part.From, ["to"] = part.To, ["loss"] = part.Loss, ["count"] = part.Count })]);
        }
        try { if (sample && _samples!.Make(_folder, _events, _state.Step, weights) is { } difference) line["sample_mel_l1"] = difference; }
        catch (NonFiniteSampleException e) { line["sample_problem"] = e.Message; } // a chain that overflows early in training is no reason to stop
        catch (IOException e)
        {
            line["sample_problem"] = e.Message;
            Log(line, report); // the step is done and can be kept
            throw;
        }
    }

    private void Log(JsonObject line, Action<JsonObject> report)
    {
        _folder.Append(line);
        _logged = _state.Step;
        long step = (long)line["step"]!;
        _events.Scalars(step, [.. line.Where(field => field.Key is not "step" && field.Value is JsonValue value && value.TryGetValue(out double _)).Select(field => (field.Key, (double)field.Value!))]);
        report(line);
    }

    private void Save()
    {
        if (_saved == _state.Step) return;
        _folder.SaveCheckpoint(_trainer.ReadState(), _fingerprint, _card with { TrainedSteps = (_card.TrainedSteps ?? 0) + _state.Step }, _plan.KeepLast, _plan.KeepEvery);
        _saved = _state.Step;
    }
}
