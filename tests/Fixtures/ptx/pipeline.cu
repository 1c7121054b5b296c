#include <cuda_pipeline.h>
// Copies ahead with cp.async into dynamic shared memory, then multiplies matrices of bf16 with tensor cores: one warp, C(16 x 8) = A(16 x k) * B(8 x k) transposed.
extern __shared__ __align__(16) unsigned char tiles[];

__device__ __forceinline__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

extern "C" __global__ void __launch_bounds__(32) tensor(const unsigned short* a, const unsigned short* b, float* c, int k)
{
    float acc[4] = { 0, 0, 0, 0 };
    int lane = threadIdx.x;
    for (int step = 0; step < 2 && step * 16 < k; step++)
    {
        unsigned char* tile = tiles + (step & 1) * 768;
        __pipeline_memcpy_async(tile + lane * 16, a + (lane / 2) * k + step * 16 + (lane & 1) * 8, 16);
        if (lane < 16) __pipeline_memcpy_async(tile + 512 + lane * 16, b + (lane / 2) * k + step * 16 + (lane & 1) * 8, 16);
        __pipeline_commit();
    }
    for (int at = 0; at * 16 < k; at++)
    {
        __pipeline_wait_prior(1);
        __syncwarp();
        unsigned char* tile = tiles + (at & 1) * 768;
        unsigned fa[4], fb[2];
        unsigned pa = shared_address(tile + (lane % 16) * 32 + (lane / 16) * 16), pb = shared_address(tile + 512 + (lane % 8) * 32 + (lane / 8 % 2) * 16);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(pa));
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(fb[0]), "=r"(fb[1]) : "r"(pb));
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3]) : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
        __syncwarp();
    }
    c[(lane / 4) * 8 + lane % 4 * 2] = acc[0];
    c[(lane / 4) * 8 + lane % 4 * 2 + 1] = acc[1];
    c[(lane / 4 + 8) * 8 + lane % 4 * 2] = acc[2];
    c[(lane / 4 + 8) * 8 + lane % 4 * 2 + 1] = acc[3];
}
