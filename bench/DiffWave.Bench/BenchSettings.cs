using DiffWave.Cpu;

namespace DiffWave.Bench;

/// <summary>What every benchmark is told.</summary>
/// <param name="Device"><c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>emulator</c>.</param>
/// <param name="Threads">CPU threads.</param>
/// <param name="Level">Vector instructions of the CPU.</param>
/// <param name="Seed">Of weights, mels and noise; no time depends on it.</param>
/// <param name="Repeat">How often.</param>
internal sealed record BenchSettings(string Device, int Threads, SimdLevel Level, ulong Seed, Repeat Repeat)
{
    public bool IsCpu => Device == "cpu";

    /// <summary>Opens the device.</summary>
    public BenchDevice Open(Engine.Precision precision = Engine.Precision.Fp32) => BenchDevice.Open(Device, Threads, Level, precision);

    /// <summary>What a result's file says of them.</summary>
    public Dictionary<string, object?> Describe() => new()
    {
        ["device"] = Device, ["threads"] = Threads, ["simd"] = IsCpu ? (Level == SimdLevel.Auto ? CpuDevice.BestLevel : Level).ToString() : null, ["seed"] = (double)Seed,
        ["least_rounds"] = Repeat.Least, ["most_rounds"] = Repeat.Most, ["case_seconds"] = Repeat.Seconds, ["settled_spread"] = Repeat.Spread,
    };
}

/// <summary>One case of a benchmark, ready to be run.</summary>
/// <param name="Name">Its name, as its row has it.</param>
/// <param name="Run">Measures it, as often as it is told.</param>
internal sealed record BenchCase(string Name, Func<Repeat, Row> Run)
{
    /// <param name="name">Its name.</param>
    /// <param name="run">Measures it, as often as it sees fit.</param>
    public BenchCase(string name, Func<Row> run) : this(name, _ => run())
    {
    }

    /// <summary>Adds what follows from the measurements, such as rates, to a row; a case that has this may be measured in several passes, whose measurements are put together before. Null: in one.</summary>
    public Func<Row, Row>? Derive { get; init; }
}
