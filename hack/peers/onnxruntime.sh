#!/usr/bin/env bash
# onnxruntime.sh — prints the path of ONNX Runtime's shared library, from the
# npm package onnxruntime-node, fetched once into the cache and held to its digest.
set -euo pipefail
version=1.30.0
digest=ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clarity/peers/onnxruntime-$version
library=$cache/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1
if [ ! -e "$library" ]; then
  mkdir -p "$cache"
  npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund --silent "onnxruntime-node@$version" >&2
fi
echo "$digest  $library" | sha256sum --check --quiet >&2
echo "$library"
