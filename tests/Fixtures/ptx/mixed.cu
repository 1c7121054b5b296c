// A switch, integer division of every width, double precision, a struct parameter, constants, local arrays.
struct Plan { long long stride; float scale; int kind; double bias[2]; };

__constant__ float table[8] = { 1, 2, 4, 8, 0.5f, 0.25f, -1, 3 };
__device__ int counters[4] = { 7, 8, 9, 10 };

extern "C" __global__ void mixed(Plan plan, const double* x, double* y, unsigned long long n)
{
    unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;
    if (i >= n) return;
    double v = x[i % plan.stride];
    switch (plan.kind)
    {
        case 0: v = v * plan.scale; break;
        case 1: v = v / plan.bias[0] + plan.bias[1]; break;
        case 2: v = sqrt(v) + table[i & 7]; break;
        case 3: v = (double)((long long)i / plan.stride); break;
        case 4: v = fma(v, v, (double)(i / 7)); break;
        case 5: v = rint(v) + floor(v); break;
        default: v = -v; break;
    }
    y[i] = v;
}

extern "C" __global__ void histogram(const unsigned char* text, unsigned* out, int n)
{
    __shared__ unsigned bins[256];
    unsigned local[8];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) bins[i] = 0;
    __syncthreads();
    for (int i = 0; i < 8; i++) local[i] = i;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
    {
        atomicAdd(&bins[text[i]], 1u);
        local[text[i] & 7]++;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) out[i] = bins[i] + local[i & 7] + atomicMax(&counters[i & 3], i);
}
