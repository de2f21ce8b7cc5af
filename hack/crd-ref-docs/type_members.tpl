{{- define "type_members" -}}
{{- if eq .Name "metadata" -}}as of any object{{- else -}}{{ markdownRenderFieldDoc .Doc }}{{- end -}}
{{- end -}}
