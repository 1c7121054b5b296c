using System.Runtime.InteropServices;

namespace DiffWave.Audio;

/// <summary>FLAC, Ogg Vorbis, Opus, MP3, AIFF and whatever else the installed libsndfile reads. The library is optional and looked for at the first use.</summary>
public static unsafe class SoundFile
{
    // SF_INFO of sndfile.h.
    [StructLayout(LayoutKind.Sequential)]
    private struct Info
    {
        public long Frames;
        public int SampleRate, Channels, Format, Sections, Seekable;
    }

    private sealed record Library(nint Open, nint OpenWide, nint ReadFloat, nint Close, nint Error, nint ErrorText);

    private static readonly string[] Names = OperatingSystem.IsWindows() ? ["sndfile.dll", "libsndfile-1.dll"]
        : OperatingSystem.IsMacOS() ? ["libsndfile.1.dylib", "libsndfile.dylib", "/opt/homebrew/lib/libsndfile.1.dylib", "/usr/local/lib/libsndfile.1.dylib"]
        : ["libsndfile.so.1"];

    private static readonly Lazy<Library?> Loaded = new(() =>
    {
        foreach (string name in Names)
            if (NativeLibrary.TryLoad(name, out nint handle))
                return new Library(
                    NativeLibrary.GetExport(handle, "sf_open"),
                    NativeLibrary.TryGetExport(handle, "sf_wchar_open", out nint wide) ? wide : 0,
                    NativeLibrary.GetExport(handle, "sf_readf_float"),
                    NativeLibrary.GetExport(handle, "sf_close"),
                    NativeLibrary.GetExport(handle, "sf_error"),
                    NativeLibrary.GetExport(handle, "sf_strerror"));
        return null;
    });

    /// <summary>Whether libsndfile is installed.</summary>
    public static bool IsAvailable => Loaded.Value is not null;

    /// <summary>Decodes a file and mixes it down to one channel.</summary>
    /// <param name="path">The file.</param>
    /// <param name="mix">How several channels become one.</param>
    /// <exception cref="InputFileException">libsndfile is missing (the message names the package), or it cannot read the file.</exception>
    public static AudioClip Read(string path, ChannelMix mix = ChannelMix.Average)
    {
        long fileBytes;
        using (FileStream file = InputFile.Open(path)) fileBytes = file.CanSeek ? file.Length : throw new InputFileException(path, "a pipe can only carry WAV");
        if (Loaded.Value is not { } library)
            throw new InputFileException(path, $"not a WAV file, and libsndfile, which reads other formats, is not installed ({Names[0]}): apt-get install libsndfile1, or convert the file to WAV");

        Info info = default;
        nint handle = Open(library, path, &info);
        if (handle == 0) throw new InputFileException(path, $"libsndfile cannot read it: {ErrorText(library, 0)}");
        try
        {
            if (AudioLimits.Problem(info.SampleRate, info.Channels) is { } problem) throw new InputFileException(path, problem);
            // The announced length is not trusted: what is decoded counts. The densest of these formats, silence apart, stay far below 2000 samples a byte.
            long most = Math.Min(Array.MaxLength, 2000 * fileBytes + (16 << 20));
            var mono = new MonoBuffer(info.Channels, mix, 0);
            float[] block = new float[4096 * info.Channels];
            var readFloat = (delegate* unmanaged<nint, float*, long, long>)library.ReadFloat;
            while (true)
            {
                long frames;
                fixed (float* target = block) frames = readFloat(handle, target, 4096);
                if (frames <= 0) break;
                Span<float> samples = block.AsSpan(0, (int)frames * info.Channels);
                foreach (float sample in samples)
                    if (!float.IsFinite(sample)) throw new InputFileException(path, $"a sample near {mono.Count} is not a finite number");
                if (mono.Count + frames > most || !mono.Append(samples)) throw new InputFileException(path, $"decodes to more than {most} samples a channel; split the file");
            }
            if (((delegate* unmanaged<nint, int>)library.Error)(handle) != 0) throw new InputFileException(path, $"libsndfile cannot read all of it: {ErrorText(library, handle)}");
            if (mono.Count < info.Frames && info.Frames < long.MaxValue) // an unknown length is announced as the largest number
                throw new InputFileException(path, $"truncated: {mono.Count} samples a channel, {info.Frames} announced; copy or record the file again");
            return new AudioClip(mono.ToArray(), info.SampleRate, info.Channels);
        }
        finally
        {
            _ = ((delegate* unmanaged<nint, int>)library.Close)(handle);
        }
    }

    private static nint Open(Library library, string path, Info* info)
    {
        const int read = 0x10;
        if (OperatingSystem.IsWindows() && library.OpenWide != 0)
            fixed (char* wide = path) return ((delegate* unmanaged<char*, int, Info*, nint>)library.OpenWide)(wide, read, info);
        nint narrow = Marshal.StringToCoTaskMemUTF8(path);
        try { return ((delegate* unmanaged<nint, int, Info*, nint>)library.Open)(narrow, read, info); }
        finally { Marshal.FreeCoTaskMem(narrow); }
    }

    private static string ErrorText(Library library, nint handle) =>
        Marshal.PtrToStringUTF8(((delegate* unmanaged<nint, nint>)library.ErrorText)(handle))?.TrimEnd('.', '\n') ?? "unknown error";
}
