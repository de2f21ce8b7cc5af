{{/* A bucket's name: dict "root" $ "kind" "objects". Names are the world's, so the project's stands in front; a
project has one data plane. */}}
{{- define "clarity.bucket" -}}
{{- get .root.Values.google.buckets .kind | default (printf "%s-%s" .root.Values.google.projectId .kind) -}}
{{- end -}}

{{/* The key that wraps all others, as Cloud KMS names it. */}}
{{- define "clarity.kek" -}}
{{- with .Values.google -}}
projects/{{ .projectId }}/locations/{{ .location }}/keyRings/{{ .kms.keyRing }}/cryptoKeys/{{ .kms.key }}
{{- end -}}
{{- end -}}

{{/* The driver of each capability; nothing where no project is named. */}}
{{- define "clarity.backends" -}}
{{- $root := . -}}
{{- with .Values.google -}}
{{- if .projectId -}}
store: firestore:{{ .projectId }}/{{ .firestore.documents }}
queue: pubsub:{{ .projectId }}/{{ .firestore.queue }}?endpoint={{ .location }}-pubsub.googleapis.com:443
blobs: gcs:{{ include "clarity.bucket" (dict "root" $root "kind" "objects") }}
keys: kms:{{ include "clarity.kek" $root }}?documents={{ .projectId }}/{{ .firestore.keys }}
audit: gcs:{{ include "clarity.bucket" (dict "root" $root "kind" "audit") }}
{{- $options := list }}
{{- with .identity.tenants }}{{ $options = append $options (printf "tenants=%s" (join "," .)) }}{{ end }}
{{- if .identity.appCheck.mode }}
{{- if not (and .projectNumber .identity.appCheck.apps) }}
{{- fail "google.identity.appCheck needs google.projectNumber and the ids of the apps" }}
{{- end }}
{{- $options = append $options (printf "appcheck=%s&number=%s&apps=%s" .identity.appCheck.mode .projectNumber (join "," .identity.appCheck.apps)) }}
{{- end }}
identity: firebase:{{ .projectId }}{{ with $options }}?{{ join "&" . }}{{ end }}
{{- if ne .feed "none" }}
feed: firestore:{{ .projectId }}/{{ .firestore.documents }}{{ if eq .feed "content" }}?content=true{{ end }}
{{- end }}
{{- if .push.enabled }}
push: fcm:{{ .projectId }}
{{- end }}
{{- if .gemini.model }}
writer: gemini:{{ .projectId }}/{{ .gemini.location | default .location }}/{{ .gemini.model }}
{{- else }}
writer: template
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Google account of one of ours: dict "root" $ "component" "ingress". An account that configConnector
makes has at most 30 characters, as Google wants it: a longer name is refused here and not by Google, later. */}}
{{- define "clarity.googleAccount" -}}
{{- $name := printf "%s-%s" (include "clarity.name" .root) .component -}}
{{- if gt (len $name) 30 -}}
{{- fail (printf "the Google service account %s has %d characters, and 30 are allowed: set nameOverride to a shorter name, or serviceAccount.googleServiceAccount to an account of yours" $name (len $name)) -}}
{{- end -}}
{{- $name -}}
{{- end -}}
