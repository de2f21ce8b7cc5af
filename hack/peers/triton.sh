#!/usr/bin/env bash
# triton.sh — prints the folder of a Python environment with the real Triton
# server 2.51.0 (of the package nvidia-pytriton; Python backend, CPU) and ONNX
# Runtime, installed once into the cache. Needs Python 3.11 with its shared library;
# numpy stays below 2, whose arrays this server takes for empty.
set -euo pipefail
packages=(nvidia-pytriton==0.7.0 onnxruntime==1.32.0 numpy==1.26.4 protobuf==7.36.2 flatbuffers==25.12.19 packaging==26.4)
key=$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c1-16)
env=${XDG_CACHE_HOME:-$HOME/.cache}/clarity/triton/$key
if [ ! -e "$env/done" ]; then
  rm -rf "$env"
  python3.11 -m venv "$env"
  "$env/bin/pip" install --quiet --disable-pip-version-check --no-deps "${packages[@]}" >&2
  server=$env/lib/python3.11/site-packages/pytriton/tritonserver
  cp "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
  # The wheel does not mark them as programs.
  chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
  "$env/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))' >"$env/libdir"
  touch "$env/done"
fi
echo "$env"
