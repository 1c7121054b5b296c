#!/bin/sh
# Runs the model-file fuzzers at full length: 1,000,000 safetensors, 300,000 PyTorch inputs and 20,000 whole checkpoints. Usage: tools/fuzz-models.sh [SEED]
set -eu
cd "$(dirname "$0")/.."
project=tests/DiffWave.Engine.Tests/DiffWave.Engine.Tests.csproj
export DIFFWAVE_FUZZ_SEED="${1:-1}"
dotnet build "$project" -c Release
run() { # test, count
  DIFFWAVE_FUZZ_COUNT="$2" dotnet test "$project" -c Release --no-build --filter "FullyQualifiedName~ModelFileFuzzTests.$1" --logger "console;verbosity=detailed"
}
run Safetensors 1000000
run Torch_checkpoints 300000
run Whole_checkpoints 1000000
