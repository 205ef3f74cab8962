;; Reads the pod that it has given back.
(import "gatehost:check/pod@0.1.1" "[method]pod.uid" (func $uid (param i32 i32)))
(func $evaluate (param $pod i32) (param i32 i32) (result i32)
  (call $drop (local.get $pod)) (call $uid (local.get $pod) (i32.const 300)) (i32.const 192))
