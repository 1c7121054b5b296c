using System.Globalization;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>How the time of a synthesis grows, and what the study says of it.</summary>
public class ScalingTests
{
    /// <summary>
    /// A sample of ten minutes costs what a sample of one second costs: clips of a second and of ten minutes in turns, as many samples of either, in processor time of this thread, which no other program changes much. Whatever grows
    /// with the length of the clip, a list that is searched, a chunk copied once more for each before it, makes a sample of the long clip cost up to 600 times as much; a term that is 1 % a chunk of 4,096
    /// samples would show as 6.9 times. The bound of 1.4 is for caches and clocks: the least of three turns is taken.
    /// </summary>
    [Fact]
    public void ASampleCostsTheSameFromASecondToTenMinutes()
    {
        ModelConfig config = ModelConfig.Preset("tiny") with
        {
            Channels = 8, Layers = 1, DilationCycle = 1, Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [], SampleRate = 8000, FastBetas = [ModelConfig.Preset("tiny").TrainingBetas[^1]],
        };
        const int Minutes = 10, Clips = 60 * Minutes;
        using IOps ops = CpuDevice.Create(1), others = CpuDevice.Create(1);
        using var second = new TimedSynthesis(ops, config, 1, 1, full: false, 1);
        using var minutes = new TimedSynthesis(others, config, Clips, 1, full: false, 1);
        Assert.Equal(Clips * second.Samples, minutes.Samples);
        second.Once();
        var ratios = new List<double>();
        for (int turn = 0; turn < 3; turn++)
        {
            double before = ProcessorSeconds();
            for (int clip = 0; clip < Clips; clip++) second.Once();
            double between = ProcessorSeconds();
            minutes.Once();
            ratios.Add((ProcessorSeconds() - between) / (between - before));
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"a sample of ten minutes beside one of a second: {string.Join(", ", ratios.Select(ratio => ratio.ToString("f2", CultureInfo.InvariantCulture)))}");
        Assert.InRange(ratios.Min(), 0.1, 1.4);
    }

    // The CPU backend computes with one thread on the one that calls it.
    private static double ProcessorSeconds() => File.Exists("/proc/thread-self/schedstat")
        ? long.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1e9 : System.Diagnostics.Stopwatch.GetTimestamp() / (double)System.Diagnostics.Stopwatch.Frequency;

    [Fact]
    public void TheStudyMeasuresPointsInTurnsAndComparesThemWithTheFirst()
    {
        ModelConfig config = ModelConfig.Preset("tiny") with { Channels = 8, Layers = 2, DilationCycle = 2 };
        ScalingAxis[] axes =
        [
            new("length", "length", "s", [new(0.05, config, 0.05), new(0.1, config, 0.1)]),
            new("layers", "layers", "", [new(2, config, 0.05), new(4, config with { Layers = 4 }, 0.05)]),
            new("threads", "threads", "", [new(1, config, 0.05, Threads: 1), new(2, config, 0.05, Threads: 2)]),
        ];
        Result result = ScalingBench.Run(new BenchSettings("cpu", 1, default, 1, new Repeat(3, 3, 0, 0)), axes, Precision.Fp32);
        Assert.Equal(["scaling/length/0.05s", "scaling/length/0.1s", "scaling/layers/2", "scaling/layers/4", "scaling/threads/1", "scaling/threads/2"], result.Rows.Select(row => row.Case));
        Assert.All(result.Rows, row => Assert.Equal(3, row.Seconds!.Count));
        double Of(int row, string figure) => Convert.ToDouble(result.Rows[row].Value(figure), CultureInfo.InvariantCulture);
        foreach (int first in new[] { 0, 2, 4 }) Assert.Equal((1, 1), (Of(first, "relative"), Of(first, "ideal_relative")));
        Assert.All(result.Rows, row => Assert.True(row.Value("processor_relative") is null or > 0.0)); // null where the system counts too coarsely for syntheses as short as these
        Assert.Equal(1, Of(1, "ideal_relative"), 1e-12); // the FLOP of a sample are those of any other
        Assert.InRange(Of(3, "ideal_relative"), 1.5, 2); // twice the blocks, and the rest once
        Assert.Equal(0.5, Of(5, "ideal_relative"), 1e-12);
        double[] ratios = [.. result.Rows[3].Seconds!.Values.Zip(result.Rows[2].Seconds!.Values, (own, first) => own / first).Order()];
        Assert.Equal((ratios[0], ratios[1], ratios[2]), (Of(3, "relative_low"), Of(3, "relative"), Of(3, "relative_high")));
        Assert.Equal(result.Rows[1].Seconds!.Median / Of(1, "samples"), Of(1, "seconds_per_sample"));
    }

    [Fact]
    public void AModelWithoutKernelsIsANoteAndTheEmulatorHasNoClock()
    {
        Assert.Contains("has no clock", Assert.Throws<NotSupportedException>(() => ScalingBench.Run(new BenchSettings("emulator", 1, default, 1, new Repeat()), [], Precision.Fp32)).Message);
        Assert.DoesNotContain(ScalingAxis.All(new BenchSettings("cuda", 4, default, 1, new Repeat())), axis => axis.Name == "threads");
        Assert.Equal([1, 2, 4, 6], ScalingAxis.All(new BenchSettings("cpu", 6, default, 1, new Repeat())).Single(axis => axis.Name == "threads").Points.Select(point => point.Size));
        string[] cases = [.. ScalingAxis.All(new BenchSettings("cpu", 6, default, 1, new Repeat())).SelectMany(axis => axis.Points.Select(axis.Case))];
        Assert.Equal(cases.Length, cases.Distinct().Count());
    }

    // Two panels of known numbers: where the curve and the dashed one stand is by formula.
    [Fact]
    public void TheChartHasAPanelAnAxis()
    {
        Row At(string axis, double size, double relative, double ideal) => new($"scaling/{axis}/{size}", new Sample(1))
        {
            Figures = new Dictionary<string, object?> { ["axis"] = axis, ["axis_title"] = $"<{axis}>", ["size"] = size, ["relative"] = relative, ["relative_low"] = relative * 0.9, ["relative_high"] = relative * 1.1, ["ideal_relative"] = ideal },
        };
        string svg = ScalingChart.Of(new Result("scaling", "t", [At("length", 1, 1, 1), At("length", 100, 1, 1), At("layers", 1, 1, 1), At("layers", 2, 4, 2)]))!;
        System.Xml.Linq.XDocument picture = System.Xml.Linq.XDocument.Parse(svg);
        double[][] Lines(string name) => [.. picture.Descendants().Where(element => element.Name.LocalName == "polyline" && (string?)element.Attribute("class") == name)
            .Select(element => ((string)element.Attribute("points")!).Split(' ', ',').Select(number => double.Parse(number, CultureInfo.InvariantCulture)).ToArray())];
        double[][] measured = Lines("roof"), ideal = Lines("one");
        Assert.Equal((2, 2), (measured.Length, ideal.Length));
        Assert.Equal(measured[0], ideal[0]);
        Assert.Equal(measured[0][1], measured[0][3]); // flat
        Assert.Equal(measured[1][1] - measured[1][3], 2 * (ideal[1][1] - ideal[1][3]), 0.3); // four times is twice as far as two times
        Assert.Equal(["<length>", "<layers>"], picture.Descendants().Where(element => (string?)element.Attribute("class") == "title").Select(element => element.Value));
        Assert.Contains("length: 1 takes 1, 100 takes 1", (string)picture.Root!.Attribute("aria-label")!);
        Assert.Null(ScalingChart.Of(new Result("run", "t", [new Row("a", new Sample(1))])));
    }
}
