using System.Collections.Concurrent;
using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Memory;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator;

public sealed unsafe partial class EmulatedDriver
{
    private const int MostParsed = 1000;

    // Nothing in a parsed module changes, so devices of one process share it.
    private static readonly ConcurrentDictionary<string, PtxModule> ParsedModules = new();

    private sealed class LoadedModule(PtxModule module) : IDisposable
    {
        public PtxModule Module { get; } = module;

        /// <summary>Addresses of the global and constant variables.</summary>
        public Dictionary<PtxVariable, ulong> Addresses { get; } = [];
        public Dictionary<string, nint> Functions { get; } = [];
        public List<KernelProgram> Programs { get; } = [];

        public void Dispose()
        {
            foreach (KernelProgram program in Programs) program.Dispose();
        }
    }

    private sealed class LoadedFunction(KernelProgram program)
    {
        public KernelProgram Program { get; } = program;
        public int MaxDynamicShared { get; set; } = DefaultDynamicShared - program.StaticSharedBytes;
        public bool IsUnloaded { get; set; }
    }

    /// <inheritdoc/>
    public nint LoadModule(string ptx)
    {
        PtxModule module = Parsed(ptx);
        if (module.Target > options.Sm || module.ArchitectureSpecific && module.Target != options.Sm)
            throw new CudaException("cuModuleLoadData", "CUDA_ERROR_INVALID_PTX",
                $"the module is for sm_{module.Target}{(module.ArchitectureSpecific ? "a" : "")}, the device is sm_{options.Sm}");
        var loaded = new LoadedModule(module);
        foreach (PtxVariable variable in module.Variables)
        {
            if (variable.Space is not (PtxSpace.Global or PtxSpace.Constant) || variable.Size == 0) continue;
            Allocation allocation = memory.Allocate(variable.Size, variable.Name, variable.Space == PtxSpace.Constant);
            variable.Initial?.CopyTo(new Span<byte>(allocation.Data, (int)variable.Size));
            allocation.IsInitialised = true; // the rest is zero
            loaded.Addresses.Add(variable, allocation.Address);
        }
        // Everything is translated now, so that what is beyond the emulator shows here and not at a launch.
        foreach (PtxEntry entry in module.Entries) loaded.Programs.Add(Translator.Translate(entry, module.Variables, loaded.Addresses));
        nint handle = NewHandle();
        modules.Add(handle, loaded);
        return handle;
    }

    private static PtxModule Parsed(string ptx)
    {
        if (ParsedModules.TryGetValue(ptx, out PtxModule? module)) return module;
        if (ParsedModules.Count >= MostParsed) ParsedModules.Clear();
        return ParsedModules[ptx] = PtxParser.Parse(ptx);
    }

    /// <inheritdoc/>
    public void UnloadModule(nint module)
    {
        if (!modules.Remove(module, out LoadedModule? loaded)) throw Unknown("cuModuleUnload", module);
        foreach (nint function in loaded.Functions.Values)
        {
            functions[function].IsUnloaded = true;
            functions.Remove(function);
        }
        foreach (ulong address in loaded.Addresses.Values) memory.Free(address);
        loaded.Dispose();
    }

    /// <inheritdoc/>
    public nint GetFunction(nint module, string entryName)
    {
        if (!modules.TryGetValue(module, out LoadedModule? loaded)) throw Unknown("cuModuleGetFunction", module);
        if (loaded.Functions.TryGetValue(entryName, out nint handle)) return handle;
        KernelProgram program = loaded.Programs.Find(program => program.Entry.Name == entryName)
            ?? throw new CudaException($"cuModuleGetFunction({entryName})", "CUDA_ERROR_NOT_FOUND",
                $"the module has {string.Join(", ", loaded.Programs.Select(program => program.Entry.Name))}");
        handle = NewHandle();
        loaded.Functions.Add(entryName, handle);
        functions.Add(handle, new LoadedFunction(program));
        return handle;
    }

    /// <inheritdoc/>
    public CudaFunctionAttributes GetAttributes(nint function)
    {
        KernelProgram program = Function("cuFuncGetAttribute", function).Program;
        return new CudaFunctionAttributes(program.DeclaredRegisters, program.LocalBytes, program.StaticSharedBytes, MaxThreads(program.Entry));
    }

    /// <inheritdoc/>
    public void SetMaxDynamicShared(nint function, int bytes)
    {
        LoadedFunction loaded = Function("cuFuncSetAttribute", function);
        if (bytes < 0 || bytes > Device.SharedBytesPerBlock - loaded.Program.StaticSharedBytes)
            throw new CudaException($"cuFuncSetAttribute({loaded.Program.Entry.Name}, {bytes} bytes)", "CUDA_ERROR_INVALID_VALUE",
                $"a block may have {Device.SharedBytesPerBlock} bytes, of which {loaded.Program.StaticSharedBytes} are static");
        loaded.MaxDynamicShared = bytes;
    }

    /// <summary>Blocks of a function that fit on one multiprocessor by their threads and shared memory. Registers do not count: those of PTX are not those of the device.</summary>
    public int MaxActiveBlocks(nint function, int threadsPerBlock, int dynamicSharedBytes)
    {
        KernelProgram program = Function("cuOccupancyMaxActiveBlocksPerMultiprocessor", function).Program;
        if (threadsPerBlock < 1 || threadsPerBlock > MaxThreads(program.Entry)) return 0;
        int warps = (threadsPerBlock + Warp.Lanes - 1) / Warp.Lanes, blocks = Math.Min(32, Device.ThreadsPerMultiprocessor / (warps * Warp.Lanes));
        int sharedBytes = program.StaticSharedBytes + dynamicSharedBytes;
        if (sharedBytes > Device.SharedBytesPerBlock) return 0;
        if (options.Sm >= 80) sharedBytes += 1024; // the system's share of every block
        return sharedBytes == 0 ? blocks : Math.Min(blocks, Device.SharedBytesPerMultiprocessor / sharedBytes);
    }

    /// <inheritdoc/>
    public void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false)
    {
        LoadedFunction loaded = Function("cuLaunchKernel", function);
        KernelProgram program = loaded.Program;
        PtxEntry entry = program.Entry;
        string call = $"cuLaunchKernel({entry.Name}, grid {grid}, block {block}, {dynamicSharedBytes} bytes shared)";
        void Refuse(bool isWrong, string text, string fix = "")
        {
            if (isWrong) throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", text, fix);
        }
        Refuse(grid.X < 1 || grid.Y < 1 || grid.Z < 1 || grid.Y > 65535 || grid.Z > 65535, "a grid has 1 to 2147483647 x 65535 x 65535 blocks");
        Refuse(block.X < 1 || block.Y < 1 || block.Z < 1 || block.X > 1024 || block.Y > 1024 || block.Z > 64 || block.Size > 1024, "a block has 1 to 1024 threads, at most 64 along z");
        if (entry.RequiredThreads is { } required)
            Refuse((block.X, block.Y, block.Z) != required, $"the kernel requires blocks of {new Dim3(required.X, required.Y, required.Z)} threads (.reqntid)");
        Refuse(block.Size > MaxThreads(entry), $"the kernel is for blocks of at most {MaxThreads(entry)} threads (.maxntid)");
        Refuse(dynamicSharedBytes < 0 || dynamicSharedBytes > loaded.MaxDynamicShared,
            $"the function may have {loaded.MaxDynamicShared} bytes of dynamic shared memory besides {program.StaticSharedBytes} static ones", "call SetMaxDynamicShared before");
        Refuse(early && (Device.Sm < 90 || !entry.Instructions.Any(instruction => instruction.Opcode == "griddepcontrol" && instruction.Modifiers.Contains("wait"))),
            "a launch that may begin early needs sm_90 and a kernel that waits (griddepcontrol.wait)");
        Refuse(arguments.Length != program.ParameterBytes, $"{arguments.Length} bytes of arguments for parameters of {program.ParameterBytes}");

        var launch = new KernelLaunch(program, grid, block, dynamicSharedBytes, arguments.ToArray(), memory, options) { IsEarly = early };
        StreamState queued = Stream(call, stream);
        Queue(call, stream, () =>
        {
            if (loaded.IsUnloaded) throw new CudaException(call, "CUDA_ERROR_INVALID_HANDLE", "the module has been unloaded");
            using BlockRaces? before = queued.Last;
            queued.Last = options.BlockRaces ? new BlockRaces(program, grid.Size) : null;
            if (GridExecutor.Run(launch with { Races = queued.Last, Before = before }) is { } report) reports.Add(report);
        }, orders: false);
    }

    private static int MaxThreads(PtxEntry entry) => entry.RequiredThreads is { } required ? required.X * required.Y * required.Z : Math.Min(1024, entry.MaxThreads ?? 1024);

    private LoadedFunction Function(string call, nint function) => functions.TryGetValue(function, out LoadedFunction? loaded) ? loaded : throw Unknown(call, function);

    private static CudaException Unknown(string call, nint handle) => new(call, "CUDA_ERROR_INVALID_HANDLE", $"0x{handle:x} is no handle of this device, or no longer");
}
