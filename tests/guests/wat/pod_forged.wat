;; Reads a pod that nobody gave it.
(import "gatehost:check/pod@0.1.1" "[method]pod.uid" (func $uid (param i32 i32)))
(func $evaluate (param $pod i32) (param i32 i32) (result i32)
  (call $drop (local.get $pod)) (call $uid (i32.const 77) (i32.const 300)) (i32.const 192))
