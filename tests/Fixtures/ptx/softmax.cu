// Softmax of each row, one block of 256 threads a row; reductions by shuffles.
__device__ __forceinline__ float reduce(float value, bool largest)
{
    __shared__ float parts[32];
    for (int step = 16; step > 0; step >>= 1)
    {
        float other = __shfl_xor_sync(0xffffffffu, value, step);
        value = largest ? fmaxf(value, other) : value + other;
    }
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x < 32)
    {
        value = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : largest ? -INFINITY : 0.0f;
        for (int step = 16; step > 0; step >>= 1)
        {
            float other = __shfl_down_sync(0xffffffffu, value, step);
            value = largest ? fmaxf(value, other) : value + other;
        }
        if (threadIdx.x == 0) parts[0] = value;
    }
    __syncthreads();
    value = parts[0];
    __syncthreads();
    return value;
}

extern "C" __global__ void softmax(const float* x, float* y, int columns)
{
    x += (long long)blockIdx.x * columns;
    y += (long long)blockIdx.x * columns;
    float top = -INFINITY, sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, x[i]);
    top = reduce(top, true);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += expf(x[i] - top);
    sum = reduce(sum, false);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) y[i] = expf(x[i] - top) / sum;
}

extern "C" __global__ void total(const float* x, float* sum, unsigned* count, long long n)
{
    float value = 0;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) value += x[i];
    unsigned positive = __ballot_sync(0xffffffffu, value > 0);
    value = reduce(value, false);
    if (threadIdx.x == 0) atomicAdd(sum, value);
    if (threadIdx.x % 32 == 0) atomicAdd(count, __popc(positive));
}
