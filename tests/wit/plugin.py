"""A check in Python, as small as it gets: True once the pod carries the annotation that its config names.

Run outside WebAssembly, it imports every generated module and evaluates two pods of its own.
"""

import importlib
import json
import pkgutil

import wit_world
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import pod as pods
from wit_world.imports.types import ConfigError, Description, Fault, FaultKind_Internal, Status, Verdict


class Gate(exports.Gate):
    def describe(self) -> Description:
        return Description("approved", "1.0.0", "True once somebody approved.", '{"type": "object"}', [])

    def validate(self, config: str) -> None:
        if not isinstance(json.loads(config).get("annotation"), str):
            # The error side of a result is raised.
            raise Err([ConfigError("/annotation", "is missing; give the key of an annotation")])

    def evaluate(self, pod: pods.Pod, config: str) -> Verdict:
        try:
            value = pod.annotation(json.loads(config)["annotation"])
        except KeyError as error:
            raise Err(Fault(FaultKind_Internal(), "NoAnnotation", str(error), None, [])) from error
        if value is None:
            return Verdict(Status.UNMET, "NotApproved", "", None, [])
        return Verdict(Status.MET, "Approved", f"by {value}", 60_000, [])


if __name__ == "__main__":
    for module in pkgutil.walk_packages(wit_world.__path__, "wit_world."):
        importlib.import_module(module.name)

    assert "annotation" in vars(pods.Pod)

    class FakePod(pods.Pod):
        def annotation(self, key: str) -> str | None:
            return "alice" if key == "example.com/approved" else None

    gate = Gate()
    verdict = gate.evaluate(FakePod(), '{"annotation": "example.com/approved"}')
    assert verdict == Verdict(Status.MET, "Approved", "by alice", 60_000, []), verdict
    assert gate.evaluate(FakePod(), '{"annotation": "other"}').status == Status.UNMET
    try:
        gate.validate("{}")
    except Err as error:
        assert error.value[0].path == "/annotation", error
    else:
        raise AssertionError("a config without an annotation was accepted")
