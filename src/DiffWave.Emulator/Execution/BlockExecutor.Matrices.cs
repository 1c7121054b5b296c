namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    // ldmatrix: lanes 8m to 8m + 7 hold the addresses of the eight rows, 16 bytes each, of matrix m; lane l receives elements 2 (l mod 4) and the next of row l / 4,
    // transposed: of column l / 4 and rows 2 (l mod 4) and the next.
    private void LoadMatrices(Warp warp, MemoryOperation access)
    {
        ResolveRows(warp, access);
        for (int matrix = 0; matrix < access.Elements; matrix++)
        {
            DataPlace place = access.Data[matrix];
            if (place.IsSink) continue;
            uint* target = (uint*)place.In(warp.Registers);
            byte** rows = pointers + 8 * matrix;
            for (int lane = 0; lane < Warp.Lanes; lane++)
            {
                int major = lane / 4, minor = lane % 4;
                target[lane] = access.IsTransposed ? ((ushort*)rows[2 * minor])[major] | (uint)((ushort*)rows[2 * minor + 1])[major] << 16 : ((uint*)rows[major])[minor];
            }
        }
    }

    private void StoreMatrices(Warp warp, MemoryOperation access)
    {
        ResolveRows(warp, access);
        for (int matrix = 0; matrix < access.Elements; matrix++)
        {
            uint* source = (uint*)access.Data[matrix].In(warp.Registers);
            byte** rows = pointers + 8 * matrix;
            for (int lane = 0; lane < Warp.Lanes; lane++)
            {
                int major = lane / 4, minor = lane % 4;
                if (!access.IsTransposed)
                {
                    ((uint*)rows[major])[minor] = source[lane];
                    continue;
                }
                ((ushort*)rows[2 * minor])[major] = (ushort)source[lane];
                ((ushort*)rows[2 * minor + 1])[major] = (ushort)(source[lane] >> 16);
            }
        }
    }

    // Each row counts as read or written by the lane that holds its address.
    private void ResolveRows(Warp warp, MemoryOperation access)
    {
        uint mask = access.Elements == 4 ? ~0u : (1u << 8 * access.Elements) - 1;
        ResolveShared(warp, access, mask, AddressShape.Scattered, access.IsWrite, 16);
        counters?.CountShared(access.Index, addresses, mask, AddressShape.Scattered, 16);
    }
}
