"""Reads one JSON object a line, {"policies": TEXT, "contexts": [OBJECT, ...]}, and writes for each
the list of Cedar's decisions. Contexts carry ip addresses as text under "ip"."""

import json
import sys

import cedarpy

ENTITIES = []

for line in sys.stdin:
    case = json.loads(line)
    requests = []
    for context in case["contexts"]:
        context = dict(context)
        context["ip"] = {"__extn": {"fn": "ip", "arg": context["ip"]}}
        requests.append(
            {
                "principal": 'Agent::"a"',
                "action": 'Action::"call"',
                "resource": 'Tool::"t"',
                "context": context,
            }
        )
    results = cedarpy.is_authorized_batch(requests, case["policies"], ENTITIES)
    answers = []
    for result in results:
        if result.diagnostics.errors:
            sys.exit("cedar: %s in %s" % (result.diagnostics.errors, case["policies"]))
        answers.append(result.allowed)
    sys.stdout.write(json.dumps(answers) + "\n")
