{{/* The prefix of every name: clarity for a release of that name. */}}
{{- define "clarity.name" -}}
{{- if .Values.nameOverride -}}{{ .Values.nameOverride }}
{{- else if contains "clarity" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-clarity" (.Release.Name | trunc 32 | trimSuffix "-") }}
{{- end -}}
{{- end -}}

{{/* Labels that select: dict "root" $ "component" "manager". */}}
{{- define "clarity.selector" -}}
app.kubernetes.io/name: clarity-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Labels of an object: dict "root" $ "component" "manager". */}}
{{- define "clarity.labels" -}}
{{ include "clarity.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels: dict "root" $ "component" "manager" "name" "…". */}}
{{- define "clarity.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "clarity.labels" . | nindent 2 }}
{{- end -}}

{{- define "clarity.image" -}}
{{ printf "%s@%s" .repository .digest }}
{{- end -}}

{{- define "clarity.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The pod's half of the restricted profile. */}}
{{- define "clarity.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The container's half. */}}
{{- define "clarity.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* A service account: dict "root" $ "component" "worker" "of" .Values.worker.serviceAccount. Whoever runs as it pulls
images with the release's secrets: pods that the operator makes have no others. */}}
{{- define "clarity.serviceAccount" -}}
{{- $google := .of.googleServiceAccount -}}
{{- if and (not $google) .root.Values.configConnector.enabled (ne .component "manager") -}}
{{- $google = printf "%s@%s.iam.gserviceaccount.com" (include "clarity.googleAccount" .) .root.Values.google.projectId -}}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "clarity.metadata" (dict "root" .root "component" .component "name" (printf "%s-%s" (include "clarity.name" .root) .component)) | nindent 2 }}
  {{- $annotations := .of.annotations }}
  {{- if $google }}{{ $annotations = merge (dict "iam.gke.io/gcp-service-account" $google) $annotations }}{{ end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
automountServiceAccountToken: false
{{- end -}}
