using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace DiffWave.Engine;

/// <summary>The folder <c>samples/</c> of a run as a part of its report: every clip beside its reference, pictures and audio inside the page.</summary>
internal sealed partial class RunSamples
{
    private const int StepsWithAudio = 3, StepsWithPicture = 6;
    private const long MostBytes = 4_200_000; // 5.6 MB as base64: the page stays below 6 MB

    // Step -1 is the reference.
    private readonly Dictionary<(int Clip, long Step, string Type), string> _files = [];

    public bool Any => _files.Count > 0;

    public RunSamples(string folder)
    {
        if (!Directory.Exists(folder)) return;
        foreach (string path in Directory.EnumerateFiles(folder))
            if (Name().Match(Path.GetFileName(path)) is { Success: true } match && int.TryParse(match.Groups[2].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int clip))
            {
                long step = -1;
                if (match.Groups[1].Success && !long.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out step)) continue;
                _files[(clip, step, match.Groups[3].Value)] = path;
            }
    }

    /// <summary>A row a clip, the reference first, then the newest step and older ones. The newest come first also in what still fits in the page.</summary>
    public string Render()
    {
        int[] clips = [.. _files.Keys.Select(key => key.Clip).Distinct().Order()];
        long[] steps = [.. _files.Keys.Select(key => key.Step).Where(step => step >= 0).Distinct().OrderDescending().Take(StepsWithPicture)];
        var wanted = steps.Prepend(-1).SelectMany((step, rank) => clips.SelectMany(clip => rank <= StepsWithAudio ? new[] { (clip, step, "png"), (clip, step, "wav") } : [(clip, step, "png")]));
        var embedded = new Dictionary<(int Clip, long Step, string Type), string>();
        long left = MostBytes;
        foreach (var key in wanted)
        {
            if (!_files.TryGetValue(key, out string? path) || new FileInfo(path).Length is var length && length > left) continue;
            byte[] bytes = File.ReadAllBytes(path);
            left -= bytes.Length;
            embedded[key] = Convert.ToBase64String(bytes);
        }
        var html = new StringBuilder();
        foreach (int clip in clips)
        {
            html.Append(CultureInfo.InvariantCulture, $"<h3>clip {clip}</h3>\n<div class=\"samples\">\n");
            foreach (long step in steps.Prepend(-1))
            {
                string name = step < 0 ? "reference" : string.Create(CultureInfo.InvariantCulture, $"step {step:N0}");
                embedded.TryGetValue((clip, step, "png"), out string? picture);
                embedded.TryGetValue((clip, step, "wav"), out string? audio);
                if (picture is null && audio is null) continue;
                html.Append($"<figure><figcaption>{name}</figcaption>");
                if (picture is not null) html.Append(CultureInfo.InvariantCulture, $"<img alt=\"spectrogram of clip {clip}, {name}\" src=\"data:image/png;base64,{picture}\">");
                if (audio is not null)
                    html.Append(CultureInfo.InvariantCulture, $"<audio controls preload=\"metadata\" aria-label=\"clip {clip}, {name}\" src=\"data:audio/wav;base64,{audio}\"></audio>");
                html.Append("</figure>\n");
            }
            html.Append("</div>\n");
        }
        int omitted = _files.Count - embedded.Count;
        if (omitted > 0)
            html.Append(CultureInfo.InvariantCulture, $"<p class=\"note\">{omitted:N0} more {(omitted == 1 ? "file" : "files")} in samples/: older steps, and what would make this page larger than 6 MB.</p>\n");
        return html.ToString();
    }

    [GeneratedRegex(@"^(?:reference|step-(\d+))-(\d+)\.(wav|png)$", RegexOptions.ECMAScript)] private static partial Regex Name();
}
