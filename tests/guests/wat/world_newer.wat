;; Built for a newer 0.1.y, with a function that this host lacks.
(component
  (import "gatehost:check/clock@0.1.9" (instance (export "now-ms" (func (result u64))) (export "now-ns" (func (result u64)))))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $gate (export "describe" (func $f)) (export "validate" (func $f)) (export "evaluate" (func $f)))
  (export "gatehost:check/gate@0.1.9" (instance $gate)))
