{{- define "clarity.blocks" -}}
{{- range . }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}

{{- define "clarity.ports" -}}
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}

{{/* Where a pod with rights on data may go: model servers, the data's hosts, the metadata server that gives it its token. */}}
{{- define "clarity.dataEgress" -}}
- to:
    - podSelector: {matchLabels: {clarityloop.dev/component: server}}
  ports:
    - {protocol: TCP, port: 8001}
- to:
    {{- include "clarity.blocks" .Values.networkPolicies.data.cidrs | nindent 4 }}
  ports:
    {{- include "clarity.ports" .Values.networkPolicies.data.ports | nindent 4 }}
- to:
    - ipBlock: {cidr: 169.254.169.254/32}
    - ipBlock: {cidr: 169.254.169.252/32}
  ports:
    {{- include "clarity.ports" (list 80 987 988) | nindent 4 }}
{{- end -}}
