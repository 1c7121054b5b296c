#include <cuda_fp16.h>
#include <cuda_bf16.h>
// Arithmetic in packed halves and bf16.
extern "C" __global__ void half_axpy(const __half2* x, __half2* y, float a, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    __half2 scale = __float2half2_rn(a);
    __half2 v = __hfma2(scale, x[i], y[i]);
    v = __hmax2(v, __float2half2_rn(0.0f));
    y[i] = __hadd2(v, h2exp2(v));
}

extern "C" __global__ void bfloat_scale(const __nv_bfloat16* x, __nv_bfloat16* y, float a, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = __float2bfloat16_rn(__bfloat162float(x[i]) * a);
}

extern "C" __global__ void half_dot(const __half* x, const __half* w, float* y, int n)
{
    float sum = 0;
    for (int i = threadIdx.x; i < n; i += 32) sum += __half2float(x[i]) * __half2float(w[i]);
    for (int step = 16; step > 0; step >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (threadIdx.x == 0) *y = sum;
}
