using System.Text;

namespace DiffWave.Cuda;

/// <summary>Named ranges for profilers, by NVIDIA's tools extension library where it is installed.</summary>
internal sealed unsafe class Nvtx
{
    private readonly delegate* unmanaged<byte*, int> push;
    private readonly delegate* unmanaged<int> pop;

    private Nvtx(nint push, nint pop)
    {
        this.push = (delegate* unmanaged<byte*, int>)push;
        this.pop = (delegate* unmanaged<int>)pop;
    }

    /// <summary>Names of the library on this system, the usual one first.</summary>
    public static string[] Names => OperatingSystem.IsWindows() ? ["nvToolsExt64_1.dll", "nvtx3interop.dll"] : ["libnvToolsExt.so.1", "libnvtx3interop.so.1", "libnvtx3interop.so"];

    /// <summary>The library, or null where there is none: profilers then show launches without ranges.</summary>
    public static Nvtx? Open()
    {
        foreach (string name in Names)
        {
            if (NativeFunctions.Open(name) is not { } find) continue;
            (nint push, nint pop) = (find("nvtxRangePushA"), find("nvtxRangePop"));
            if (push != 0 && pop != 0) return new Nvtx(push, pop);
        }
        return null;
    }

    public void Push(string name)
    {
        int length = Encoding.UTF8.GetByteCount(name);
        Span<byte> text = length < 256 ? stackalloc byte[256] : new byte[length + 1];
        text[Encoding.UTF8.GetBytes(name, text)] = 0;
        fixed (byte* start = text) _ = push(start);
    }

    public void Pop() => _ = pop();
}
