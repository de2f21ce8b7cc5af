{{- define "type" -}}
{{- $type := . -}}
{{- if markdownShouldRenderType $type }}

## {{ $type.Name }}

{{ $type.Doc }}
{{ if $type.Validation }}
{{ range $type.Validation }}- {{ . }}
{{ end -}}
{{ end -}}
{{ if $type.References }}
Appears in{{ range $type.SortedReferences }} {{ markdownRenderTypeLink . }}{{ end }}.
{{ end -}}
{{ if $type.Members }}
| Field | Meaning | Default | Rules |
|---|---|---|---|
{{ range $type.Members -}}
| `{{ .Name  }}` _{{ markdownRenderType .Type }}_ | {{ template "type_members" . }} | {{ markdownRenderDefault .Default }} | {{ range .Validation -}}{{ if eq . "Required: {}" }}required; {{ else if ne . "Optional: {}" }}{{ markdownRenderFieldDoc . }}; {{ end }}{{ end }}|
{{ end -}}
{{ end -}}
{{ if $type.EnumValues }}
| Value | Meaning |
|---|---|
{{ range $type.EnumValues -}}
| `{{ .Name }}` | {{ markdownRenderFieldDoc .Doc }} |
{{ end -}}
{{ end -}}
{{ end -}}
{{ end -}}
