{{/* Of an object of Config Connector: dict "root" $ "name" "…". */}}
{{- define "clarity.googleMetadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "clarity.labels" (dict "root" .root "component" "google") | nindent 2 }}
annotations:
  cnrm.cloud.google.com/project-id: {{ .root.Values.google.projectId }}
  cnrm.cloud.google.com/deletion-policy: {{ .root.Values.configConnector.deletionPolicy }}
{{- end -}}

{{/* What Config Connector calls something whose name at Google has dots: dict "root" $ "name" "uploads.lost". */}}
{{- define "clarity.googleName" -}}
{{ include "clarity.name" .root }}-{{ .name | replace "." "-" }}
{{- end -}}

{{/* A role of ours in the project: dict "root" $ "role" "queue". */}}
{{- define "clarity.googleRole" -}}
projects/{{ .root.Values.google.projectId }}/roles/{{ include "clarity.googleRoleID" . }}
{{- end -}}
{{- define "clarity.googleRoleID" -}}
{{ include "clarity.name" .root | replace "-" "_" }}_{{ .role }}
{{- end -}}
