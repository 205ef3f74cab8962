"""True once the pod is on a track of the config and its containers have run for a while."""

import json
import re
from datetime import datetime, timezone

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import clock, log
from wit_world.imports.pod import ContainerRole, ContainerState, Pod
from wit_world.imports.types import ConfigError, Description, Fault, FaultKind_Other, Status, Verdict

LABEL = "track"
ANNOTATION = "example.com/settle-seconds"
TRACK = re.compile("[A-Za-z0-9._-]{1,63}")
SCHEMA = '{"type": "object", "required": ["tracks"], "additionalProperties": false, "properties": {"tracks": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$"}}, "settleSeconds": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 10}}}'


class Gate(exports.Gate):
    def describe(self) -> Description:
        help = "True once the pod is on a configured track and its containers have run for the configured time."
        return Description("on-track", "1.0.0", help, SCHEMA, [])

    def validate(self, config: str) -> None:
        # The error side of a result is raised.
        if errors := wrong(json.loads(config)):
            raise Err(errors)

    def evaluate(self, pod: Pod, config: str) -> Verdict:
        settings = json.loads(config)
        tracks, seconds = settings["tracks"], settings.get("settleSeconds", 10)
        track = pod.label(LABEL)
        if track is None:
            return unmet("NoTrack", f"the pod has no label {LABEL}")
        if track not in tracks:
            return unmet("OtherTrack", f"wanted: {', '.join(tracks)}; the pod is on {track}")
        own = pod.annotation(ANNOTATION)
        if own is not None:
            seconds = seconds_of(own)

        running = [c for c in pod.containers() if c.role != ContainerRole.INIT]
        if not running:
            return unknown("NoContainers", "kubelet reports no containers")
        if down := [c.name for c in running if c.state != ContainerState.RUNNING]:
            return unmet("NotRunning", f"not running: {', '.join(down)}")
        if timeless := [c.name for c in running if c.started_at_ms is None]:
            return unknown("StartUnknown", f"no time of the start: {', '.join(timeless)}")

        since = max(c.started_at_ms for c in running)
        # Kubernetes cuts times to whole seconds: with one more, the gate opens late rather than early.
        due = since + 1000 + int(seconds) * 1000
        log.write(log.Level.DEBUG, f"on track {track}, settled at {rfc3339(due)}")
        now = clock.now_ms()
        if now >= due:
            message = f"on track {track}; all containers have run since {rfc3339(since)}"
            return Verdict(Status.MET, "Settled", message, None, [])
        message = f"on track {track}; settled at {rfc3339(due)} if no container restarts"
        return Verdict(Status.UNMET, "Settling", message, min(due - now, 3_600_000), [])


def wrong(config: object) -> list[ConfigError]:
    """What is wrong with a config."""
    if not isinstance(config, dict):
        return [ConfigError("", "give an object")]
    errors = []
    if config.keys() - {"tracks", "settleSeconds"}:
        errors.append(ConfigError("", "takes tracks and settleSeconds, and nothing else"))
    tracks = config.get("tracks")
    if isinstance(tracks, list) and tracks:
        for i, track in enumerate(tracks):
            if not (isinstance(track, str) and TRACK.fullmatch(track)):
                message = "give 1 to 63 letters, digits, dots, dashes and underscores"
                errors.append(ConfigError(f"/tracks/{i}", message))
    else:
        errors.append(ConfigError("/tracks", "give a list of at least one track"))
    # A boolean is an int in Python.
    if config.get("settleSeconds", 10) not in range(1, 3601) or isinstance(config.get("settleSeconds"), bool):
        errors.append(ConfigError("/settleSeconds", "give whole seconds from 1 to 3600"))
    return errors


def seconds_of(own: str) -> int:
    """What the pod's own annotation says; a fault where that is no time."""
    if re.fullmatch("[0-9]{1,4}", own) and 1 <= int(own) <= 3600:
        return int(own)
    message = f"{ANNOTATION}: give whole seconds from 1 to 3600, not {own}"
    raise Err(Fault(FaultKind_Other("BadAnnotation"), "BadSettleSeconds", message, 15_000, []))


def unmet(reason: str, message: str) -> Verdict:
    return Verdict(Status.UNMET, reason, message, None, [])


def unknown(reason: str, message: str) -> Verdict:
    return Verdict(Status.UNKNOWN, reason, message, None, [])


def rfc3339(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
