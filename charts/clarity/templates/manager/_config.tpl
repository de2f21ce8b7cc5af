{{/* The operator's configuration file, as a value. What the chart decides wins. */}}
{{- define "clarity.config" -}}
{{- $name := include "clarity.name" . -}}
{{- $models := deepCopy .Values.modelVersions -}}
{{- $network := $models.network | default dict -}}
{{- if not $network.clients -}}
{{- $clients := list (dict "podSelector" (dict "matchExpressions" (list (dict "key" "clarityloop.dev/component" "operator" "In" "values" (list "shard" "validate"))))) -}}
{{- if .Values.dataPlane.worker.enabled -}}
{{- $clients = append $clients (dict "podSelector" (dict "matchLabels" (fromYaml (include "clarity.selector" (dict "root" . "component" "worker"))))) -}}
{{- end -}}
{{- $network = set $network "clients" $clients -}}
{{- end -}}
{{- if not $network.observers -}}
{{- $network = set $network "observers" (list
  (dict "podSelector" (dict "matchLabels" (fromYaml (include "clarity.selector" (dict "root" . "component" "manager")))))
  (fromYaml (include "clarity.monitoringPeer" .))) -}}
{{- end -}}
{{- if not $network.egress -}}
{{- /* A server runs other people's code over a model's file: it reaches the models' store, and names. */ -}}
{{- $network = set $network "egress" (concat (fromYamlArray (include "clarity.storeEgress" .)) (fromYamlArray (include "clarity.dnsEgress" .))) -}}
{{- end -}}
{{- $_ := set $models "network" $network -}}
{{- $_ := set $models "serviceAccount" (printf "%s-models" $name) -}}
{{- $_ := set $models "configMap" (printf "%s-models" $name) -}}
{{- $config := dict
  "namespace" .Release.Namespace
  "worker" (dict
    "image" (include "clarity.image" .Values.worker.image)
    "serviceAccount" (printf "%s-worker" $name)
    "configMap" (printf "%s-worker" $name)
    "resources" .Values.worker.resources)
  "analysisJobs" .Values.analysisJobs
  "modelVersions" $models
  "metrics" (dict "address" ":8443")
  "health" (dict "address" ":8081")
  "leaderElection" (merge (dict "enabled" true) .Values.manager.leaderElection)
  "concurrency" .Values.manager.concurrency
  "logLevel" .Values.manager.logLevel -}}
{{- if .Values.manager.pprof }}{{ $_ := set $config "pprof" (dict "address" "127.0.0.1:6060") }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Pods of the namespaces that monitor. */}}
{{- define "clarity.monitoringPeer" -}}
namespaceSelector:
  matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson .Values.networkPolicies.monitoring.namespaces }}}
{{- end -}}
