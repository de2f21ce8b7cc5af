{{- define "clarity.blocks" -}}
{{- range . }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}

{{/* Blocks of the public internet: what a block of all has of private networks is left out. */}}
{{- define "clarity.publicBlocks" -}}
{{- range . }}
{{- if eq . "0.0.0.0/0" }}
- ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]}
{{- else }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "clarity.ports" -}}
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}

{{/* Who answers a node's own questions, in one place for all policies: the metadata server, which gives pods their
Google tokens, behind two addresses as the cluster's dataplane has it. */}}
{{- define "clarity.metadataServer" -}}
- ipBlock: {cidr: 169.254.169.254/32}
- ipBlock: {cidr: 169.254.169.252/32}
{{- end -}}

{{/* Names: kube-dns, NodeLocal DNSCache, and Cloud DNS, which is the metadata server's address. */}}
{{- define "clarity.dnsEgress" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    - ipBlock: {cidr: 169.254.20.10/32}
    - ipBlock: {cidr: 169.254.169.254/32}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{/* Where Google's services are, and who says as whom one is there. */}}
{{- define "clarity.storeEgress" -}}
- to:
    {{- include "clarity.blocks" .Values.networkPolicies.data.cidrs | nindent 4 }}
  ports:
    {{- include "clarity.ports" .Values.networkPolicies.data.ports | nindent 4 }}
- to:
    {{- include "clarity.metadataServer" . | nindent 4 }}
  ports:
    {{- include "clarity.ports" (list 80 987 988) | nindent 4 }}
{{- end -}}

{{/* Where a pod with rights on data may go: model servers, and the data's hosts. */}}
{{- define "clarity.dataEgress" -}}
- to:
    - podSelector: {matchLabels: {clarityloop.dev/component: server}}
  ports:
    - {protocol: TCP, port: 8001}
{{ include "clarity.storeEgress" . }}
{{- end -}}
