#!/usr/bin/env bash
# codegen.sh — writes what is generated from api/ and controllers/: deep copies,
# apply configurations, CRDs, roles and the page of the API; alerts and dashboards,
# of hack/signals; and copies into the chart what it shares with config/.
set -euo pipefail
cd "$(dirname "$0")/.."
gen=$(hack/tools/tool controller-gen)
rm -rf api/v1alpha1/applyconfiguration
"$gen" object applyconfiguration:headerFile=/dev/null paths=./api/v1alpha1 2>&1
"$gen" crd paths=./api/v1alpha1 output:crd:dir=config/crd
for controller in analysisjob modelversion; do
  compgen -G "controllers/$controller/*.go" >/dev/null || continue
  "$gen" rbac:roleName="clarity-$controller",fileName="${controller}_role.yaml" paths="./controllers/$controller" output:rbac:dir=config/rbac
done

# The page of the API.
page=docs/api/clarityloop.dev_v1alpha1.md
"$(hack/tools/tool crd-ref-docs)" --config hack/crd-ref-docs.yaml --source-path api/v1alpha1 --max-depth 12 \
  --renderer markdown --templates-dir hack/crd-ref-docs --output-path "$page" --log-level ERROR

# Alerts of the service levels, and dashboards.
go run ./hack/signals

# What the chart shares with config/. Roles keep their rules; the chart gives them the release's names.
files=charts/clarity/files
rm -rf "$files" && mkdir -p "$files/crd" "$files/rbac" "$files/alerts" "$files/samples"
cp config/crd/clarityloop.dev_*.yaml "$files/crd/"
cp config/rbac/*_role.yaml "$files/rbac/"
cp config/samples/modelversion.yaml config/samples/analysisjob.yaml "$files/samples/"
if compgen -G "config/alerts/*.yaml" >/dev/null; then cp config/alerts/*.yaml "$files/alerts/"; fi
mkdir -p "$files/google"
cp -r config/dashboards "$files/"
(cd config && find pubsub gcs firestore -name '*.json' -exec cp --parents -t "../$files/google" {} +)
