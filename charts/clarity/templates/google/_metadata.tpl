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
{{- $kinds := list "uploads" "days" "tombstones" "series" "exports" -}}
{{- $publishes := dict "worker" (list "uploads" "history" "analyses" "results" "exports" "webhooks") "ingress" (list "uploads" "history" "webhooks") "insights" (list "events") "exports" (list "events") "delivery" (list "webhooks") -}}
{{- $consumes := dict "worker" (list "intake" "analyse") "insights" (list "insights") "delivery" (list "feed" "webhooks") "exports" (list "exports") -}}
{{- $reads := dict "worker" (list "models") "ingress" (list "series" "exports") "exports" (list "uploads" "days" "tombstones" "series") -}}
{{- $writes := dict "worker" (append $kinds "shards") "ingress" (list "uploads") "exports" (list "exports") "erasure" $kinds -}}
{{- range get $publishes .account | default list -}}{{- if hasKey $c.topics . }}
- {name: publish-{{ . }}, role: pubsub.publisher, kind: PubSubTopic, resource: {{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
{{- $mine := get $consumes .account | default list -}}
{{- range $topic, $consumers := $c.topics -}}{{- range $consumers -}}{{- if has . $mine }}
- {name: consume-{{ $topic }}-{{ . }}, role: pubsub.subscriber, kind: PubSubSubscription, resource: {{ $prefix }}-{{ $topic }}-{{ . }}}
{{- end }}{{- end }}{{- end }}
{{- range get $reads .account | default list -}}{{- if hasKey $c.buckets . }}
- {name: read-{{ . }}, role: storage.objectViewer, kind: StorageBucket, resource: {{ $c.projectId }}-{{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
{{- range get $writes .account | default list -}}{{- if hasKey $c.buckets . }}
- {name: write-{{ . }}, role: storage.objectUser, kind: StorageBucket, resource: {{ $c.projectId }}-{{ $prefix }}-{{ . }}}
{{- end }}{{- end }}
- {name: keys, role: cloudkms.cryptoKeyEncrypterDecrypter, kind: KMSCryptoKey, resource: {{ $prefix }}-{{ $c.kms.key }}}
{{- end -}}
