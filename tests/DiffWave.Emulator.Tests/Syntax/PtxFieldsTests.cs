using System.Buffers.Binary;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Syntax;

public class PtxFieldsTests
{
    [Fact]
    public void The_header_is_read()
    {
        var module = PtxParser.Parse(".version 8.0\n.target sm_90a\n.address_size 64\n.entry k() { ret; }");
        Assert.Equal((80, 90, true), (module.Version, module.Target, module.ArchitectureSpecific));
    }

    [Fact]
    public void Parameters_are_packed_by_their_alignment()
    {
        var entry = Entry(".entry k(.param .u8 a, .param .u64 .ptr .global .align 16 b, .param .f32 c, .param .align 16 .b8 d[20], .param .u16 e) { ret; }");
        Assert.Equal([("a", 0L, 1L, 1), ("b", 8, 8, 8), ("c", 16, 4, 4), ("d", 32, 20, 16), ("e", 52, 2, 2)], entry.Parameters.Select(p => (p.Name, p.Offset, p.Size, p.Alignment)));
        Assert.All(entry.Parameters, parameter => Assert.Equal(PtxSpace.Parameter, parameter.Space));
    }

    [Fact]
    public void Variables_are_laid_out_in_order()
    {
        var module = PtxParser.Parse(PtxText.Module(".extern .shared .align 128 .b8 dynamic[];\n.shared .u8 a;\n.shared .f64 b[2];\n.shared .align 2 .u32 c;\n.global .f32 g[2][3];\n"
            + ".entry k() { .shared .align 16 .b8 s[5]; .local .align 8 .b8 l[24]; .shared .u16 t; ret; }"));
        Assert.Equal([("dynamic", 0L, 0L, 128), ("a", 0, 1, 1), ("b", 8, 16, 8), ("c", 24, 4, 2), ("g", 0, 24, 4)], module.Variables.Select(v => (v.Name, v.Offset, v.Size, v.Alignment)));
        Assert.True(module.Variables[0].IsExtern);
        Assert.Equal([("s", PtxSpace.Shared, 0L, 5L), ("l", PtxSpace.Local, 0, 24), ("t", PtxSpace.Shared, 6, 2)], module.Entries[0].Variables.Select(v => (v.Name, v.Space, v.Offset, v.Size)));
    }

    [Fact]
    public void Initial_values_are_bytes_in_memory_order()
    {
        var variables = PtxParser.Parse(PtxText.Module(".const .f32 f[3] = {1.5, 0fC0000000};\n.global .align 4 .b8 b[] = {1, 0xff, 3};\n.global .s64 n = -2;\n.const .f64 d[1][2] = {{0.1, -2.5}};\n.global .u32 none;")).Variables;
        float[] floats = [1.5f, -2f, 0f];
        Assert.Equal(floats.SelectMany(BitConverter.GetBytes), variables[0].Initial!);
        Assert.Equal([1, 0xff, 3], variables[1].Initial!);
        Assert.Equal(-2, BinaryPrimitives.ReadInt64LittleEndian(variables[2].Initial));
        Assert.Equal(BitConverter.GetBytes(0.1).Concat(BitConverter.GetBytes(-2.5)), variables[3].Initial!);
        Assert.Null(variables[4].Initial);
    }

    [Fact]
    public void Launch_bounds_are_read()
    {
        var entry = Entry(".entry k() .maxntid 32, 4, 2 .minnctapersm 3 .maxnreg 64 { ret; }");
        Assert.Equal((256, 3, 64), (entry.MaxThreads, entry.MinBlocks, entry.MaxRegisters));
        Assert.Null(entry.RequiredThreads);
        Assert.Equal((16, 8, 1), Entry(".entry k() .reqntid 16, 8 { ret; }").RequiredThreads);
    }

    [Fact]
    public void An_instruction_keeps_its_parts()
    {
        var instruction = Instruction(".reg .pred %p<3>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\n@!%p2  mad.wide.s32\t%rd1, %r3, -5,\n %rd2;", out var entry);
        Assert.Equal("mad", instruction.Opcode);
        Assert.Equal(["wide", "s32"], instruction.Modifiers);
        Assert.Equal([PtxType.S32], instruction.Types);
        Assert.Equal(("%p2", true), (instruction.Guard?.Name, instruction.GuardNegated));
        Assert.Equal(6, instruction.Line);
        Assert.Equal("@!%p2 mad.wide.s32 %rd1, %r3, -5, %rd2", instruction.Text);
        Assert.Equal(["%p2", "%rd1", "%r3", "%rd2"], entry.Registers.Select(register => register.Name));
        Assert.Equal([0, 1, 2, 3], entry.Registers.Select(register => register.Index));
        Assert.Equal(new ImmediateOperand(unchecked((ulong)-5L), false), instruction.Operands[2]);
        Assert.Equal(new RegisterOperand(entry.Registers[3]), instruction.Operands[3]);
    }

    [Theory]
    [InlineData("add.f32 %f1, %f1, 0.1;", 0x3DCCCCCDul, true)]
    [InlineData("add.f32 %f1, %f1, -1.5;", 0xBFC00000ul, true)]
    [InlineData("add.f32 %f1, %f1, 0f7FA00001;", 0x7FA00001ul, true)]
    [InlineData("add.f64 %fd1, %fd1, 0f3F800000;", 0x3FF0000000000000ul, true)]
    [InlineData("add.f64 %fd1, %fd1, 0d7FF0000000000000;", 0x7FF0000000000000ul, true)]
    [InlineData("and.b32 %r1, %r1, 0f3F800000;", 0x3F800000ul, true)]
    [InlineData("add.u32 %r1, %r1, 0xFFFFFFFF;", 0xFFFFFFFFFFFFFFFFul, false)]
    [InlineData("add.u16 %rs1, %rs1, 65535;", 0xFFFFFFFFFFFFFFFFul, false)]
    [InlineData("add.s64 %rd1, %rd1, 0x8000000000000000;", 0x8000000000000000ul, false)]
    [InlineData("add.s32 %r1, %r1, 017;", 15ul, false)]
    [InlineData("add.s32 %r1, %r1, 0b1011;", 11ul, false)]
    [InlineData("add.s32 %r1, %r1, 42U;", 42ul, false)]
    public void Constants_have_the_operands_type(string line, ulong bits, bool isFloat)
        => Assert.Equal(new ImmediateOperand(bits, isFloat), Instruction(".reg .b16 %rs<2>; .reg .b32 %r<2>; .reg .b64 %rd<2>; .reg .f32 %f<2>; .reg .f64 %fd<2>;" + line, out _).Operands[2]);

    [Fact]
    public void Addresses_and_vectors_are_resolved()
    {
        var entry = Entry(".entry k(.param .u64 a) { .reg .b64 %rd<3>; .reg .f32 %f<5>; .shared .align 16 .b8 tile[64];\nld.param.u64 %rd1, [a];\nld.global.v2.f32 {%f1, _}, [%rd1+-8];\n"
            + "st.shared.v4.f32 [tile+16], {%f1, %f1, 0f00000000, %f1};\nmov.u64 %rd2, tile+4;\nmov.u64 %rd2, %clock64;\nld.shared.f32 %f2, [32]; }");
        var (f1, rd1) = (Register(entry, "%f1"), Register(entry, "%rd1"));
        Assert.Equal(new AddressOperand(null, entry.Parameters[0], 0), entry.Instructions[0].Operands[1]);
        Assert.Equal([new RegisterOperand(f1), new SinkOperand()], ((VectorOperand)entry.Instructions[1].Operands[0]).Elements);
        Assert.Equal(new AddressOperand(rd1, null, -8), entry.Instructions[1].Operands[1]);
        Assert.Equal(new AddressOperand(null, entry.Variables[0], 16), entry.Instructions[2].Operands[0]);
        Assert.Equal([new RegisterOperand(f1), new RegisterOperand(f1), new ImmediateOperand(0, true), new RegisterOperand(f1)], ((VectorOperand)entry.Instructions[2].Operands[1]).Elements);
        Assert.Equal(new VariableOperand(entry.Variables[0], 4), entry.Instructions[3].Operands[1]);
        Assert.Equal(new SpecialOperand("%clock64"), entry.Instructions[4].Operands[1]);
        Assert.Equal(new AddressOperand(null, null, 32), entry.Instructions[5].Operands[1]);
    }

    [Fact]
    public void Pairs_and_negated_predicates_are_resolved()
    {
        var entry = Entry(".entry k() { .reg .pred %p<4>; .reg .b32 %r<4>;\nsetp.lt.and.s32 %p1|%p2, %r1, 0, !%p3;\nshfl.sync.bfly.b32 %r2|%p1, %r1, 1, 31, -1;\nsetp.eq.b32 _|%p1, %r1, %r2; }");
        Assert.Equal(new PredicatePairOperand(Register(entry, "%p1"), Register(entry, "%p2")), entry.Instructions[0].Operands[0]);
        Assert.Equal(new RegisterOperand(Register(entry, "%p3"), Negated: true), entry.Instructions[0].Operands[3]);
        Assert.Equal(new PredicatePairOperand(Register(entry, "%r2"), Register(entry, "%p1")), entry.Instructions[1].Operands[0]);
        Assert.Equal(new PredicatePairOperand(null, Register(entry, "%p1")), entry.Instructions[2].Operands[0]);
    }

    [Fact]
    public void Labels_become_indexes_within_their_scope()
    {
        var entry = Entry(".entry k() { .reg .pred %p<2>;\nL: bra L;\n{ L: @%p1 bra L; bra End; }\nbra L; End: }");
        Assert.Equal([0, 1, 4, 0], entry.Instructions.Select(instruction => ((LabelOperand)instruction.Operands[0]).Target));
    }

    [Fact]
    public void Registers_of_inner_scopes_are_others()
    {
        var entry = Entry(".entry k() { .reg .b32 %r<2>; mov.b32 %r1, 1; { .reg .b16 %r<2>; mov.b16 %r1, 2; } mov.b32 %r1, 3; }");
        Assert.Equal([("%r1", PtxType.B32), ("%r1", PtxType.B16)], entry.Registers.Select(register => (register.Name, register.Type)));
        Assert.Equal([0, 1, 0], entry.Instructions.Select(instruction => ((RegisterOperand)instruction.Operands[0]).Register.Index));
    }

    [Fact]
    public void Source_lines_follow_loc()
    {
        var entry = Entry(".entry k() {\nret;\n.loc 2 17 9\nret;\nret;\n.loc 1 3 0, function_name $L_name, inlined_at 2 17 9\nret; }\n.file 1 \"a.cs\"\n.file 2 \"b.cs\", 12, 34");
        Assert.Equal(["no source line", "b.cs:17", "b.cs:17", "a.cs:3"], entry.Instructions.Select(instruction => instruction.Source.ToString()));
    }

    [Fact]
    public void Lines_of_nvccs_kernel_are_those_of_its_source()
    {
        string[] source = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Fixtures", "ptx", "matmul.cu"));
        var entry = PtxParser.Parse(PtxText.Fixture("matmul.ptx")).Entries[0];
        Assert.Equal((256, 2, (PtxType.U64, 24L)), (entry.MaxThreads, entry.MinBlocks, (entry.Parameters[0].Type, entry.Parameters[3].Offset)));
        Assert.All(entry.Instructions.Where(instruction => instruction.Opcode == "bar"), barrier => Assert.Contains("__syncthreads", source[barrier.Source.Line - 1]));
        Assert.All(entry.Instructions.Where(instruction => instruction.Opcode == "fma"), fma => Assert.Contains("sum +=", source[fma.Source.Line - 1]));
        Assert.Equal(16, entry.Instructions.Count(instruction => instruction.Opcode == "fma"));
    }

    private static PtxEntry Entry(string text) => PtxParser.Parse(PtxText.Module(text)).Entries[0];

    private static PtxRegister Register(PtxEntry entry, string name) => entry.Registers.Single(register => register.Name == name);

    private static PtxInstruction Instruction(string body, out PtxEntry entry)
    {
        entry = PtxParser.Parse(PtxText.Kernel(body)).Entries[0];
        return entry.Instructions[0];
    }
}
