#!/usr/bin/env bash
# Feeds mutated WAV, NPY and mel files to the readers: 300,000 inputs, or as many as the first argument says.
set -euo pipefail
cd "$(dirname "$0")/.."
DIFFWAVE_FUZZ_COUNT="${1:-300000}" dotnet test tests/DiffWave.Audio.Tests -c Release --filter "FullyQualifiedName~FuzzTests" --logger "console;verbosity=detailed"
