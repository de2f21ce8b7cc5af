#!/usr/bin/env bash
# codegen.sh — writes what is generated from api/ and controllers/: deep copies,
# apply configurations, CRDs and roles.
set -euo pipefail
cd "$(dirname "$0")/.."
gen=$(hack/tools/tool controller-gen)
"$gen" object applyconfiguration:headerFile=/dev/null paths=./api/... 2>&1
"$gen" crd paths=./api/... output:crd:dir=config/crd
for controller in analysisjob modelversion; do
  [ -d "controllers/$controller" ] || continue
  "$gen" rbac:roleName="clarity-$controller",fileName="${controller}_role.yaml" paths="./controllers/$controller" output:rbac:dir=config/rbac
done
