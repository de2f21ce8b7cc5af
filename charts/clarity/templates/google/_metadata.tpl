{{- define "clarity.googleMetadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "clarity.labels" (dict "root" .root "component" "google") | nindent 2 }}
annotations:
  {{- toYaml .annotations | nindent 2 }}
{{- end -}}

{{/* What an account may do, resource by resource: dict "account" "prefix" "of" .Values.configConnector. The manager has none. */}}
{{- define "clarity.grants" -}}
{{- $prefix := .prefix -}}
{{- $c := .of -}}
{{- $publishes := dict "worker" (list "uploads" "history" "analyses" "results" "events") "ingress" (list "uploads" "history" "events") "insights" (list "events") "delivery" list "erasure" list -}}
{{- $consumes := dict "worker" (list "uploads" "history" "analyses") "ingress" list "insights" (list "results") "delivery" (list "events") "erasure" list -}}
{{- $reads := dict "worker" (list "models") "ingress" list "insights" list "delivery" list "erasure" list -}}
{{- $writes := dict "worker" (list "uploads" "days") "ingress" (list "uploads" "days") "insights" list "delivery" list "erasure" (list "uploads" "days") -}}
{{- range get $publishes .account -}}{{- if has . $c.topics }}
- {name: publish-{{ . }}, role: pubsub.publisher, kind: PubSubTopic, resource: {{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
{{- range get $consumes .account -}}{{- if has . $c.topics }}
- {name: consume-{{ . }}, role: pubsub.subscriber, kind: PubSubSubscription, resource: {{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
{{- range get $reads .account -}}{{- if hasKey $c.buckets . }}
- {name: read-{{ . }}, role: storage.objectViewer, kind: StorageBucket, resource: {{ $c.projectId }}-{{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
{{- range get $writes .account -}}{{- if hasKey $c.buckets . }}
- {name: write-{{ . }}, role: storage.objectUser, kind: StorageBucket, resource: {{ $c.projectId }}-{{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
- {name: keys, role: cloudkms.cryptoKeyEncrypterDecrypter, kind: KMSCryptoKey, resource: {{ $prefix }}-{{ $c.kms.key }}}
{{- end -}}
