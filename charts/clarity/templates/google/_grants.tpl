{{/* What is allowed on the project itself, permission by permission, since Google has no role that is as small: none of
it reads or writes what is anybody's. A bucket's own role is granted on buckets alone. */}}
{{- define "clarity.googleRoles" -}}
queue:
  title: Looks at topics, and at how much waits
  permissions: [monitoring.timeSeries.list, pubsub.subscriptions.list, pubsub.topics.get]
identity:
  title: Looks an account up, whether it is disabled or its sign-ins are revoked
  permissions: [firebaseauth.users.get]
keyring:
  title: Counts the versions of the key that wraps
  permissions: [cloudkms.cryptoKeyVersions.list]
bucket:
  title: Looks at how a bucket is kept
  permissions: [storage.buckets.get]
{{- if .Values.google.push.enabled }}
push:
  title: Sends messages that wake phones
  permissions: [cloudmessaging.messages.create]
{{- end }}
{{- if .Values.google.gemini.model }}
writer:
  title: Asks the model that puts results into words
  permissions: [aiplatform.endpoints.predict]
{{- end }}
{{- end -}}

{{/* Objects of these kinds alone: dict "bucket" "…" "kinds" (list "uploads"). */}}
{{- define "clarity.objectsOf" -}}
{{- $all := list -}}
{{- range .kinds }}{{ $all = append $all (printf "resource.name.startsWith('projects/_/buckets/%s/objects/%s/')" $.bucket .) }}{{ end -}}
{{- join " || " $all -}}
{{- end -}}

{{/* What each account may do on what: the whole of it, in one table. A column is an account; the manager has none.
dict "root" $ "account" "ingress". */}}
{{- define "clarity.grants" -}}
{{- $g := .root.Values.google -}}
{{- $root := .root -}}
{{- $account := .account -}}
{{- $stage := has $account (list "ingress" "worker" "insights") -}}
{{- $publishes := dict "ingress" (list "uploads" "history" "events") "worker" (list "results" "exports" "webhooks" "wakes") "insights" (list "events") -}}
{{- $topics := dict -}}
{{- range get $publishes $account | default list }}{{ $_ := set $topics . true }}{{ end -}}
{{- $roles := dict "ingress" (list "queue" "identity" "push" "writer") "worker" (list "queue") "insights" (list "queue" "writer") -}}
{{- $objects := include "clarity.bucket" (dict "root" $root "kind" "objects") -}}
{{- $audit := include "clarity.bucket" (dict "root" $root "kind" "audit") -}}
{{- $models := include "clarity.bucket" (dict "root" $root "kind" "models") -}}
{{- $looks := include "clarity.googleRole" (dict "root" $root "role" "bucket") -}}
{{- range $consumer, $of := fromYaml (include "clarity.consumers" $root) }}
{{- if eq $of $account }}
{{- range $s := fromJsonArray ($root.Files.Get "files/google/pubsub/subscriptions.json") }}
{{- if hasSuffix (printf ".%s" $consumer) $s.name }}
{{- /* Who takes a message out publishes it again, where it has to wait for longer than it may be held. */}}
{{- $_ := set $topics $s.topic true }}
- {name: consume-{{ $s.name | replace "." "-" }}, role: roles/pubsub.subscriber, kind: PubSubSubscription, resource: {{ include "clarity.googleName" (dict "root" $root "name" $s.name) }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $topic, $_ := $topics }}
- {name: publish-{{ $topic }}, role: roles/pubsub.publisher, kind: PubSubTopic, resource: {{ include "clarity.googleName" (dict "root" $root "name" $topic) }}}
{{- end }}
{{- if $stage }}
{{- range $place, $database := $g.firestore }}
- name: firestore-{{ $place }}
  role: roles/datastore.user
  kind: Project
  external: {{ $g.projectId }}
  condition:
    title: {{ $place }}
    expression: resource.name == "projects/{{ $g.projectId }}/databases/{{ $database }}"
{{- end }}
- {name: keys, role: roles/cloudkms.cryptoKeyEncrypterDecrypter, kind: KMSCryptoKey, resource: {{ include "clarity.googleName" (dict "root" $root "name" $g.kms.key) }}}
- {name: audit-append, role: roles/storage.objectCreator, kind: StorageBucket, resource: {{ $audit }}}
- {name: audit-read, role: roles/storage.objectViewer, kind: StorageBucket, resource: {{ $audit }}}
- {name: audit-look, role: {{ $looks }}, kind: StorageBucket, resource: {{ $audit }}}
{{- end }}
{{- range get $roles $account | default list }}
{{- if hasKey (fromYaml (include "clarity.googleRoles" $root)) . }}
- {name: {{ . }}, role: {{ include "clarity.googleRole" (dict "root" $root "role" .) }}, kind: Project, external: {{ $g.projectId }}}
{{- end }}
{{- end }}
{{- if eq $account "insights" }}
- {name: keys-look, role: {{ include "clarity.googleRole" (dict "root" $root "role" "keyring") }}, kind: KMSCryptoKey, resource: {{ include "clarity.googleName" (dict "root" $root "name" $g.kms.key) }}}
{{- end }}
{{- if eq $account "ingress" }}
- {name: objects-look, role: {{ $looks }}, kind: StorageBucket, resource: {{ $objects }}}
- name: objects-written
  role: roles/storage.objectUser
  kind: StorageBucket
  resource: {{ $objects }}
  condition: {title: uploads and exports, expression: {{ include "clarity.objectsOf" (dict "bucket" $objects "kinds" (list "uploads" "exports")) | quote }}}
- name: objects-read
  role: roles/storage.objectViewer
  kind: StorageBucket
  resource: {{ $objects }}
  condition: {title: what an export is made of, expression: {{ include "clarity.objectsOf" (dict "bucket" $objects "kinds" (list "days" "tombstones" "series")) | quote }}}
{{- else if eq $account "worker" }}
- {name: objects-look, role: {{ $looks }}, kind: StorageBucket, resource: {{ $objects }}}
- {name: objects, role: roles/storage.objectUser, kind: StorageBucket, resource: {{ $objects }}}
{{- end }}
{{- if has $account (list "worker" "models") }}
- {name: models, role: roles/storage.objectViewer, kind: StorageBucket, resource: {{ $models }}}
{{- range $i, $repository := $root.Values.configConnector.artifactRepositories }}
- {name: registry-{{ $i }}, role: roles/artifactregistry.reader, kind: ArtifactRegistryRepository, external: {{ $repository }}}
{{- end }}
{{- end }}
{{- end -}}
