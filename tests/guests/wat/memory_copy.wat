;; Copies its memory without end.
(memory (export "memory") 960)
(func $evaluate (param i32 i32 i32) (result i32)
  (loop (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 62000000)) (br 0)) unreachable)
