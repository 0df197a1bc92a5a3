{{/* The name of everything that belongs to this release. */}}
{{- define "interlock.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "interlock.serviceAccountName" -}}
{{- default (include "interlock.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The operator, as the API servers know it. */}}
{{- define "interlock.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "interlock.serviceAccountName" . }}
{{- end -}}

{{- define "interlock.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "interlock.labels" -}}
{{ include "interlock.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "interlock.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* "true" when pods can be gated: mutating policies are on by default from Kubernetes 1.36. */}}
{{- define "interlock.gates" -}}
{{- if or (eq .Values.admission.gates "Enabled") (and (eq .Values.admission.gates "Auto") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version)) -}}
true
{{- end -}}
{{- end -}}
