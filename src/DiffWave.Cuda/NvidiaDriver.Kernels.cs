using System.Text;

namespace DiffWave.Cuda;

/// <content>Modules, functions and launches.</content>
public sealed unsafe partial class NvidiaDriver
{
    private const int LogBytes = 1 << 16;

    // CUjit_option: the logs and their sizes, verbose logs, lines for profilers.
    private const int InfoLog = 3, InfoLogSize = 4, ErrorLog = 5, ErrorLogSize = 6, VerboseLog = 12, LineInfo = 13;

    // CUjitInputType.
    private const int InputPtx = 1;

    private readonly CubinCache? cubins = CubinCache.Open();

    /// <summary>
    /// Loads PTX, by the cubin of an earlier run where one is kept: under DIFFWAVE_CUBIN_CACHE, or else in the user's folder for caches (diffwave/cubin); <c>off</c> keeps none. The exception
    /// holds the compiler's log.
    /// </summary>
    public nint LoadModule(string ptx)
    {
        Use();
        if (cubins is not null)
        {
            string key = CubinCache.Key(ptx, api.Version, Device.Sm);
            if (cubins.Read(key) is { } kept && LoadCubin(kept) is { } module) return module;
            if (CompileToCubin(ptx) is { } compiled && LoadCubin(compiled) is { } fresh)
            {
                cubins.Write(key, compiled);
                return fresh;
            }
        }
        return LoadText(ptx);
    }

    // Null when the driver does not take it, whatever the reason: the text is tried then, and tells.
    private nint? LoadCubin(byte[] cubin)
    {
        nint module = 0;
        fixed (byte* image = cubin) return api.ModuleLoadDataEx(&module, image, 0, null, null) == 0 ? module : null;
    }

    private byte[]? CompileToCubin(string ptx)
    {
        int option = LineInfo;
        nint yes = 1, link = 0;
        if (api.LinkCreate(1, &option, &yes, &link) != 0) return null;
        byte[] text = Terminated(ptx);
        byte[]? cubin = null;
        byte* image = null;
        nuint bytes = 0;
        fixed (byte* start = text)
        {
            if (api.LinkAddData(link, InputPtx, start, (nuint)text.Length, null, 0, null, null) == 0 && api.LinkComplete(link, &image, &bytes) == 0)
                cubin = new ReadOnlySpan<byte>(image, checked((int)bytes)).ToArray();
        }
        _ = api.LinkDestroy(link); // the image is the link's
        return cubin;
    }

    private nint LoadText(string ptx)
    {
        byte[] text = Terminated(ptx), info = new byte[LogBytes], errors = new byte[LogBytes];
        nint module = 0;
        fixed (byte* image = text, infoLog = info, errorLog = errors)
        {
            int* options = stackalloc int[] { InfoLog, InfoLogSize, ErrorLog, ErrorLogSize, VerboseLog, LineInfo };
            // The driver reads the sizes and writes how much it filled in their place.
            nint* values = stackalloc nint[] { (nint)infoLog, LogBytes, (nint)errorLog, LogBytes, 1, 1 };
            int result = api.ModuleLoadDataEx(&module, image, 6, options, values);
            string log = result == 0 ? "" : string.Join('\n', new[] { Log(errors), Log(info) }.Where(part => part.Length > 0));
            api.Check(result, $"cuModuleLoadDataEx({ptx.Length} characters of PTX, {Version(ptx)})", log);
        }
        return module;
    }

    /// <inheritdoc/>
    public void UnloadModule(nint module)
    {
        UseToRelease();
        api.Check(api.ModuleUnload(module), $"cuModuleUnload");
    }

    /// <inheritdoc/>
    public nint GetFunction(nint module, string entryName)
    {
        Use();
        nint function = 0;
        fixed (byte* name = Terminated(entryName)) api.Check(api.ModuleGetFunction(&function, module, name), $"cuModuleGetFunction({entryName})");
        return function;
    }

    /// <inheritdoc/>
    public CudaFunctionAttributes GetAttributes(nint function)
    {
        Use();
        int Attribute(int number)
        {
            int value = 0;
            api.Check(api.FuncGetAttribute(&value, number, function), $"cuFuncGetAttribute({number})");
            return value;
        }
        // Numbers of CUfunction_attribute.
        return new CudaFunctionAttributes(Registers: Attribute(4), LocalBytes: Attribute(3), StaticSharedBytes: Attribute(1), MaxThreadsPerBlock: Attribute(0));
    }

    /// <inheritdoc/>
    public void SetMaxDynamicShared(nint function, int bytes)
    {
        Use();
        api.Check(api.FuncSetAttribute(function, 8, bytes),
            $"cuFuncSetAttribute(dynamic shared memory of {bytes} bytes; a block of {Device.Name} may have {Device.SharedBytesPerBlock} in all)");
    }

    /// <inheritdoc/>
    public int MaxActiveBlocks(nint function, int threadsPerBlock, int dynamicSharedBytes)
    {
        Use();
        int blocks = 0;
        api.Check(api.OccupancyMaxActiveBlocks(&blocks, function, threadsPerBlock, (nuint)dynamicSharedBytes),
            $"cuOccupancyMaxActiveBlocksPerMultiprocessor({threadsPerBlock} threads, {dynamicSharedBytes} bytes of dynamic shared memory)");
        return blocks;
    }

    private const int RecordsEarlyLaunches = 12030; // drivers before CUDA 12.3 cannot record them

    /// <inheritdoc/>
    public void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false)
    {
        Use();
        nuint size = (nuint)arguments.Length;
        fixed (byte* packed = arguments)
        {
            // A list of what follows: 1 the packed parameters, 2 their size, 0 the end.
            void** extra = stackalloc void*[] { (void*)1, packed, (void*)2, &size, (void*)0 };
            if (early && api.Version >= RecordsEarlyLaunches)
            {
                var attribute = new NvidiaLibrary.LaunchAttribute { Id = NvidiaLibrary.LaunchAttribute.ProgrammaticStreamSerialization, Value = 1 };
                var config = new NvidiaLibrary.LaunchConfig
                {
                    GridX = (uint)grid.X, GridY = (uint)grid.Y, GridZ = (uint)grid.Z, BlockX = (uint)block.X, BlockY = (uint)block.Y, BlockZ = (uint)block.Z, SharedBytes = (uint)dynamicSharedBytes,
                    Stream = stream, Attributes = &attribute, AttributeCount = 1,
                };
                api.Check(api.LaunchKernelEx(&config, function, null, arguments.IsEmpty ? null : extra),
                    $"cuLaunchKernelEx(grid {grid}, block {block}, {dynamicSharedBytes} bytes of dynamic shared memory, {arguments.Length} bytes of arguments, may begin early)");
                return;
            }
            int result = api.LaunchKernel(function, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)block.X, (uint)block.Y, (uint)block.Z, (uint)dynamicSharedBytes, stream, null,
                arguments.IsEmpty ? null : extra);
            api.Check(result, $"cuLaunchKernel(grid {grid}, block {block}, {dynamicSharedBytes} bytes of dynamic shared memory, {arguments.Length} bytes of arguments)");
        }
    }

    private static byte[] Terminated(string text)
    {
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }

    private static string Log(ReadOnlySpan<byte> buffer)
    {
        int end = buffer.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? buffer : buffer[..end]).Trim();
    }

    // The two lines that decide whether a driver can take a text at all.
    private static string Version(string ptx)
    {
        static bool Tells(string line) => line.StartsWith(".version", StringComparison.Ordinal) || line.StartsWith(".target", StringComparison.Ordinal);
        return string.Join(' ', ptx.Split('\n').Select(line => line.Trim()).Where(Tells).Take(2));
    }
}
