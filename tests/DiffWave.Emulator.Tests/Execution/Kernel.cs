using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Reports;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>A kernel written in a test, on a device of its own.</summary>
internal sealed class Kernel : IDisposable
{
    private readonly nint function;

    /// <param name="body">Statements of the entry; the module gives it registers %p0-15, %r0-63, %f0-31, %rd0-31, %h0-7 and %d0-7.</param>
    /// <param name="parameters">Types of the parameters p0, p1, ...</param>
    /// <param name="module">Module variables.</param>
    /// <param name="options">Choices of the device.</param>
    /// <param name="directives">Such as .reqntid.</param>
    public Kernel(string body, string[] parameters, string module = "", EmulatorOptions? options = null, string directives = "")
    {
        Driver = new EmulatedDriver(options ?? new EmulatorOptions { Threads = 1, MemoryBytes = 1 << 26 });
        string list = string.Join(", ", parameters.Select((type, index) => $".param .{type} p{index}"));
        Ptx = $$"""
            .version 7.8
            .target sm_80
            .address_size 64
            .file 1 "Kernel.cs"
            {{module}}
            .visible .entry k({{list}}) {{directives}}
            {
            .reg .pred %p<16>;
            .reg .b32 %r<64>;
            .reg .f32 %f<32>;
            .reg .b64 %rd<32>;
            .reg .b16 %h<8>;
            .reg .f64 %d<8>;
            {{body}}
            }
            """;
        Module = Driver.LoadModule(Ptx);
        function = Driver.GetFunction(Module, "k");
    }

    public EmulatedDriver Driver { get; }

    public string Ptx { get; }

    public nint Module { get; }

    public nint Function => function;

    public LaunchReport Report => Driver.Reports[^1];

    /// <summary>Launches with 8-byte arguments for ulong and long, 4-byte ones for int, uint and float.</summary>
    public void Launch(Dim3 grid, Dim3 block, int dynamicShared, params object[] arguments) => Driver.Launch(function, grid, block, dynamicShared, 0, Pack(arguments));

    public static byte[] Pack(params object[] arguments)
    {
        var bytes = new List<byte>();
        foreach (object argument in arguments)
        {
            byte[] part = argument switch
            {
                int value => BitConverter.GetBytes(value),
                uint value => BitConverter.GetBytes(value),
                float value => BitConverter.GetBytes(value),
                long value => BitConverter.GetBytes(value),
                ulong value => BitConverter.GetBytes(value),
                _ => throw new ArgumentException($"{argument}"),
            };
            while (bytes.Count % part.Length != 0) bytes.Add(0);
            bytes.AddRange(part);
        }
        return [.. bytes];
    }

    public Finding FindingOf(Dim3 grid, Dim3 block, int dynamicShared, params object[] arguments) =>
        Assert.Throws<EmulatorException>(() => Launch(grid, block, dynamicShared, arguments)).Finding;

    public ulong Upload<T>(params T[] values) where T : unmanaged
    {
        ulong address = Driver.Allocate(Math.Max(1, values.Length * Marshal.SizeOf<T>()));
        Driver.CopyToDevice(address, MemoryMarshal.AsBytes<T>(values));
        return address;
    }

    public T[] Download<T>(ulong address, int count) where T : unmanaged
    {
        var values = new T[count];
        Driver.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), address);
        return values;
    }

    public void Dispose() => Driver.Dispose();
}
