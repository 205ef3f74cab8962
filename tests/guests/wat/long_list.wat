;; Answers with a list of 3,000,000 pairs.
(memory (export "memory") 960)
(func $evaluate (param $pod i32) (param i32 i32) (result i32)
  (call $drop (local.get $pod))
  (i32.store (i32.const 224) (i32.const 65536)) (i32.store (i32.const 228) (i32.const 3000000))
  (i32.const 192))
