{{/* Namespaces that no policy looks at. */}}
{{- define "interlock.admission.exemptNamespaces" -}}
{{- range (concat (list "kube-system" .Release.Namespace) .Values.admission.exemptNamespaces) | uniq }}
- {{ . }}
{{- end }}
{{- end -}}

{{/*
The three bindings of a policy that reads params: it refuses; it only warns where the glass was broken; it
only warns about databases with enforcement Audit. Takes root, policy, and missing (what happens to the
first of them in a namespace without params).
*/}}
{{- define "interlock.admission.bindings" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .policy }}
  labels:
    {{- include "interlock.labels" .root | nindent 4 }}
spec:
  policyName: {{ .policy }}
  validationActions: [Deny]
  paramRef:
    name: interlock-schema
    parameterNotFoundAction: {{ .missing }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: NotIn
          values:
            {{- include "interlock.admission.exemptNamespaces" .root | trim | nindent 12 }}
        - key: interlock.dev/break-glass
          operator: DoesNotExist
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .policy }}-break-glass
  labels:
    {{- include "interlock.labels" .root | nindent 4 }}
spec:
  policyName: {{ .policy }}
  validationActions: [Warn, Audit]
  paramRef:
    name: interlock-schema
    parameterNotFoundAction: Allow
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: NotIn
          values:
            {{- include "interlock.admission.exemptNamespaces" .root | trim | nindent 12 }}
        - key: interlock.dev/break-glass
          operator: Exists
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .policy }}-audit
  labels:
    {{- include "interlock.labels" .root | nindent 4 }}
spec:
  policyName: {{ .policy }}
  validationActions: [Warn, Audit]
  paramRef:
    name: interlock-schema-audit
    parameterNotFoundAction: Allow
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: NotIn
          values:
            {{- include "interlock.admission.exemptNamespaces" .root | trim | nindent 12 }}
{{- end -}}

{{/* The pod template within the given object ("object" or "oldObject"). dyn, or the type checker of the API
server would want every field on every kind. */}}
{{- define "interlock.admission.template" -}}
(request.kind.kind == 'CronJob' ? dyn({{ . }}).spec.jobTemplate.spec.template
: request.kind.kind == 'PodTemplate' ? dyn({{ . }}).template : dyn({{ . }}).spec.template)
{{- end -}}

{{/* Whether the given metadata carries the fixed label of stamped pods. */}}
{{- define "interlock.admission.stamped" -}}
(has({{ . }}.metadata) && has({{ . }}.metadata.labels) && 'interlock.dev/stamped' in {{ . }}.metadata.labels)
{{- end -}}

{{/*
What the stamps say against the params. Needs the variable labels. A series whose ready is the largest number
of all is judged by the other params object (enforcement Audit, or the reverse) and left alone here.
  series     keys of the series that are stamped
  judged     those that this params object judges
  malformed  no number
  unknown    the params know nothing of it
  below      older than the fence
  early      ahead of what is ready
*/}}
{{- define "interlock.admission.stampVariables" -}}
- name: data
  expression: "has(params.data) ? params.data : {}"
- name: series
  expression: >-
    variables.labels.filter(l, l.startsWith('schema.interlock.dev/')).map(l, l.substring(21))
- name: judged
  expression: >-
    variables.series.filter(k, !((k + '.ready') in variables.data
    && variables.data[k + '.ready'] == '9223372036854775807'))
- name: malformed
  expression: >-
    variables.judged.filter(k, !variables.labels['schema.interlock.dev/' + k].matches('^[0-9]{1,18}$'))
- name: unknown
  expression: >-
    variables.judged.filter(k, !((k + '.ready') in variables.data && (k + '.min') in variables.data))
- name: sound
  expression: >-
    variables.judged.filter(k, !(k in variables.malformed) && !(k in variables.unknown))
- name: below
  expression: >-
    variables.sound.filter(k,
    int(variables.labels['schema.interlock.dev/' + k]) < int(variables.data[k + '.min']))
- name: early
  expression: >-
    variables.sound.filter(k,
    int(variables.labels['schema.interlock.dev/' + k]) > int(variables.data[k + '.ready']))
{{- end -}}

{{/*
Which images the stamps speak for. Needs the variables annotations and spec.
  images      "container=image" as the annotation lists them
  mismatched  entries that no container of the spec has
*/}}
{{- define "interlock.admission.imageVariables" -}}
- name: images
  expression: >-
    'schema.interlock.dev/images' in variables.annotations && variables.annotations['schema.interlock.dev/images'] != ''
    ? variables.annotations['schema.interlock.dev/images'].split(',') : []
- name: containers
  expression: >-
    variables.spec.containers + (has(variables.spec.initContainers) ? variables.spec.initContainers : [])
- name: mismatched
  expression: >-
    variables.images.filter(p, !variables.containers.exists(c, c.name + '=' + c.image == p))
- name: found
  expression: >-
    size(variables.mismatched) == 0 ? []
    : variables.containers.filter(c, variables.mismatched[0].startsWith(c.name + '=')).map(c, c.image)
{{- end -}}

{{/* Fenced Secrets and who may use them unstamped. Needs the variables data and spec. */}}
{{- define "interlock.admission.secretVariables" -}}
- name: fenced
  expression: >-
    'fenced-secrets' in variables.data && variables.data['fenced-secrets'] != ''
    ? variables.data['fenced-secrets'].split(',') : []
- name: account
  expression: >-
    has(variables.spec.serviceAccountName) && variables.spec.serviceAccountName != ''
    ? variables.spec.serviceAccountName : 'default'
- name: exempt
  expression: >-
    'exempt' in variables.data && variables.account in variables.data['exempt'].split(',')
- name: fencedVolumes
  expression: >-
    size(variables.fenced) == 0 || !has(variables.spec.volumes) ? [] : variables.spec.volumes.filter(v,
    (has(v.secret) && has(v.secret.secretName) && v.secret.secretName in variables.fenced)
    || (has(v.projected) && has(v.projected.sources) && v.projected.sources.exists(s,
    has(s.secret) && has(s.secret.name) && s.secret.name in variables.fenced))).map(v, v.name)
{{- end -}}

{{/* Whether container c takes a fenced Secret by its environment. */}}
{{- define "interlock.admission.takesByEnv" -}}
(has(c.env) && c.env.exists(e, has(e.valueFrom) && has(e.valueFrom.secretKeyRef)
&& has(e.valueFrom.secretKeyRef.name) && e.valueFrom.secretKeyRef.name in variables.fenced))
|| (has(c.envFrom) && c.envFrom.exists(e, has(e.secretRef) && has(e.secretRef.name)
&& e.secretRef.name in variables.fenced))
{{- end -}}

{{/* Whether container c mounts a volume with a fenced Secret. */}}
{{- define "interlock.admission.takesByMount" -}}
(has(c.volumeMounts) && c.volumeMounts.exists(m, m.name in variables.fencedVolumes))
{{- end -}}

{{/*
Containers that take a fenced Secret although the stamp does not speak for their image. The argument is the CEL
condition under which the object is stamped at all.
*/}}
{{- define "interlock.admission.uncoveredVariable" -}}
- name: uncovered
  expression: >-
    !({{ . }}) || size(variables.fenced) == 0 || variables.exempt ? []
    : variables.containers.filter(c, !variables.images.exists(p, p.startsWith(c.name + '='))
    && ({{ include "interlock.admission.takesByEnv" . | nindent 4 | trim }}
    || {{ include "interlock.admission.takesByMount" . }}))
{{- end -}}

{{- define "interlock.admission.uncoveredValidation" -}}
- expression: "size(variables.uncovered) == 0"
  reason: Forbidden
  message: "interlock: image: a container takes a fenced Secret, but the stamp does not speak for its image."
  messageExpression: >-
    'interlock: image: container ' + variables.uncovered[0].name
    + ' takes a Secret of a database with a contracted schema, but the annotation schema.interlock.dev/images does not list its image, so the stamp does not speak for it. List it there, with the image.'
{{- end -}}

{{/*
Validations of stamps and images that pods and templates share. The argument is the word for the object. The
text before the second colon is stable: Interlock recognises "interlock: fence:" when it proves a fence.
*/}}
{{- define "interlock.admission.stampValidations" -}}
- expression: "size(variables.malformed) == 0"
  reason: Forbidden
  message: "interlock: stamp: a stamp is not a version number."
  messageExpression: >-
    'interlock: stamp: ' + variables.malformed[0] + ': the label schema.interlock.dev/' + variables.malformed[0]
    + ' of this {{ . }} is "' + variables.labels['schema.interlock.dev/' + variables.malformed[0]]
    + '", which is not a version number. It has to be the version that the image was built for.'
{{- end -}}

{{- define "interlock.admission.fenceValidation" -}}
- expression: "size(variables.below) == 0"
  reason: Forbidden
  message: "interlock: fence: the stamp is below the fence."
  messageExpression: >-
    'interlock: fence: ' + variables.below[0] + ': this {{ . }} is for schema version '
    + variables.labels['schema.interlock.dev/' + variables.below[0]] + ', but version '
    + variables.data[variables.below[0] + '.min'] + ' is the oldest that still works (the schema was contracted). '
    + ((variables.below[0] + '.hint') in variables.data && variables.data[variables.below[0] + '.hint'] != ''
    ? 'Oldest revision that works: ' + variables.data[variables.below[0] + '.hint'] + '. ' : '')
    + 'Roll forward, or go back to that revision.'
{{- end -}}

{{- define "interlock.admission.imageValidations" -}}
- expression: "size(variables.judged) == 0 || size(variables.images) > 0"
  reason: Forbidden
  message: "interlock: image: the annotation schema.interlock.dev/images is missing. It lists the images that the stamp speaks for, as container=image,container=image. Write it together with the stamp."
- expression: "size(variables.judged) == 0 || size(variables.mismatched) == 0"
  reason: Forbidden
  message: "interlock: image: an image is not the one that the stamp speaks for."
  messageExpression: >-
    'interlock: image: ' + variables.judged[0] + ': the stamp of this {{ . }} (version '
    + variables.labels['schema.interlock.dev/' + variables.judged[0]] + ') speaks for ' + variables.mismatched[0]
    + (size(variables.found) == 0 ? ', but there is no such container' : ', but the container has ' + variables.found[0])
    + '. An image and its stamp change together: change label, annotation and image, or go back to a whole revision.'
    + ((variables.judged[0] + '.hint') in variables.data && variables.data[variables.judged[0] + '.hint'] != ''
    ? ' Oldest revision that works: ' + variables.data[variables.judged[0] + '.hint'] + '.' : '')
{{- end -}}
