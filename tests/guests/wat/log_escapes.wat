;; Logs escapes, a bidirectional override and line ends that look like lines of the host.
(import "gatehost:check/log@0.1.1" "write" (func $log (param i32 i32 i32)))
(data (i32.const 2048) "\1b[2J\e2\80\aeevil\0d\0a{\"level\":\"ERROR\"}")
(func $evaluate (param $pod i32) (param i32 i32) (result i32)
  (call $drop (local.get $pod)) (call $log (i32.const 2) (i32.const 2048) (i32.const 30)) (i32.const 192))
