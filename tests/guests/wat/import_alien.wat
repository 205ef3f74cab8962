;; Imports what nobody but its maker knows.
(component
  (import "my:own/thing" (instance))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $gate (export "describe" (func $f)) (export "validate" (func $f)) (export "evaluate" (func $f)))
  (export "gatehost:check/gate@0.1.1" (instance $gate)))
