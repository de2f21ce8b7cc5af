{{/* Which stages run. */}}
{{- define "clarity.stages" -}}
{{- $names := list -}}
{{- range $name, $stage := .Values.dataPlane -}}
{{- if $stage.enabled }}{{ $names = append $names $name }}{{ end -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{/* Who reads which topics: the consumers of the queue, and the stage in whose process each runs. */}}
{{- define "clarity.consumers" -}}
intake: worker
analyse: worker
exports: ingress
insights: insights
feed: ingress
webhooks: ingress
wakes: ingress
{{- end -}}

{{/* The topics that somebody waits for, and who reads them: by these a stage is scaled. The history of a new
phone is not among them: it may take its time. */}}
{{- define "clarity.awaited" -}}
worker: {uploads: intake, analyses: analyse}
insights: {results: insights}
{{- end -}}

{{/* Whether a stage asks the cluster for something, which is the traffic plan of one model: the worker does, to follow
it at once. The ingress, which only shows it, has it mounted. */}}
{{- define "clarity.asksCluster" -}}
{{- if and .root.Values.trafficPlan.model (eq .stage "worker") }}true{{ end -}}
{{- end -}}

{{/* A stage's configuration file: dict "root" $ "stage" "ingress". What is said in its values wins. */}}
{{- define "clarity.stageConfig" -}}
{{- $v := .root.Values -}}
{{- $backends := fromYaml (include "clarity.backends" .root) | default dict -}}
{{- if and $v.trafficPlan.model (eq .stage "worker") -}}
{{- $_ := set $backends "model" (printf "traffic:configmap:%s/%s" .root.Release.Namespace $v.trafficPlan.model) -}}
{{- else if and $v.trafficPlan.model (eq .stage "ingress") -}}
{{- $_ := set $backends "model" "traffic:file:/etc/clarity-plan" -}}
{{- end -}}
{{- $listen := dict "admin" ":9090" -}}
{{- $stop := dict "grace" (printf "%ds" (int (get $v.dataPlane .stage).graceSeconds)) -}}
{{- $format := "json" -}}
{{- with $v.google.projectId }}{{ $format = printf "google:%s" . }}{{ end -}}
{{- $config := dict "listen" $listen "stop" $stop "log" (dict "format" $format "level" "info") -}}
{{- if $backends }}{{ $_ := set $config "backends" $backends }}{{ end -}}
{{- if eq .stage "ingress" -}}
{{- $_ := set $listen "api" ":8080" -}}
{{- /* The load balancer goes on sending for as long as it takes to hear that a pod ends. */ -}}
{{- $_ := set $stop "linger" "15s" -}}
{{- if $v.google.push.enabled }}{{ $_ := set $config "wake" (dict "every" $v.google.push.every) }}{{ end -}}
{{- if $v.gateway.enabled -}}
{{- /* Whom a request is for, the load balancer says, and behind that its own address. */ -}}
{{- $proxies := $v.networkPolicies.clients.cidrs -}}
{{- with $v.gateway.address.ip }}{{ $proxies = append $proxies . }}{{ end -}}
{{- $_ := set $config "ingress" (dict "trustedProxies" $proxies) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config (deepCopy (get $v.dataPlane .stage).config)) -}}
{{- end -}}
