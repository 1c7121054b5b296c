namespace DiffWave.Bench.Costs;

/// <summary>
/// Layers that move along a long signal in windows, and at the short lengths that are counted do not: which counted launch each of theirs stands for, and which pieces of its buffers it touches, so that
/// <see cref="CacheModel"/> sees what stays in L2. A piece has as many rows as a window; layers trail one another, so a launch touches two.
/// </summary>
internal sealed class WindowedWork
{
    private readonly IReadOnlyList<RecordedLaunch> full;
    private readonly HashSet<(string, int)> windowed;
    private readonly Dictionary<ulong, int> pieces = []; // of the buffers the windows are of
    private readonly int windowRows;

    /// <param name="counted">The launches at a length that is counted.</param>
    /// <param name="full">Those at the full length.</param>
    /// <exception cref="InvalidOperationException">They differ in more than windows.</exception>
    public WindowedWork(IReadOnlyList<RecordedLaunch> counted, IReadOnlyList<RecordedLaunch> full)
    {
        this.full = full;
        Counted = new int[full.Count];
        ILookup<(string, int), int> places = Enumerable.Range(0, counted.Count).ToLookup(i => Key(counted[i]));
        windowed = [.. full.GroupBy(Key).Where(same => places[same.Key].Any() && same.Count() > places[same.Key].Count()).Select(same => same.Key)];
        var passed = new Dictionary<(string, int), int>();
        for (int i = 0; i < full.Count; i++)
        {
            var key = Key(full[i]);
            int nth = windowed.Contains(key) ? 0 : passed[key] = passed.GetValueOrDefault(key, -1) + 1; // all counted ones of a layer are alike
            if (nth >= places[key].Count()) throw Different(i, $"{full[i].Kernel} of {full[i].Rows} rows in layer {full[i].Layer}, {full[i].Tiles} tiles", "nothing more of it");
            Counted[i] = places[key].ElementAt(nth);
        }
        int missed = Enumerable.Range(0, counted.Count).FirstOrDefault(i => !windowed.Contains(Key(counted[i])) && !Counted.Contains(i), -1);
        if (missed >= 0) throw Different(missed, "nothing more of it", counted[missed].Kernel);
        if (windowed.Count == 0) return;
        windowRows = full.Where(IsWindow).GroupBy(launch => launch.Rows).MaxBy(same => same.Count())!.Key;
        foreach (var (buffer, view) in full.Where(IsWindow).SelectMany(launch => launch.Views)) pieces[buffer] = (view.ItemRows + windowRows - 1) / windowRows;
    }

    private static (string, int) Key(RecordedLaunch launch) => (launch.Kernel, launch.Layer);

    private static InvalidOperationException Different(int launch, string full, string counted) =>
        new($"launch {launch} is {full}, at the length that is counted {counted}: count at a length nearer to the full one");

    /// <summary>For each launch at the full length the one that was counted.</summary>
    public int[] Counted { get; }

    /// <summary>Whether a launch is of a window.</summary>
    public bool IsWindow(RecordedLaunch launch) => windowed.Contains(Key(launch));

    /// <summary>The work of a launch with its touches piece by piece.</summary>
    public LaunchWork InPieces(LaunchWork work, RecordedLaunch launch) => pieces.Count == 0 ? work : work with { Touches = [.. work.Touches.SelectMany(touch => Split(touch, launch))] };

    private IEnumerable<Touch> Split(Touch touch, RecordedLaunch launch)
    {
        if (!pieces.TryGetValue(touch.Buffer, out int count)) return [touch];
        var (first, rows) = IsWindow(launch) && launch.Views.TryGetValue(touch.Buffer, out var view) ? (view.First, launch.Rows) : (0, count * windowRows);
        return Enumerable.Range(first / windowRows, (first + rows - 1) / windowRows - first / windowRows + 1).Select(piece =>
        {
            double share = (Math.Min(first + rows, (piece + 1.0) * windowRows) - Math.Max(first, (double)piece * windowRows)) / rows;
            return new Touch(touch.Buffer, share * touch.Read, share * touch.Written) { Piece = piece };
        });
    }
}
