;; Answers with a message of 60 MB.
(memory (export "memory") 960)
(func $evaluate (param $pod i32) (param i32 i32) (result i32)
  (call $drop (local.get $pod))
  (i32.store (i32.const 208) (i32.const 65536)) (i32.store (i32.const 212) (i32.const 60000000))
  (i32.const 192))
