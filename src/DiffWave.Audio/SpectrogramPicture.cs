using System.Globalization;

namespace DiffWave.Audio;

/// <summary>
/// Spectrograms as PNG pictures: power over time and frequency in decibels below the loudest point, 80 dB from dark violet to yellow, with axes in seconds and Hz. The picture
/// has a fixed size; of long audio at most eight frames a column are averaged, so an hour is drawn about as fast as a minute.
/// </summary>
public static class SpectrogramPicture
{
    private const double RangeDb = 80;
    private const int PlotWidth = 1020, Left = 104, Right = 96, Top = 56, Bottom = 70, CaptionHeight = 40;
    private const int FramesPerColumn = 8;

    private static readonly Rgb Paper = new(255, 255, 255), Ink = new(38, 38, 38), Soft = new(110, 110, 110), Absent = new(236, 236, 236);

    /// <summary>Draws one clip; the file holds its old or its whole new content at any time.</summary>
    /// <param name="path">The PNG; its folder must exist.</param>
    /// <param name="samples">Mono samples, at least one, all finite.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <param name="title">Text above the picture; characters other than printable ASCII become question marks.</param>
    /// <exception cref="ArgumentException">No samples, or one that is not finite.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static void Write(string path, ReadOnlySpan<float> samples, int sampleRate, string title)
    {
        Canvas canvas = Draw([("", Analyse(samples, sampleRate, samples.Length))], samples.Length, sampleRate, title, plotHeight: 440);
        AtomicFile.Write(path, stream => Png.WriteRgb(stream, canvas.Width, canvas.Height, canvas.Pixels));
    }

    /// <summary>Draws two clips one above the other with the same axes and the same decibels, for comparing a copy with its model.</summary>
    /// <param name="path">The PNG; its folder must exist.</param>
    /// <param name="reference">Upper clip.</param>
    /// <param name="generated">Lower clip.</param>
    /// <param name="sampleRate">Hz, of both.</param>
    /// <param name="title">Text above the picture.</param>
    /// <param name="referenceCaption">Text above the upper panel.</param>
    /// <param name="generatedCaption">Text above the lower panel.</param>
    /// <exception cref="ArgumentException">No samples, or one that is not finite.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static void Write(string path, ReadOnlySpan<float> reference, ReadOnlySpan<float> generated, int sampleRate, string title,
        string referenceCaption = "reference", string generatedCaption = "generated")
    {
        int length = Math.Max(reference.Length, generated.Length);
        Write(path, [(referenceCaption, Analyse(reference, sampleRate, length)), (generatedCaption, Analyse(generated, sampleRate, length))], length, sampleRate, title);
    }

    /// <summary>Draws clips one above the other with the same axes and the same decibels.</summary>
    /// <param name="path">The PNG; its folder must exist.</param>
    /// <param name="clips">From top to bottom, 1 to 8, each with the text above it.</param>
    /// <param name="sampleRate">Hz, of all.</param>
    /// <param name="title">Text above the picture.</param>
    /// <exception cref="ArgumentException">No clips or too many, no samples, or one that is not finite.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static void WriteStack(string path, IReadOnlyList<(string Caption, float[] Samples)> clips, int sampleRate, string title)
    {
        if (clips.Count is < 1 or > 8) throw new ArgumentException($"{clips.Count} clips, expected 1 to 8", nameof(clips));
        int length = clips.Max(clip => clip.Samples.Length);
        Write(path, [.. clips.Select(clip => (clip.Caption, Analyse(clip.Samples, sampleRate, length)))], length, sampleRate, title);
    }

    private static void Write(string path, (string Caption, Panel Panel)[] panels, int length, int sampleRate, string title)
    {
        Canvas canvas = Draw(panels, length, sampleRate, title, plotHeight: 320);
        AtomicFile.Write(path, stream => Png.WriteRgb(stream, canvas.Width, canvas.Height, canvas.Pixels));
    }

    /// <summary>Mean power of each column and bin, [columns, bins]; columns behind the end of the clip are left out.</summary>
    private readonly record struct Panel(double[] Power, int Columns, int Bins);

    // length: samples that the whole width stands for.
    private static Panel Analyse(ReadOnlySpan<float> samples, int sampleRate, int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sampleRate, 1);
        if (samples.IsEmpty) throw new ArgumentException("the clip has no samples", nameof(samples));
        int fft = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(sampleRate / 25, 64, 16384)); // 40 ms or a little more
        int hop = (int)Math.Max(fft / 16, (length + (long)PlotWidth * FramesPerColumn - 1) / (PlotWidth * FramesPerColumn));
        var stft = new Stft(fft, fft, hop);
        int bins = stft.Bins, frames = stft.Frames(samples.Length);
        double samplesPerColumn = (double)length / PlotWidth;
        int columns = (int)Math.Min(PlotWidth, Math.Ceiling(samples.Length / samplesPerColumn));
        double[] power = new double[columns * bins], magnitudes = new double[(FramesPerColumn + 1) * bins];
        for (int column = 0; column < columns; column++)
        {
            // The mean of the frames centred within this column; of short clips, which have fewer frames than columns, a blend of the frames on either side.
            int first = (int)Math.Ceiling(column * samplesPerColumn / hop), end = (int)Math.Min(frames, Math.Ceiling((column + 1) * samplesPerColumn / hop));
            bool blend = first >= end;
            double position = Math.Min(frames - 1, (column + 0.5) * samplesPerColumn / hop);
            if (blend) (first, end) = ((int)position, Math.Min(frames, (int)position + 2));
            stft.Magnitudes(samples, first, end - first, magnitudes);
            for (int frame = first; frame < end; frame++)
            {
                double weight = blend ? Math.Max(0, 1 - Math.Abs(position - frame)) : 1.0 / (end - first);
                for (int k = 0; k < bins; k++) power[column * bins + k] += weight * magnitudes[(frame - first) * bins + k] * magnitudes[(frame - first) * bins + k];
            }
        }
        return new Panel(power, columns, bins);
    }

    private static Canvas Draw((string Caption, Panel Panel)[] panels, int length, int sampleRate, string title, int plotHeight)
    {
        int captionHeight = panels.Any(panel => panel.Caption.Length > 0) ? CaptionHeight : 0;
        int pitch = plotHeight + captionHeight;
        var canvas = new Canvas(Left + PlotWidth + Right, Top + pitch * panels.Length + Bottom, Paper);
        canvas.Text(Left, (Top - Canvas.CapHeight) / 2, Shorten(title, PlotWidth), Ink);
        double loudest = panels.Max(p => p.Panel.Power.Max());
        double seconds = (double)length / sampleRate;
        for (int i = 0; i < panels.Length; i++)
        {
            int top = Top + pitch * i + captionHeight;
            if (captionHeight > 0) canvas.Text(Left, top - Canvas.CapHeight - 9, Shorten(panels[i].Caption, PlotWidth), Soft);
            DrawPanel(canvas, top, plotHeight, panels[i].Panel, loudest);
            DrawFrame(canvas, Left, top, PlotWidth, plotHeight);
            foreach ((double hz, string label) in Ticks(sampleRate / 2.0, plotHeight / 48))
            {
                int y = top + plotHeight - 1 - (int)Math.Round(hz / (sampleRate / 2.0) * (plotHeight - 1));
                canvas.Fill(Left - 8, y, 7, 1, Ink);
                canvas.Text(Left - 14, y - Canvas.CapHeight / 2, label, Ink, align: 1);
            }
            bool last = i == panels.Length - 1;
            foreach ((double time, string label) in Ticks(seconds, 10))
            {
                int x = Left + (int)Math.Round(time / seconds * (PlotWidth - 1));
                canvas.Fill(x, top + plotHeight + 1, 1, last ? 7 : 4, Ink);
                if (last) canvas.Text(x, top + plotHeight + 15, label, Ink, align: 0.5);
            }
        }
        int firstTop = Top + captionHeight, bottom = Top + pitch * panels.Length;
        canvas.Text(Left + PlotWidth / 2, bottom + 42, "time (s)", Soft, align: 0.5);
        canvas.Text(10, (firstTop + bottom) / 2, "frequency (Hz)", Soft, align: 0.5, upwards: true);
        DrawScale(canvas, firstTop, bottom - firstTop);
        return canvas;
    }

    private static void DrawPanel(Canvas canvas, int top, int height, Panel panel, double loudest)
    {
        canvas.Fill(Left, top, PlotWidth, height, Absent);
        double binsPerRow = (double)(panel.Bins - 1) / height;
        for (int x = 0; x < panel.Columns; x++)
        {
            ReadOnlySpan<double> column = panel.Power.AsSpan(x * panel.Bins, panel.Bins);
            for (int row = 0; row < height; row++)
            {
                double centre = (height - row - 0.5) * binsPerRow;
                double power = binsPerRow <= 1 ? Between(column, centre) : Mean(column, centre - binsPerRow / 2, centre + binsPerRow / 2);
                double db = power > 0 && loudest > 0 ? 10 * Math.Log10(power / loudest) : double.NegativeInfinity;
                canvas.Set(Left + x, top + row, Rgb.Viridis(1 + db / RangeDb));
            }
        }
    }

    private static double Between(ReadOnlySpan<double> bins, double position)
    {
        int k = Math.Min((int)position, bins.Length - 2);
        return bins[k] + (position - k) * (bins[k + 1] - bins[k]);
    }

    private static double Mean(ReadOnlySpan<double> bins, double from, double to)
    {
        int first = Math.Clamp((int)Math.Round(from), 0, bins.Length - 1), end = Math.Clamp((int)Math.Round(to), first + 1, bins.Length);
        double sum = 0;
        foreach (double power in bins[first..end]) sum += power;
        return sum / (end - first);
    }

    private static void DrawScale(Canvas canvas, int top, int height)
    {
        int left = Left + PlotWidth + 22;
        for (int row = 0; row < height; row++) canvas.Fill(left, top + row, 14, 1, Rgb.Viridis(1 - (row + 0.5) / height));
        DrawFrame(canvas, left, top, 14, height);
        for (int db = 0; db >= -RangeDb; db -= 20)
        {
            int y = top + (int)Math.Round(-db / RangeDb * (height - 1));
            canvas.Fill(left + 15, y, 5, 1, Ink);
            canvas.Text(left + 25, y - Canvas.CapHeight / 2, db.ToString(CultureInfo.InvariantCulture), Ink);
        }
        canvas.Text(left + 7, top - Canvas.CapHeight - 12, "dB", Soft, align: 0.5);
    }

    // A line around the rectangle, outside it.
    private static void DrawFrame(Canvas canvas, int x, int y, int width, int height)
    {
        canvas.Fill(x - 1, y - 1, width + 2, 1, Ink);
        canvas.Fill(x - 1, y + height, width + 2, 1, Ink);
        canvas.Fill(x - 1, y - 1, 1, height + 2, Ink);
        canvas.Fill(x + width, y - 1, 1, height + 2, Ink);
    }

    // Multiples of 1, 2 or 5 times a power of ten from 0 to the end, at most about `most` of them.
    private static IEnumerable<(double Value, string Label)> Ticks(double end, int most)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(end / most)));
        double step = new[] { 1, 2, 5, 10 }.Select(m => m * power).First(s => end / s <= most + 1e-9);
        int decimals = Math.Max(0, -(int)Math.Floor(Math.Log10(step) + 1e-9));
        for (int i = 0; i * step <= end * (1 + 1e-9); i++) yield return (i * step, (i * step).ToString("F" + decimals, CultureInfo.InvariantCulture));
    }

    private static string Shorten(string text, int width)
    {
        if (text.Length > 200) text = text[..200] + "...";
        while (text.Length > 4 && Canvas.TextWidth(text) > width) text = text[..^4] + "...";
        return text;
    }
}
